/**
 * What one schedule of the explore engine came to: plain data. A finding has the shape that targets
 * and oracles use (src/stress/target.ts), so that both pass each other's on; engines don't know
 * that room.
 */

import type { StepKind } from './execution.ts';

export interface ExploreFinding {
  /** The oracle that speaks: the engine's own are deadlock, livelock, assertion, program. */
  readonly oracle: string;
  /** The CPU that broke the rule first, then those concerned. */
  readonly cpus: readonly number[];
  readonly text: string;
  readonly hi: number;
  readonly lo: number;
}

/**
 * step-limit: cut off while progress was still made, or under a scheduler that isn't fair.
 * diverged: a replay met an event that is not in the program any more.
 */
export type Outcome = 'passed' | 'failed' | 'step-limit' | 'diverged';

/** Who an event is, whatever moves in the source around it (ER-E5). */
export interface EventIdentity {
  readonly cpu: number;
  /** Generator function that makes the attempt; drain, dvm, interrupt, walk for other agents. */
  readonly program: string;
  readonly operation: string;
  /** Named memory and offset; '' where there is no address. */
  readonly field: string;
  /** Of the same four, from 1. */
  readonly nth: number;
}

export interface TraceStep {
  readonly agent: number;
  readonly kind: StepKind;
  readonly hi: number;
  readonly lo: number;
  readonly bytes: number;
  readonly event: EventIdentity;
  /** "file:line" of the attempt in the source; '' for other agents. */
  readonly place: string;
  /** What the step read or left: the word at the address after it. */
  readonly value: number;
  /** Deadlines that passed or not, and other values chosen in this step. */
  readonly values: readonly number[];
}

export interface ScheduleResult {
  readonly outcome: Outcome;
  readonly finding: ExploreFinding | null;
  readonly steps: number;
  /** Steps of another CPU than the one before; not counted (0) if the schedule passed. */
  readonly contextSwitches: number;
  /** Goals that were reached (Reporter.reach). */
  readonly reached: ReadonlySet<string>;
  /**
   * Agents in the order of their steps, and the values chosen, in order: replays this build. Empty
   * if the schedule passed; they are in the explorer until the next one.
   */
  readonly agents: Int32Array;
  readonly values: Int32Array;
  /** Where a replay left its log; ''. */
  readonly divergedAt: string;
}

/** Ends a schedule from inside a program or an oracle: the finding is in the explorer already. */
export class ScheduleEnd extends Error {
  override readonly name = 'ScheduleEnd';
}

/** The program breaks the rules of the CPU interface. */
export class ProgramFault extends Error {
  override readonly name = 'ProgramFault';
}
