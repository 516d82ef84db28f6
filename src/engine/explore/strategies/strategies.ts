/** The strategies that choose by seed, by name. */

import { UserError } from '../../../base/errors.ts';
import type { Strategy, StrategyOptions } from '../strategy.ts';
import { Pct } from './pct.ts';
import { PartialOrderSampling } from './pos.ts';
import { RandomWalk } from './random.ts';
import { Starve } from './starve.ts';
import { UniformRandomWalk } from './urw.ts';

export const STRATEGY_NAMES = ['random', 'pct', 'pos', 'urw', 'starve'] as const;
export type StrategyName = (typeof STRATEGY_NAMES)[number];

export function makeStrategy(name: string, options: StrategyOptions): Strategy {
  switch (name) {
    case 'random':
      return new RandomWalk(options.seed);
    case 'pct':
      return new Pct(options);
    case 'pos':
      return new PartialOrderSampling(options.seed, options.fairAfter);
    case 'urw':
      return new UniformRandomWalk(options);
    case 'starve':
      return new Starve(options);
    default:
      throw new UserError(`there is no strategy '${name}'; there are ${STRATEGY_NAMES.join(', ')}`);
  }
}
