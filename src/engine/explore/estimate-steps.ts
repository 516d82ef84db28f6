/**
 * How long schedules are: a few random ones, always the same for a seed, so that what strategies
 * make of it doesn't depend on how schedules are shared among workers.
 */

import type { Explorer } from './explorer.ts';
import { runSchedule } from './run-schedule.ts';
import { RandomWalk } from './strategies/random.ts';

export interface StepEstimate {
  /** The longest that was seen. */
  readonly expectedSteps: number;
  /** Mean by agent. */
  readonly expectedByAgent: readonly number[];
}

const TRIALS = 8;

export function estimateSteps(explorer: Explorer, seed: number): StepEstimate {
  const strategy = new RandomWalk(seed);
  const byAgent = new Array<number>(explorer.agentCount).fill(0);
  let expectedSteps = 1;
  for (let trial = 0; trial < TRIALS; trial++) {
    const { steps } = runSchedule(explorer, strategy, -1 - trial);
    expectedSteps = Math.max(expectedSteps, steps);
    for (let i = 0; i < steps; i++) byAgent[explorer.agents[i]!]! += 1 / TRIALS;
  }
  return { expectedSteps, expectedByAgent: byAgent };
}
