/**
 * Random walk: one of the enabled agents, all alike. A deadline that would pass is chosen less
 * often, or whoever waits with one never meets what it waits for.
 */

import { RandomStream } from '../../../base/random.ts';
import { type Execution, StepKind } from '../execution.ts';
import type { Strategy } from '../strategy.ts';

/** Of so many times that a deadline could pass, it does once. */
export const EXPIRES_ONE_IN = 8;

export class RandomWalk implements Strategy {
  readonly name: string = 'random';
  readonly fairFrom: number = 0;
  protected readonly seed: number;
  protected random!: RandomStream;

  constructor(seed: number) {
    this.seed = seed;
  }

  begin(schedule: number, _execution: Execution): void {
    this.random = new RandomStream(this.seed, `explore ${this.name}`, schedule);
  }

  chooseAgent(execution: Execution): number {
    const { enabled, enabledCount, kind } = execution;
    if (enabledCount === 1) return enabled[0]!;
    const agent = enabled[this.random.below(enabledCount)]!;
    if (kind[agent] !== StepKind.Expire) return agent;
    if (this.random.below(EXPIRES_ONE_IN) === 0) return agent;
    return enabled[this.random.below(enabledCount)]!;
  }

  chooseValue(count: number, _execution: Execution): number {
    if (count === 2) return this.random.below(EXPIRES_ONE_IN) === 0 ? 1 : 0;
    return this.random.below(count);
  }
}
