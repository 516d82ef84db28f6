/**
 * From the texts of the command line to campaigns: targets, sizes, budgets. Whatever is wrong with
 * the input is refused here, before a thread is started.
 */

import { availableParallelism } from 'node:os';
import { UserError } from '../base/errors.ts';
import { parseAssignment } from '../base/parse-parameters.ts';
import { given, parseCount, parseSeed, parseTimePs } from '../base/parse-quantity.ts';
import { didYouMean } from '../base/suggest.ts';
import { PS_PER_MS, PS_PER_S } from '../base/units.ts';
import type { MemoryModel } from '../engine/explore/execution.ts';
import { isLockFile, openUserLock } from '../run/user-lock-file.ts';
import type { CampaignSetup, TargetReference } from './campaign-task.ts';
import { ORACLE_NAMES } from './oracles/catalogue.ts';
import {
  mutantNamed,
  nameWithOptions,
  resolveTarget,
  targetsNamed,
  userLockTarget,
} from './registry.ts';
import { STEP_LIMIT } from './run-target.ts';
import { parseStrategy, type StrategyName } from './strategies.ts';
import type { StressSize, StressTarget } from './target.ts';

/** Texts as the user wrote them; undefined = not given. */
export interface StressRequest {
  readonly words: readonly string[];
  readonly engine: string | undefined;
  readonly strategy: string | undefined;
  readonly memoryModel: string | undefined;
  readonly oracle: string | undefined;
  readonly schedules: string | undefined;
  readonly time: string | undefined;
  readonly operations: string | undefined;
  readonly cpus: string | undefined;
  readonly jobs: string | undefined;
  readonly seed: string | undefined;
  readonly keepGoing: boolean;
}

export interface StressPlan {
  readonly targets: readonly { readonly setup: CampaignSetup; readonly target: StressTarget }[];
  /** null: as many as fit into the time. */
  readonly schedules: number | null;
  readonly timeMs: number | null;
  readonly jobs: number;
  readonly keepGoing: boolean;
  readonly strategy: StrategyName;
  /** The word stood for several targets. */
  readonly isGroup: boolean;
}

export const DEFAULT_SCHEDULES = 20_000;
const SCHEDULES_MAX = 1_000_000_000;
const OPERATIONS_MAX = 1000;
const JOBS_MAX = 256;
const CPUS_MAX = 64;

export async function resolveStress(
  request: StressRequest,
  signal: AbortSignal,
): Promise<StressPlan> {
  refuseOtherEngines(request.engine ?? 'explore');
  const { word, mutant, options } = splitWords(request.words);
  if (word === undefined && mutant === '') {
    throw new UserError(
      "stress what? A target ('numalab list targets'), all, locks, protocols, text, " +
        'or ./my-lock.mjs',
    );
  }
  const strategy = parseStrategy(request.strategy ?? 'mix');
  const timeMs = parseTime(request.time);
  const common = {
    model: parseModel(request.memoryModel ?? 'tso'),
    strategy,
    seed: parseSeed('--seed', request.seed ?? '1'),
    stepLimit: STEP_LIMIT,
    oracles: parseOracles(request.oracle),
  };
  const references = await referencesOf(word, mutant, options, signal);
  const targets: StressPlan['targets'][number][] = [];
  for (const reference of references) {
    const { lock, name } = reference;
    // Not imported here: a user's file may hang.
    const target = lock === null ? await resolveTarget(reference) : userLockTarget(name, lock.file);
    const size = sizeOf(target, request, strategy);
    targets.push({ setup: { ...common, target: reference, size }, target });
  }
  return {
    targets,
    schedules: parseSchedules(request.schedules, timeMs !== null || strategy === 'exhaustive'),
    timeMs,
    jobs: parseJobs(request.jobs ?? 'auto'),
    keepGoing: request.keepGoing,
    strategy,
    isGroup: references.length > 1,
  };
}

function refuseOtherEngines(engine: string): void {
  if (engine === 'explore') return;
  if (engine === 'host') {
    throw new UserError('--engine host: stress on the host engine is not in this version');
  }
  if (engine === 'virtual') {
    throw new UserError(
      "--engine virtual: stress needs an engine that chooses schedules: explore; 'numalab run " +
        "--check' runs the checkers on the virtual one",
    );
  }
  throw new UserError(`--engine: ${given(engine)} is none of explore, host`);
}

