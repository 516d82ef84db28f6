/**
 * Reads single values of a profile by the parameter table: in base units, checked against the
 * bounds of the row, and noted in the provenance record of the machine.
 */

import { assert } from '../base/assert.ts';
import { didYouMean } from '../base/suggest.ts';
import { COST_ESTIMATES, UNKNOWN_COST } from './cost-estimates.ts';
import type { Provenance } from './machine.ts';
import {
  expectedOf,
  MACHINE_PARAMETERS,
  type MachineParameter,
  TOPOLOGY_PARAMETERS,
} from './parameter-table.ts';
import { type ListValue, type Profile, ProfileError, type ProfileValue } from './profile.ts';
import { type Scalar, toBaseUnits } from './quantity.ts';

/** One second: no single step of the machine takes longer. */
const TIME_MAX_PS = 1e12;
const COUNT_MAX = 2 ** 32;

export class ParameterReader {
  readonly #profile: Profile;
  readonly #clockMhz: number;
  /** What the machine is made from: figures of tiers that it lacks are no part of it. */
  readonly #used = new Set<string>();

  constructor(profile: Profile) {
    this.#profile = profile;
    // The clock comes first: it turns cycles into time.
    this.#clockMhz = this.#number(rowOf('clock'), 1) ?? 0;
  }

  get clockMhz(): number {
    return this.#clockMhz;
  }

  /** A required number in base units (picoseconds, bytes, bytes per second, count). */
  number(name: string): number {
    const value = this.#number(rowOf(name), this.#clockMhz);
    assert(value !== undefined, `${name} is required by its row`);
    return value;
  }

  optionalNumber(name: string): number | undefined {
    return this.#number(rowOf(name), this.#clockMhz);
  }

  /** An optional number, required because of `reason`. */
  numberBecause(name: string, reason: string): number {
    const value = this.optionalNumber(name);
    if (value === undefined) throw missing(rowOf(name), ` (${reason})`);
    return value;
  }

  word<T extends string>(name: string): T {
    const row = rowOf(name);
    const raw = this.#take(name);
    if (raw === undefined) throw missing(row, '');
    const word = String(raw.value);
    const fits = row.choices === undefined ? word !== '' : row.choices.includes(word);
    if (fits) return word as T;
    const choices = row.choices ?? [];
    throw new ProfileError(
      name,
      `expected ${expectedOf(row)}, got ${word}${didYouMean(word, choices)}; ` +
        `would be right: ${row.example}`,
    );
  }

  flag(name: string): boolean {
    const raw = this.#take(name);
    if (raw === undefined) throw missing(rowOf(name), '');
    if (typeof raw.value === 'boolean') return raw.value;
    throw new ProfileError(name, `expected true or false, got ${raw.value}; would be right: true`);
  }

  costPs(cost: string): number {
    const given = this.optionalNumber(`costs.${cost}`);
    return given ?? Math.round((COST_ESTIMATES[cost] ?? UNKNOWN_COST).ns * 1000);
  }

  /** Everything the machine was made from, in the order of the tables. */
  provenance(): Record<string, Provenance> {
    const record: Record<string, Provenance> = {};
    const { values } = this.#profile;
    for (const { name } of TOPOLOGY_PARAMETERS) {
      const value = values.get(name);
      if (value !== undefined) record[name] = provenanceOf(value, '');
    }
    for (const { name, unit } of MACHINE_PARAMETERS) {
      if (!this.#used.has(name)) continue;
      const value = values.get(name);
      if (value !== undefined) record[name] = provenanceOf(value, unit);
      else if (name.startsWith('costs.')) record[name] = estimatedCost(name.slice(6));
    }
    return record;
  }

  #take(name: string): ProfileValue | undefined {
    this.#used.add(name);
    return this.#profile.values.get(name);
  }

  #number(row: MachineParameter, clockMhz: number): number | undefined {
    const raw = this.#take(row.name);
    if (raw === undefined) {
      if (row.required) throw missing(row, '');
      return undefined;
    }
    const value = toBaseUnits(row.kind, raw.value as Scalar, raw.unit, clockMhz);
    const least = row.least === 'positive' ? Number.MIN_VALUE : row.least;
    const tooSmall = value === undefined || value < least || Object.is(value, -0);
    if (tooSmall) throw refused(row, raw, expectedOf(row));
    const limit = row.kind === 'time' ? TIME_MAX_PS : row.kind === 'count' ? COUNT_MAX : 1e15;
    if (value > limit) throw refused(row, raw, `${expectedOf(row)} and of a believable size`);
    return value;
  }
}

function rowOf(name: string): MachineParameter {
  const row = MACHINE_PARAMETERS.find((parameter) => parameter.name === name);
  assert(row !== undefined, `no machine parameter ${name}`);
  return row;
}

function missing(row: MachineParameter, reason: string): ProfileError {
  const key = row.name.split('.').at(-1);
  return new ProfileError(
    row.name,
    `missing${reason}: ${row.description}; would be right: ${key}: ${row.example}, ` +
      'or base: NAME of a machine to take the rest from',
  );
}

function refused(row: MachineParameter, raw: ProfileValue, expected: string): ProfileError {
  const unit = raw.unit === '' ? '' : ` (${raw.unit})`;
  return new ProfileError(
    row.name,
    `expected ${expected}, got ${raw.value}${unit}; would be right: ${row.example}`,
  );
}

function provenanceOf(raw: ProfileValue, unit: string): Provenance {
  return {
    value: printable(raw.value),
    unit: raw.unit === '' ? unit : raw.unit,
    source: raw.source,
    confidence: raw.confidence,
  };
}

function estimatedCost(cost: string): Provenance {
  const { ns, source } = COST_ESTIMATES[cost] ?? UNKNOWN_COST;
  return { value: ns, unit: 'ns', source, confidence: 'estimate' };
}

/** Lists become text: elements by blanks, rows of a matrix by slashes. */
function printable(value: Scalar | ListValue): string | number {
  if (typeof value === 'number' || typeof value === 'string') return value;
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  const isMatrix = Array.isArray(value[0]);
  return value
    .map((item) => (Array.isArray(item) ? item.join(' ') : item === '' ? '-' : `${item}`))
    .join(isMatrix ? ' / ' : ' ');
}
