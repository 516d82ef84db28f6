/** The strategies that mutants are hunted with. */

import { RandomWalk } from '../../engine/explore/strategies/random.ts';
import type { Strategy } from '../../engine/explore/strategy.ts';

export interface NamedStrategy {
  readonly name: string;
  make(seed: number): Strategy;
}

export const STRATEGIES: readonly NamedStrategy[] = [
  { name: 'random', make: (seed) => new RandomWalk(seed) },
];