/** The first word without `=` is the target; mutant=ID says what to stress by itself. */
export function splitWords(words: readonly string[]): {
  readonly word: string | undefined;
  /** Its id as the catalogue has it; '' = none. */
  readonly mutant: string;
  /** All other assignments: the target's own. */
  readonly options: readonly string[];
} {
  const [first, ...rest] = words;
  const hasTarget = first !== undefined && !first.includes('=');
  const assignments = hasTarget ? rest : words;
  const isMutant = (word: string): boolean => parseAssignment(word).key === 'mutant';
  const id = parseMutant(assignments.filter(isMutant));
  const options = assignments.filter((word) => !isMutant(word));
  const mutant = id === '' ? '' : mutantNamed(id).id;
  // Whoever has no target has no options either, and a mutant is what it is.
  if (!hasTarget || mutant !== '') nameWithOptions('', options);
  return { word: hasTarget ? first : undefined, mutant, options };
}

async function referencesOf(
  word: string | undefined,
  mutant: string,
  options: readonly string[],
  signal: AbortSignal,
): Promise<TargetReference[]> {
  if (mutant !== '') {
    if (word !== undefined) checkMutantOf(word, mutant);
    return [{ name: mutantNamed(mutant).name, mutant, lock: null }];
  }
  if (isLockFile(word!)) {
    nameWithOptions('', options);
    const lock = await openUserLock(word!, signal);
    return [{ name: lock.name, mutant: '', lock }];
  }
  return targetsNamed(word!).map((name) => ({
    name: nameWithOptions(name, options),
    mutant: '',
    lock: null,
  }));
}

/** Mutants are named after what they are of: "ticket-nonatomic". */
function checkMutantOf(word: string, mutant: string): void {
  const { name } = mutantNamed(mutant);
  const hint = `write numalab stress mutant=${mutant}`;
  if (isLockFile(word)) throw new UserError(`a lock from a file has no mutants; ${hint}`);
  const [target, ...others] = targetsNamed(word);
  if (others.length === 0 && name.startsWith(target!.slice(0, 3))) return;
  throw new UserError(`mutant=${mutant} (${name}) is not of ${word}; ${hint}`);
}

function parseMutant(words: readonly string[]): string {
  let mutant = '';
  for (const word of words) {
    const { value } = parseAssignment(word);
    if (mutant !== '') throw new UserError('mutant is given twice; give it once');
    if (value === '') throw new UserError("mutant: an empty value; 'numalab list mutants'");
    mutant = value;
  }
  return mutant;
}

/** An exhaustive search takes the smallest size unless told. */
function sizeOf(
  target: StressTarget,
  { cpus, operations }: StressRequest,
  strategy: StrategyName,
): StressSize {
  const { smallest, name } = target;
  const usual = strategy === 'exhaustive' ? smallest : target.usual;
  const most = target.resized === undefined ? target.machine.cpuCount : CPUS_MAX;
  return {
    cpus: cpus === undefined ? usual.cpus : parseCpus(cpus, name, smallest.cpus, most),
    operations:
      operations === undefined
        ? usual.operations
        : parseCount('--ops', operations, {
            minimum: smallest.operations,
            maximum: OPERATIONS_MAX,
          }),
  };
}

function parseCpus(text: string, name: string, least: number, most: number): number {
  const count = parseCount('--cpus', text, { minimum: 1, maximum: Number.MAX_SAFE_INTEGER });
  if (count >= least && count <= most) return count;
  if (least === most) throw new UserError(`--cpus: ${name} is for ${most} CPUs, not for ${count}`);
  const why =
    count < least ? 'with fewer nothing can go wrong' : 'the explore engine takes no more';
  throw new UserError(`--cpus: ${name} takes ${least} to ${most} CPUs, not ${count}: ${why}`);
}

export function parseModel(text: string): MemoryModel {
  if (text === 'sc' || text === 'tso') return text;
  throw new UserError(`--memory-model: ${given(text)} is none of sc, tso`);
}

function parseOracles(text: string | undefined): readonly string[] {
  if (text === undefined) return [];
  return text.split(',').map((name) => {
    if (ORACLE_NAMES.includes(name)) return name;
    const near = didYouMean(name, ORACLE_NAMES) || "; 'numalab list oracles' lists them";
    throw new UserError(`--oracle: there is no oracle ${given(name)}${near}`);
  });
}

function parseTime(text: string | undefined): number | null {
  if (text === undefined) return null;
  const bounds = { minimum: PS_PER_MS, maximum: 7 * 24 * 3600 * PS_PER_S };
  return parseTimePs('--time', text, 's', bounds) / PS_PER_MS;
}

function parseSchedules(text: string | undefined, isBounded: boolean): number | null {
  if (text === undefined) return isBounded ? null : DEFAULT_SCHEDULES;
  return parseCount('--schedules', text, { minimum: 1, maximum: SCHEDULES_MAX });
}

function parseJobs(text: string): number {
  if (text === 'auto') return availableParallelism();
  if (!/^-?\d/.test(text)) {
    throw new UserError(`--jobs: ${given(text)} is neither auto nor a number of threads`);
  }
  return parseCount('--jobs', text, { minimum: 1, maximum: JOBS_MAX });
}
