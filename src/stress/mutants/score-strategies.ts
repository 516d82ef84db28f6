/** The strategies that mutants are hunted with. */

import { Pct } from '../../engine/explore/strategies/pct.ts';
import { PartialOrderSampling } from '../../engine/explore/strategies/pos.ts';
import { RandomWalk } from '../../engine/explore/strategies/random.ts';
import { Starve } from '../../engine/explore/strategies/starve.ts';
import { UniformRandomWalk } from '../../engine/explore/strategies/urw.ts';
import type { Strategy, StrategyOptions } from '../../engine/explore/strategy.ts';

export interface NamedStrategy {
  readonly name: string;
  make(options: StrategyOptions): Strategy;
}

export const STRATEGIES: readonly NamedStrategy[] = [
  { name: 'random', make: ({ seed }) => new RandomWalk(seed) },
  { name: 'pct 2', make: (options) => new Pct({ ...options, depth: 2 }) },
  { name: 'pct 3', make: (options) => new Pct({ ...options, depth: 3 }) },
  { name: 'pos', make: ({ seed, fairAfter }) => new PartialOrderSampling(seed, fairAfter) },
  { name: 'urw', make: (options) => new UniformRandomWalk(options) },
  { name: 'starve', make: (options) => new Starve(options) },
];

/** So many times the steps of a usual schedule: from there on fairly; then it is endless. */
const FAIR_FACTOR = 8;
const LIMIT_FACTOR = 40;
const LIMIT_MIN = 8000;

/** `expectedSteps`: of one usual schedule. */
export function strategyOptions(seed: number, expectedSteps: number): StrategyOptions {
  return { seed, expectedSteps, depth: 2, fairAfter: expectedSteps * FAIR_FACTOR };
}

export function stepLimitOf(expectedSteps: number): number {
  return Math.max(LIMIT_MIN, expectedSteps * LIMIT_FACTOR);
}
