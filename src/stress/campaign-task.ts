/**
 * What the main thread asks of a campaign's worker threads and what they give back: plain data and
 * one shared buffer. A worker takes chunks of schedules from a shared counter until none are left,
 * so that how many workers there are decides nothing but the time.
 */

import type { ErrorData } from '../base/errors.ts';
import type { MemoryModel } from '../engine/explore/execution.ts';
import type { ExploreFinding } from '../engine/explore/result.ts';
import type { UserLockReference } from '../run/task.ts';
import type { ReplayRecord } from './replay-string.ts';
import type { StrategyName } from './strategies.ts';
import type { StressSize } from './target.ts';

/** Where a worker finds the target. */
export interface TargetReference {
  /** Of the registry; of a user's lock its own name. */
  readonly name: string;
  /** Id of a seeded mistake; '' = none. */
  readonly mutant: string;
  readonly lock: UserLockReference | null;
}

/** What every schedule of a campaign has in common. */
export interface CampaignSetup {
  readonly target: TargetReference;
  readonly size: StressSize;
  readonly model: MemoryModel;
  readonly strategy: StrategyName;
  readonly seed: number;
  readonly stepLimit: number;
  /** Oracles that may speak; empty = all. */
  readonly oracles: readonly string[];
}

/** Words of the shared buffer. */
export const Shared = {
  /** Set: end after the current schedule. */
  Stop: 0,
  NextChunk: 1,
  /** Lowest schedule that failed so far. */
  LowestFailure: 2,
  /** Schedules done, all workers. */
  Done: 3,
  /** From here a word per worker: counts up with every schedule; 0 = not at work. */
  Hearts: 4,
} as const;

export const NO_FAILURE = 0x7fff_ffff;

export interface ScheduleTask {
  readonly kind: 'schedules';
  readonly setup: CampaignSetup;
  /** Schedules 0 ... count-1 are to be run. */
  readonly count: number;
  readonly chunk: number;
  /** After a failure go on with the others. */
  readonly keepGoing: boolean;
  readonly worker: number;
  readonly shared: SharedArrayBuffer;
}

export interface MinimiseTask {
  readonly kind: 'minimise';
  readonly setup: CampaignSetup;
  readonly failure: ScheduleFailure;
  readonly limitMs: number;
  readonly worker: number;
  readonly shared: SharedArrayBuffer;
}

/** Sizes, model and seed of the setup are those of the string. */
export interface ReplayTask {
  readonly kind: 'replay';
  readonly setup: CampaignSetup;
  readonly record: ReplayRecord;
  readonly worker: number;
  readonly shared: SharedArrayBuffer;
}

export interface ExhaustiveTask {
  readonly kind: 'exhaustive';
  readonly setup: CampaignSetup;
  /** Executions. */
  readonly limit: number;
  /** By the user, so it may end before all is done; else a program with more is refused. */
  readonly isBounded: boolean;
  readonly worker: number;
  readonly shared: SharedArrayBuffer;
}

export type StressTask = ScheduleTask | MinimiseTask | ReplayTask | ExhaustiveTask;

export interface ScheduleFailure {
  readonly schedule: number;
  readonly strategy: string;
  readonly finding: ExploreFinding;
  /** Oracle and field. */
  readonly signature: string;
  readonly agents: Int32Array;
  readonly values: Int32Array;
}

/** Sums over some schedules, in a form that can be added up in any order. */
export interface ChunkResult {
  readonly chunk: number;
  readonly schedules: number;
  readonly steps: number;
  readonly stepsMax: number;
  /** Cut off by the step limit. */
  readonly limited: number;
  readonly reached: readonly string[];
  readonly failures: readonly ScheduleFailure[];
  /** Schedules that failed, those whose signature is known already included. */
  readonly failed: number;
  /** Of what each schedule did; words are added. */
  readonly digest: readonly number[];
  /** By strategy. */
  readonly byStrategy: Readonly<Record<string, number>>;
}

export type Reply<Value> = { readonly value: Value } | { readonly error: ErrorData };
