/**
 * Profiles: YAML files that put several workloads on CPU sets of their own at once. Checked by a
 * schema; every complaint is one line with file, line and column. The reader refuses files over
 * 1 MiB and aliases that explode (document.ts).
 *
 *     name: noisy-neighbour
 *     description: faults of a guest while another CPU set invalidates its TLBs
 *     machine: graviton4_2p
 *     kernel: { text: replicated }      # every entry to the kernel executes kernel text
 *     parts:
 *       - label: guest
 *         workload: dirty_log_perf_test
 *         cpus: 0-8
 *         parameters: { faults: parallel }
 */

import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as z from 'zod';
import { UserError } from '../base/errors.ts';
import { packageRoot } from '../base/package-root.ts';
import { type MachineDocument, parseMachineDocument, readText } from '../machine/document.ts';

export interface ProfilePartText {
  readonly label: string;
  readonly workload: string;
  /** A cpulist. */
  readonly cpus: string;
  /** key=value words. */
  readonly assignments: readonly string[];
  /** "file.yaml:7:5". */
  readonly where: string;
}

export interface ProfileText {
  readonly name: string;
  readonly description: string;
  readonly machine: string | undefined;
  readonly like: string | undefined;
  /** Options of the kernel text that all parts execute, as key=value words; null: none do. */
  readonly kernel: readonly string[] | null;
  readonly path: string;
  readonly parts: readonly ProfilePartText[];
}

const PARTS_MAX = 64;
const word = z.string().regex(/^[A-Za-z0-9][\w.-]{0,63}$/);
const value = z.union([z.string(), z.number(), z.boolean()]);

const part = z.strictObject({
  label: word,
  workload: z.string().min(1).max(200),
  cpus: z.union([z.string(), z.number()]),
  parameters: z.record(z.string(), value).optional(),
});

const profile = z.strictObject({
  name: word.optional(),
  description: z.string().max(200).optional(),
  machine: z.string().optional(),
  like: z.string().optional(),
  kernel: z.record(z.string(), value).optional(),
  parts: z.array(part).min(1).max(PARTS_MAX),
});

/** What would be right, by the last name of a path. */
const RIGHT: Readonly<Record<string, string>> = {
  label: 'a word of letters, digits, _ . -',
  workload: 'the name of a workload',
  cpus: 'a list such as 0-15 or 0,4, or CPUs of nodes such as node0:0-3,node1:0-3',
  parameters: 'keys with values, for example { faults: parallel }',
  parts: `a list of 1 to ${PARTS_MAX} parts, each with label, workload and cpus`,
  name: 'a word of letters, digits, _ . -',
  machine: 'the name of a machine',
  like: 'a kernel version such as v6.13',
  kernel: 'options of the kernel text, for example { text: replicated, blocksPerEntry: 40 }',
  description: 'one line of text',
};

export function readProfile(path: string): ProfileText {
  return parseProfile(path, readText(path));
}

export function parseProfile(path: string, text: string): ProfileText {
  const document = parseMachineDocument(path, text);
  const parsed = profile.safeParse(document.data);
  if (!parsed.success) throw complaint(document, parsed.error.issues[0]!);
  const { data } = parsed;
  const labels = new Set<string>();
  const parts = data.parts.map((entry, index) => {
    const where = document.locate(`parts.${index}`);
    if (labels.has(entry.label)) {
      const at = document.locate(`parts.${index}.label`);
      throw new UserError(`${at}: label '${entry.label}' is taken; give every part its own`);
    }
    labels.add(entry.label);
    return {
      label: entry.label,
      workload: entry.workload,
      cpus: String(entry.cpus),
      assignments: wordsOf(entry.parameters ?? {}),
      where,
    };
  });
  return {
    name: data.name ?? path.replace(/^.*\//, '').replace(/\.ya?ml$/, ''),
    description: data.description ?? parts.map((entry) => entry.workload).join(' and '),
    machine: data.machine,
    like: data.like,
    kernel: data.kernel === undefined ? null : wordsOf(data.kernel),
    path,
    parts,
  };
}

function wordsOf(options: Readonly<Record<string, string | number | boolean>>): string[] {
  return Object.entries(options).map(([key, given]) => `${key}=${textOf(given)}`);
}

function textOf(given: string | number | boolean): string {
  return typeof given === 'boolean' ? (given ? 'on' : 'off') : String(given);
}

function complaint(document: MachineDocument, issue: z.core.$ZodIssue): UserError {
  const path = issue.path.map(String);
  if (issue.code === 'unrecognized_keys') {
    const key = issue.keys[0]!;
    const known = path.length === 0 ? profile.shape : part.shape;
    const where = document.locate([...path, key].join('.'), true);
    const right = Object.keys(known).join(', ');
    return new UserError(`${where}: unknown key '${key.slice(0, 40)}'; would be right: ${right}`);
  }
  const name = path.findLast((segment) => !/^\d+$/.test(segment)) ?? '';
  const inPart = /^\d+$/.test(path.at(-1) ?? '');
  const right = inPart ? 'a part with label, workload and cpus' : RIGHT[name];
  const dotted = path.join('.') || 'the file';
  return new UserError(
    `${document.locate(path.join('.'))}: ${dotted} is missing or wrong; would be right: ` +
      `${right ?? 'a profile with parts (see numalab list profiles)'}`,
  );
}

/** Profiles that ship with numalab, by name. */
export function bundledProfiles(): ProfileText[] {
  const folder = new URL('workloads/profiles/', packageRoot());
  return readdirSync(folder)
    .filter((name) => /\.ya?ml$/.test(name))
    .sort()
    .map((name) => readProfile(fileURLToPath(new URL(name, folder))));
}

export function bundledProfile(name: string): ProfileText | undefined {
  return bundledProfiles().find((candidate) => candidate.name === name);
}
