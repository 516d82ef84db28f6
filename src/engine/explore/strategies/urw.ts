/**
 * URW, uniform random walk: Zhao et al., "Selectively uniform concurrency testing", ASPLOS 2025. An
 * agent is chosen in proportion to the steps that it is expected to have left, so that every
 * interleaving is equally likely if the expectation is right.
 */

import type { Execution } from '../execution.ts';
import { StepKind } from '../execution.ts';
import type { StrategyOptions } from '../strategy.ts';
import { EXPIRES_ONE_IN, RandomWalk } from './random.ts';

export class UniformRandomWalk extends RandomWalk {
  override readonly name: string = 'urw';
  readonly #options: StrategyOptions;
  #left = new Float64Array(0);

  constructor(options: StrategyOptions) {
    super(options.seed);
    this.#options = options;
  }

  override begin(schedule: number, execution: Execution): void {
    super.begin(schedule, execution);
    const { agentCount, cpuCount } = execution;
    if (this.#left.length !== agentCount) this.#left = new Float64Array(agentCount);
    const { expectedByAgent, expectedSteps } = this.#options;
    for (let agent = 0; agent < agentCount; agent++) {
      const guess = agent < cpuCount ? expectedSteps / cpuCount : 1;
      this.#left[agent] = Math.max(1, Math.round(expectedByAgent?.[agent] ?? guess));
    }
  }

  override chooseAgent(execution: Execution): number {
    const { enabled, enabledCount, kind } = execution;
    let agent = enabled[0]!;
    if (enabledCount > 1) {
      agent = this.#weighted(execution);
      const expires = kind[agent] === StepKind.Expire;
      if (expires && this.random.below(EXPIRES_ONE_IN) !== 0) agent = this.#weighted(execution);
    }
    if (this.#left[agent]! > 1) this.#left[agent]!--;
    return agent;
  }

  #weighted({ enabled, enabledCount }: Execution): number {
    const left = this.#left;
    let sum = 0;
    for (let i = 0; i < enabledCount; i++) sum += left[enabled[i]!]!;
    let at = this.random.below(sum);
    for (let i = 0; i < enabledCount; i++) {
      at -= left[enabled[i]!]!;
      if (at < 0) return enabled[i]!;
    }
    return enabled[enabledCount - 1]!;
  }
}
