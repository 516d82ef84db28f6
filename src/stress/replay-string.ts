/**
 * The one line that replays a failure: target, sizes, memory model, seed and the schedule, as text
 * that survives a terminal and a mail. The schedule is kept as its context switches, each by the
 * identity of the last event before it (ER-E5), so that the string stays short and that a line
 * moved elsewhere in the source changes nothing.
 *
 * Form: nl1.PAYLOAD.CHECK. PAYLOAD = deflated JSON in base64url; CHECK = start of the SHA-256 of
 * what stands before it.
 */

import { createHash } from 'node:crypto';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { UserError } from '../base/errors.ts';
import type { MemoryModel } from '../engine/explore/execution.ts';

/** An agent takes its steps up to and including this event. */
export interface ReplaySegment {
  /** 0 programs, 1 store-buffer drains, ... as agents are numbered. */
  readonly block: number;
  readonly cpu: number;
  readonly program: string;
  readonly operation: string;
  readonly field: string;
  /** Of the same four, from 1. */
  readonly nth: number;
}

export interface ReplayRecord {
  /** Name of the target; of a user's lock its own name. */
  readonly target: string;
  /** '' = none. */
  readonly mutant: string;
  readonly cpus: number;
  readonly operations: number;
  readonly model: MemoryModel;
  readonly seed: number;
  readonly schedule: number;
  /** Build that recorded it. */
  readonly build: string;
  /** Content hash of the user's lock; '' = none. */
  readonly userHash: string;
  /** Oracle that spoke, and the field. */
  readonly signature: string;
  readonly segments: readonly ReplaySegment[];
  /** Deadlines and the like, in the order in which they were asked. */
  readonly values: readonly number[];
}

const PREFIX = 'nl1';
const CHECK_LENGTH = 8;
/** A schedule of a few hundred switches takes a few kilobytes. */
const BYTES_MAX = 1 << 20;

export function encodeReplay(record: ReplayRecord): string {
  const words: string[] = [];
  const indexOf = (word: string): number => {
    const known = words.indexOf(word);
    return known >= 0 ? known : words.push(word) - 1;
  };
  const segments = record.segments.map(({ block, cpu, program, operation, field, nth }) => [
    block,
    cpu,
    indexOf(program),
    indexOf(operation),
    indexOf(field),
    nth,
  ]);
  const { target, mutant, cpus, operations, model, seed, schedule, build } = record;
  const payload = [
    [target, mutant, cpus, operations, model, seed, schedule, build],
    [record.userHash, record.signature],
    words,
    segments.flat(),
    runs(record.values),
  ];
  const text = deflateRawSync(JSON.stringify(payload), { level: 9 }).toString('base64url');
  return `${PREFIX}.${text}.${checkOf(`${PREFIX}.${text}`)}`;
}

export function decodeReplay(text: string): ReplayRecord {
  const [prefix, payload, check, ...rest] = text.trim().split('.');
  if (prefix === undefined || !/^nl\d+$/.test(prefix)) {
    throw new UserError(`--replay: no replay string: it starts with ${PREFIX}. (or @FILE)`);
  }
  if (prefix !== PREFIX) {
    throw new UserError(
      `--replay: the replay string has version ${prefix}; this numalab reads ${PREFIX}`,
    );
  }
  const isWhole = payload !== undefined && check !== undefined && rest.length === 0;
  if (!isWhole || check !== checkOf(`${prefix}.${payload}`)) {
    throw new UserError(
      '--replay: the replay string is damaged (its check does not match); copy all of it',
    );
  }
  try {
    return recordOf(JSON.parse(inflated(payload)) as unknown[][]);
  } catch {
    throw new UserError('--replay: the replay string is damaged (no record in it)');
  }
}

function inflated(payload: string): string {
  const bytes = Buffer.from(payload, 'base64url');
  return inflateRawSync(bytes, { maxOutputLength: BYTES_MAX }).toString('utf8');
}

function recordOf(payload: unknown[][]): ReplayRecord {
  const [head, more, words, flat, packed] = payload as [
    [string, string, number, number, MemoryModel, number, number, string],
    [string, string],
    string[],
    number[],
    number[],
  ];
  const [target, mutant, cpus, operations, model, seed, schedule, build] = head;
  const segments: ReplaySegment[] = [];
  for (let at = 0; at < flat.length; at += 6) {
    const [block, cpu, program, operation, field, nth] = flat.slice(at, at + 6) as SegmentWords;
    segments.push({
      block,
      cpu,
      program: words[program]!,
      operation: words[operation]!,
      field: words[field]!,
      nth,
    });
  }
  const [userHash, signature] = more;
  const values = unpacked(packed);
  return {
    target,
    mutant,
    cpus,
    operations,
    model,
    seed,
    schedule,
    build,
    userHash,
    signature,
    segments,
    values,
  };
}

type SegmentWords = [number, number, number, number, number, number];

/** [value, times, ...]: most values are 0. */
function runs(values: readonly number[]): number[] {
  const packed: number[] = [];
  for (const value of values) {
    if (packed.at(-2) === value) packed[packed.length - 1]!++;
    else packed.push(value, 1);
  }
  return packed;
}

function unpacked(packed: readonly number[]): number[] {
  const values: number[] = [];
  for (let at = 0; at < packed.length; at += 2) {
    const times = packed[at + 1]!;
    if (!(times >= 0 && values.length + times <= BYTES_MAX))
      throw new RangeError('too many values');
    for (let i = 0; i < times; i++) values.push(packed[at]!);
  }
  return values;
}

function checkOf(text: string): string {
  return createHash('sha256').update(text).digest('base64url').slice(0, CHECK_LENGTH);
}

/** What the command line says beside the string; undefined = not given. */
export interface ReplayExpectation {
  readonly target: string | undefined;
  readonly mutant: string | undefined;
  readonly cpus: number | undefined;
  readonly operations: number | undefined;
  readonly model: MemoryModel | undefined;
}

/** Refuses a string that is of something else, and says of what. */
export function checkReplay(record: ReplayRecord, expected: ReplayExpectation): void {
  const pairs: readonly (readonly [string, string | number | undefined, string | number])[] = [
    ['target', expected.target, record.target],
    ['mutant', expected.mutant, record.mutant],
    ['CPU count', expected.cpus, record.cpus],
    ['number of operations', expected.operations, record.operations],
    ['memory model', expected.model, record.model],
  ];
  for (const [what, wanted, found] of pairs) {
    if (wanted === undefined || wanted === found) continue;
    const name = (value: string | number): string => (value === '' ? 'none' : String(value));
    throw new UserError(
      `--replay: the replay string is of another ${what}: ${name(found)}, not ${name(wanted)}`,
    );
  }
}
