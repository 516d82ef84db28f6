/**
 * A seeded mistake: one step of a factory replaced, never a copy of the code, no run-time switch.
 * The catalogue's names (M01 ... M50, P01 ... P24) are those of the published table
 * (test/reports/mutants.md).
 */

import type { Lock } from '../sync/lock.ts';
import type { StressTarget } from './target.ts';

/** Weakest model that shows it; `performance`: the measured side only. */
export type MutantModel = 'sc' | 'tso' | 'needs armv8' | 'lkmm only' | 'performance';

/** Everybody thinks up to so long, asks for the one lock, holds it so long, and again. */
export interface Load {
  readonly cpus: number;
  readonly rounds: number;
  readonly thinkNs: number;
  readonly sectionNs: number;
}

/** What a mutant of performance is told by: a figure of it and of the lock that it was made of. */
export interface Measured {
  readonly figure: 'lines per hand-over' | 'longest bypass';
  readonly load: Load;
  mutated(): Lock;
  original(): Lock;
}

export interface Mutant {
  readonly id: string;
  readonly name: string;
  /** What was replaced, in words. */
  readonly change: string;
  readonly model: MutantModel;
  /**
   * Of the mistake, as PCT counts it: so many steps have to come in one order (an estimate).
   * Absent: starvation and speed need many. Its short schedule has depth + 2 preemptions at most.
   */
  readonly depth?: number;
  /** Oracles of which one has to speak; empty: all must be silent (controls, armv8 under tso). */
  readonly oracles: readonly string[];
  /** Why it is listed and not run ("not here yet"). */
  readonly notHere?: string;
  /** Of a mutant of performance. */
  readonly measured?: Measured;
  make(): StressTarget;
}
