/**
 * From the texts of the command line to a resolved specification: workload, machine, placement,
 * every option with its value, seeds. Nothing after this file reads user text; whatever is wrong
 * with the input is refused here, before anything is written or started.
 */

import { availableParallelism } from 'node:os';
import { DEFAULT_WORKLOAD, isWorkload } from '../../workloads/registry.ts';
import { UserError } from '../base/errors.ts';
import { given, parseCount, parseSeed, parseTimePs } from '../base/parse-quantity.ts';
import { PS_PER_MS } from '../base/units.ts';
import { loadMachine } from '../machine/catalog.ts';
import type { ProfileText } from './profile.ts';
import { resolveOn } from './resolve-workload.ts';
import { type Json, sha256Hex, sortedJson } from './run-id.ts';
import type { ResolvedWorkload, RunRequest, RunSpec } from './run-spec.ts';
import type { WorkloadReference } from './task.ts';
import { parseThreads } from './threads.ts';
import { hashesOfTrace, withTrace } from './trace-input.ts';
import { isLockFile, openUserLock } from './user-lock-file.ts';
import {
  hashUserFiles,
  isPath,
  isProfilePath,
  loadReference,
  referenceOf,
} from './workload-source.ts';

const SEED_MAX = 2 ** 53;
const REPEAT_MAX = 10_000;
const JOBS_MAX = 256;

/** `signal`: ends the reading of large inputs (traces). */
export async function resolveSpecification(
  request: RunRequest,
  signal?: AbortSignal,
): Promise<RunSpec> {
  const engine = resolveEngine(request);
  const seeds = resolveSeeds(request.seed ?? '1', request.repeat ?? '1');
  const jobs = resolveJobs(request.jobs ?? 'auto', seeds.length);
  const threads = parseThreads(request.threads ?? 'auto');
  const word = request.workload ?? DEFAULT_WORKLOAD;
  const profile = await profileOf(word);
  const what =
    profile === null
      ? await resolveSingle(word, request, signal)
      : await resolveParts(profile, request);
  const lockFile = what.reference.lock?.file ?? '';
  const paths = [word, request.machine ?? '', profile?.machine ?? '', lockFile].filter(isUserFile);
  const spec = {
    ...what,
    engine,
    timeMs: resolveTimeMs(request, engine),
    seeds,
    threads,
    jobs: engine === 'host' ? 1 : jobs,
    check: request.check,
    userFiles: { ...hashUserFiles(paths), ...hashesOfTrace(what.reference) },
    request,
  };
  return { ...spec, runId: runIdOf(spec) };
}

async function resolveSingle(
  word: string,
  request: RunRequest,
  signal: AbortSignal | undefined,
): Promise<ResolvedWorkload> {
  const named = await referenceOf(word);
  const locked = await withUserLock(named, request.assignments);
  const reference = await withTrace(locked, request, signal);
  const workload = await loadReference(reference);
  const machine = loadMachine(request.machine ?? workload.defaultMachine);
  return { reference, ...resolveOn(machine, workload, request) };
}

/** `lock=./my-lock.mjs`, for workloads that take a lock: the file is tried before anything runs. */
async function withUserLock(
  reference: WorkloadReference,
  assignments: readonly string[],
): Promise<WorkloadReference> {
  const word = assignments.findLast((assignment) => /^(lock|l)=/.test(assignment));
  const file = word?.slice(word.indexOf('=') + 1) ?? '';
  if (file === '' || !isLockFile(file)) return reference;
  const workload = await loadReference(reference);
  if (workload.withLock === undefined) return reference;
  return { ...reference, lock: await openUserLock(file) };
}

async function resolveParts(profile: ProfileText, request: RunRequest): Promise<ResolvedWorkload> {
  const { resolveProfile } = await import('./resolve-profile.ts');
  return resolveProfile(profile, request);
}

/** A path to YAML, or the name of a bundled profile; null: a workload. */
export async function profileOf(word: string): Promise<ProfileText | null> {
  const { bundledProfile, readProfile } = await import('./profile.ts');
  if (isProfilePath(word)) return readProfile(word);
  if (isPath(word) || isWorkload(word)) return null;
  return bundledProfile(word) ?? null;
}

function isUserFile(path: string): boolean {
  return path !== '' && (isPath(path) || path.endsWith('.json'));
}

function resolveEngine({ engine = 'virtual', threads }: RunRequest): 'virtual' | 'host' {
  if (engine === 'virtual') return engine;
  if (engine === 'explore') {
    throw new UserError(
      '--engine explore measures nothing: it searches schedules; use numalab stress',
    );
  }
  if (engine !== 'host') {
    throw new UserError(`--engine: ${given(engine)} is none of virtual, host, explore`);
  }
  if (threads !== undefined && threads !== 'auto' && threads !== 'per-cpu') {
    throw new UserError('--threads: the host engine has one thread per CPU; leave it out');
  }
  return engine;
}

const DAY_PS = 86_400e12;

function resolveTimeMs({ time }: RunRequest, engine: string): number | null {
  if (time === undefined) return null;
  if (engine !== 'host') {
    throw new UserError(
      '--time: emulated runs end by operations, not by the clock; only --engine host takes it',
    );
  }
  const bounds = { minimum: PS_PER_MS, maximum: DAY_PS };
  return parseTimePs('--time', time, 's', bounds) / PS_PER_MS;
}

export function resolveSeeds(seedText: string, repeatText: string): readonly number[] {
  const first = parseSeed('--seed', seedText);
  const repeat = parseCount('--repeat', repeatText, { minimum: 1, maximum: REPEAT_MAX });
  if (first > SEED_MAX - (repeat - 1)) {
    throw new UserError(
      `--seed: the seeds ${first} .. ${seedText}+${repeat - 1} pass 2^53; give a smaller seed`,
    );
  }
  return Array.from({ length: repeat }, (_, index) => first + index);
}

/** auto: as many seeds side by side as the host has cores. */
function resolveJobs(text: string, seedCount: number): number {
  if (text === 'auto') return Math.min(seedCount, availableParallelism());
  if (!/^-?\d/.test(text)) {
    throw new UserError(`--jobs: ${given(text)} is neither auto nor a number of seeds`);
  }
  return Math.min(seedCount, parseCount('--jobs', text, { minimum: 1, maximum: JOBS_MAX }));
}

/** What decides the result, and nothing else. */
function runIdOf(spec: Omit<RunSpec, 'runId'>): string {
  const identity = {
    workload: spec.reference.name,
    machineHash: spec.machine.hash,
    engine: spec.engine,
    placement: {
      cpus: spec.placement.cpus,
      memoryPolicy: spec.placement.memoryPolicy,
      bindNode: spec.placement.bindNode,
    },
    parts: spec.reference.parts.map((part) => ({
      label: part.label,
      ...(part.off ? { off: true } : {}),
      workload: part.workload.name,
      cpus: part.context.placement.cpus,
      parameters: part.context.parameters,
    })),
    parameters: spec.parameters,
    like: spec.like,
    whatIf: spec.whatIf,
    seeds: spec.seeds,
    files: Object.values(spec.userFiles).toSorted(),
  };
  return sha256Hex(sortedJson(identity as unknown as Json));
}
