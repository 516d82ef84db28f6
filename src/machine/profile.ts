/**
 * A machine profile as data: what a JSON or YAML file says, flattened to one value per dotted
 * parameter name, each with unit, source and confidence. Files nest sections, and write a value in
 * full, `{ value, unit, source, confidence, note }`, or, in a user's file, as a bare number or
 * word. A bare value has no source, so it is labelled an estimate.
 *
 * `base: NAME` takes every parameter that the file is silent about from another profile. Topology
 * is taken over as a whole or not at all: lists of another machine's nodes fit no other cpus list.
 * A measured matrix of the base gives way to any memory latency that the file itself names.
 */

import { UserError } from '../base/errors.ts';
import type { Confidence } from './machine.ts';
import { MACHINE_PARAMETERS, TOPOLOGY_PARAMETERS } from './parameter-table.ts';
import type { Scalar } from './quantity.ts';

/** A list value: cpulists, socket numbers, memory sizes, rows of a matrix. */
export type ListValue = readonly (Scalar | readonly number[])[];

export interface ProfileValue {
  readonly value: Scalar | ListValue;
  /** '' = the unit of the parameter table. */
  readonly unit: string;
  readonly source: string;
  readonly confidence: Confidence;
}

export interface Profile {
  readonly name: string;
  readonly description: string;
  readonly architecture: 'arm64' | 'x86';
  readonly values: ReadonlyMap<string, ProfileValue>;
}

/** A profile that says something wrong: which parameter, and the rest of the one line. */
export class ProfileError extends UserError {
  readonly parameter: string;
  readonly complaint: string;

  constructor(parameter: string, complaint: string) {
    super(`${parameter}: ${complaint}`);
    this.parameter = parameter;
    this.complaint = complaint;
  }
}

/** The nested object of a file, of a shape that the schema has accepted. */
export interface RawProfile {
  readonly name?: string;
  readonly description?: string;
  readonly architecture?: 'arm64' | 'x86';
  readonly base?: string;
  readonly [section: string]: unknown;
}

export const USER_SOURCE = 'user file';

/** `base`: the profile that `raw.base` names, already loaded. */
export function toProfile(raw: RawProfile, fallbackName: string, base?: Profile): Profile {
  const own = new Map<string, ProfileValue>();
  for (const { name } of [...TOPOLOGY_PARAMETERS, ...MACHINE_PARAMETERS]) {
    const value = lookUp(raw, name);
    if (value !== undefined) own.set(name, toValue(value));
  }
  const values = new Map<string, ProfileValue>();
  for (const [name, value] of base?.values ?? []) {
    if (!isOverruled(name, own)) values.set(name, value);
  }
  for (const [name, value] of own) values.set(name, value);
  return {
    name: raw.name ?? fallbackName,
    description: raw.description ?? base?.description ?? '',
    architecture: raw.architecture ?? base?.architecture ?? 'arm64',
    values,
  };
}

/** Is a value of the base out of place beside what the file itself says? */
function isOverruled(name: string, own: ReadonlyMap<string, ProfileValue>): boolean {
  const perNode = TOPOLOGY_PARAMETERS.some((parameter) => parameter.name === name);
  if (perNode && own.has('topology.cpus')) return true;
  const tiers = ['latency.dramLocal', 'latency.dramCrossDie', 'latency.dramRemote'];
  return name === 'latency.dramMatrix' && tiers.some((tier) => own.has(tier));
}

function lookUp(raw: RawProfile, dotted: string): unknown {
  let node: unknown = raw;
  for (const key of dotted.split('.')) {
    if (node === null || typeof node !== 'object') return undefined;
    node = Object.hasOwn(node, key) ? (node as Record<string, unknown>)[key] : undefined;
  }
  return node ?? undefined;
}

function toValue(raw: unknown): ProfileValue {
  if (typeof raw !== 'object' || Array.isArray(raw)) {
    return {
      value: raw as Scalar | ListValue,
      unit: '',
      source: USER_SOURCE,
      confidence: 'estimate',
    };
  }
  const full = raw as Partial<ProfileValue> & { readonly note?: string };
  const source = full.source ?? USER_SOURCE;
  return {
    value: full.value!,
    unit: full.unit ?? '',
    source: full.note === undefined ? source : `${source}; ${full.note}`,
    confidence: full.confidence ?? (full.source === undefined ? 'estimate' : 'published'),
  };
}
