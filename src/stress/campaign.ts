/**
 * A campaign: many schedules of one target, spread over worker threads, and one verdict. With a
 * number of schedules the verdict, the failing schedule and the digest are the same for any number
 * of jobs: of failures the one with the lowest number counts, and what lies beyond it is left out.
 * With a time only what failed is certain: it replays.
 */

import { assert } from '../base/assert.ts';
import type {
  CampaignSetup,
  ChunkResult,
  ExhaustiveTask,
  MinimiseTask,
  ScheduleFailure,
  ScheduleTask,
} from './campaign-task.ts';
import type { FailureStory } from './explain-failure.ts';
import type { StressPool } from './pool.ts';
import type { SearchOutcome } from './search-all.ts';

export interface Budget {
  /** null: as many as fit into the time. */
  readonly schedules: number | null;
  /** null: however long it takes. */
  readonly timeMs: number | null;
  readonly keepGoing: boolean;
}

export interface CampaignResult {
  readonly setup: CampaignSetup;
  /** Schedules that count: all up to and including the failing one. */
  readonly schedules: number;
  /** The budget was used up, or something was found. */
  readonly isComplete: boolean;
  readonly steps: number;
  readonly stepsMax: number;
  readonly limited: number;
  readonly reached: ReadonlySet<string>;
  readonly byStrategy: ReadonlyMap<string, number>;
  readonly failed: number;
  /** By schedule; one per signature. */
  readonly failures: readonly ScheduleFailure[];
  readonly digest: string;
  readonly seconds: number;
  /** null: schedules were sampled. */
  readonly search: SearchOutcome | null;
}

/** Small enough for a failure to end the others soon, large enough to be no cost. */
const CHUNK = 250;
/** Chunk numbers stay below 2^31. */
const SCHEDULES_MAX = 2 ** 31 - 2;
/** Minimising is bounded by trials; this ends it on a host that is far too slow. */
const MINIMISE_MS = 60_000;
/** Executions of an exhaustive search: a minute or two. */
const SEARCH_LIMIT = 300_000;

export async function runCampaign(
  setup: CampaignSetup,
  budget: Budget,
  pool: StressPool,
  signal: AbortSignal,
): Promise<CampaignResult> {
  if (setup.strategy === 'exhaustive') return runSearch(setup, budget, pool, signal);
  const startMs = performance.now();
  const count = budget.schedules ?? SCHEDULES_MAX;
  const tasks = Array.from(
    { length: pool.jobs },
    (_, worker): ScheduleTask => ({
      kind: 'schedules',
      setup,
      count,
      chunk: CHUNK,
      keepGoing: budget.keepGoing,
      worker,
      shared: pool.shared,
    }),
  );
  pool.reset();
  const timer = budget.timeMs === null ? null : setTimeout(() => pool.stop(), budget.timeMs);
  try {
    const perWorker = await pool.together<readonly ChunkResult[]>(tasks, setup, signal);
    const seconds = (performance.now() - startMs) / 1000;
    return merge(setup, perWorker.flat(), count, budget.keepGoing, seconds);
  } finally {
    if (timer !== null) clearTimeout(timer);
  }
}

async function runSearch(
  setup: CampaignSetup,
  budget: Budget,
  pool: StressPool,
  signal: AbortSignal,
): Promise<CampaignResult> {
  const startMs = performance.now();
  const isBounded = budget.schedules !== null || budget.timeMs !== null;
  const limit = budget.schedules ?? (isBounded ? SCHEDULES_MAX : SEARCH_LIMIT);
  const { shared } = pool;
  const task: ExhaustiveTask = { kind: 'exhaustive', setup, limit, isBounded, worker: 0, shared };
  pool.reset();
  const timer = budget.timeMs === null ? null : setTimeout(() => pool.stop(), budget.timeMs);
  try {
    const [search] = await pool.together<SearchOutcome>([task], setup, signal);
    return resultOfSearch(setup, search!, (performance.now() - startMs) / 1000);
  } finally {
    if (timer !== null) clearTimeout(timer);
  }
}

