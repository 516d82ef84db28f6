/**
 * Who decides what happens next. Every free choice of an execution goes through one Chooser, and
 * every choice is logged, so that a log replays it (choice-log.ts).
 */

import type { Execution } from './execution.ts';

/** Makes the choices of one schedule. */
export interface Strategy {
  readonly name: string;
  /** Step from which on every enabled agent gets its turn; absent: none. */
  readonly fairFrom?: number;
  /** Before each schedule. Its choices may depend on the seed, this number and the execution. */
  begin(schedule: number, execution: Execution): void;
  /** One of `execution.enabled`. */
  chooseAgent(execution: Execution): number;
  /** A number below `count`: a deadline that passes or not, a spurious wake, ... */
  chooseValue(count: number, execution: Execution): number;
  /** After `agent` has taken its step: its next pending step is in the execution. */
  taken?(agent: number, execution: Execution): void;
}

/** For random strategies: made anew for each (seed, name). */
export interface StrategyOptions {
  readonly seed: number;
  /** Programs' expected number of steps together; strategies that need one estimate it. */
  readonly expectedSteps: number;
  /** By agent (estimate-steps.ts): URW weighs agents by it. */
  readonly expectedByAgent?: readonly number[];
  /** PCT: bug depth. */
  readonly depth: number;
  /** Steps after which a schedule is continued fairly at random. */
  readonly fairAfter: number;
}
