/** What every oracle of the replay is: fed with events in emulated order, asked at the end. */

import type { EventKind } from '../cpu/operations.ts';
import type { CpuLog } from './cpu-watch.ts';
import type { Findings, Rule } from './violation.ts';

/** One event of the merged stream. The object is reused: take what you keep. */
export interface Occurrence {
  timePs: number;
  cpu: number;
  kind: EventKind;
  hi: number;
  lo: number;
}

export interface ReplayInput {
  readonly logs: readonly CpuLog[];
  /** FEAT_BBM level of the machine. */
  readonly bbm: string;
  /** Every program ended: what is still held then is held for ever. */
  readonly finished: boolean;
  /** Nothing is known from here on (a log was full); Infinity: everything is. */
  readonly untilPs: number;
}

export interface Oracle {
  readonly rule: Rule;
  readonly findings: Findings;
  event(occurrence: Occurrence): void;
  finish(): void;
  /** What was checked and how much of it, for a result without violations. */
  summary(): string;
}