function resultOfSearch(
  setup: CampaignSetup,
  search: SearchOutcome,
  seconds: number,
): CampaignResult {
  const { outcome, executions, sleepBlocked, steps, cut, failure } = search;
  const words = [executions, sleepBlocked, steps, cut];
  return {
    setup,
    schedules: executions + (failure === null ? 0 : 1),
    isComplete: outcome === 'complete' || outcome === 'failed',
    steps,
    stepsMax: 0,
    limited: cut,
    reached: new Set(search.reached),
    byStrategy: new Map([['exhaustive', executions]]),
    failed: failure === null ? 0 : 1,
    failures: failure === null ? [] : [failure],
    digest: words.map((word) => (word >>> 0).toString(16).padStart(8, '0')).join(''),
    seconds,
    search,
  };
}

/** Makes a failure short and tells its story. */
export async function explain(
  setup: CampaignSetup,
  failure: ScheduleFailure,
  pool: StressPool,
  signal: AbortSignal,
): Promise<FailureStory> {
  const task: MinimiseTask = {
    kind: 'minimise',
    setup,
    failure,
    limitMs: MINIMISE_MS,
    worker: 0,
    shared: pool.shared,
  };
  pool.reset();
  const [story] = await pool.together<FailureStory>([task], setup, signal);
  return story!;
}

function merge(
  setup: CampaignSetup,
  all: readonly ChunkResult[],
  count: number,
  keepGoing: boolean,
  seconds: number,
): CampaignResult {
  const failures = lowestOfEach(all.flatMap((chunk) => chunk.failures));
  const first = keepGoing ? undefined : failures[0];
  // Chunks beyond the failing one may or may not have been run.
  const last = first === undefined ? Number.POSITIVE_INFINITY : Math.floor(first.schedule / CHUNK);
  const counted = all.filter(({ chunk }) => chunk <= last);
  const sum = (of: (chunk: ChunkResult) => number): number =>
    counted.reduce((total, chunk) => total + of(chunk), 0);
  const schedules = sum((chunk) => chunk.schedules);
  if (first !== undefined)
    assert(schedules <= first.schedule + 1, 'a chunk went on after a failure');
  const byStrategy = new Map<string, number>();
  for (const chunk of counted) {
    for (const [name, times] of Object.entries(chunk.byStrategy)) {
      byStrategy.set(name, (byStrategy.get(name) ?? 0) + times);
    }
  }
  return {
    setup,
    schedules,
    isComplete: schedules === count || first !== undefined,
    steps: sum((chunk) => chunk.steps),
    stepsMax: Math.max(0, ...counted.map((chunk) => chunk.stepsMax)),
    limited: sum((chunk) => chunk.limited),
    reached: new Set(counted.flatMap((chunk) => chunk.reached)),
    byStrategy: new Map([...byStrategy].toSorted(([a], [b]) => (a < b ? -1 : 1))),
    failed: sum((chunk) => chunk.failed),
    failures: first === undefined ? failures : [first],
    digest: digestOf(counted),
    seconds,
    search: null,
  };
}

function lowestOfEach(failures: readonly ScheduleFailure[]): ScheduleFailure[] {
  const lowest = new Map<string, ScheduleFailure>();
  for (const failure of failures) {
    const known = lowest.get(failure.signature);
    if (known === undefined || failure.schedule < known.schedule) {
      lowest.set(failure.signature, failure);
    }
  }
  return [...lowest.values()].toSorted((a, b) => a.schedule - b.schedule);
}

/** Sums word by word: the order in which chunks were run does not matter. */
function digestOf(chunks: readonly ChunkResult[]): string {
  const words = new Int32Array(4);
  for (const { digest } of chunks) {
    for (let lane = 0; lane < words.length; lane++) words[lane]! += digest[lane]!;
  }
  return Array.from(words, (word) => (word >>> 0).toString(16).padStart(8, '0')).join('');
}
