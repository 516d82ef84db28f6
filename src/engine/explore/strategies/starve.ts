/**
 * Starve: a random walk in which some agents (programs and store buffers) get no turn for a while,
 * as in the chaos mode of rr (R. O'Callahan, "Introducing rr chaos mode", 2016): intervals of
 * doubling lengths, a fifth of the time at most. It finds what needs one CPU to be slow for long:
 * waiters overtaken, stores that stay in their buffer.
 */

import type { Execution } from '../execution.ts';
import type { StrategyOptions } from '../strategy.ts';
import { RandomWalk } from './random.ts';

const LOW_ONE_IN = 4;
/** Of so many steps, the starving ones are one. */
const SHARE = 5;

export class Starve extends RandomWalk {
  override readonly name: string = 'starve';
  readonly #expectedSteps: number;
  #low = new Uint8Array(0);
  #intervalSteps = 1;
  #offset = 0;

  constructor(options: StrategyOptions) {
    super(options.seed);
    this.#expectedSteps = Math.max(2, options.expectedSteps);
  }

  override begin(schedule: number, execution: Execution): void {
    super.begin(schedule, execution);
    const { agentCount, cpuCount } = execution;
    if (this.#low.length !== agentCount) this.#low = new Uint8Array(agentCount);
    this.#low.fill(0);
    for (let agent = 0; agent < Math.min(agentCount, 2 * cpuCount); agent++) {
      this.#low[agent] = this.random.below(LOW_ONE_IN) === 0 ? 1 : 0;
    }
    this.#low[this.random.below(cpuCount)] = 1;
    const doublings = 32 - Math.clz32(this.#expectedSteps);
    this.#intervalSteps = 1 << this.random.below(doublings);
    this.#offset = this.random.below(this.#intervalSteps * SHARE);
  }

  override chooseAgent(execution: Execution): number {
    const { enabled, enabledCount } = execution;
    if (enabledCount === 1) return enabled[0]!;
    const at = (execution.stepCount + this.#offset) % (this.#intervalSteps * SHARE);
    if (at >= this.#intervalSteps) return super.chooseAgent(execution);
    let others = 0;
    for (let i = 0; i < enabledCount; i++) others += 1 - this.#low[enabled[i]!]!;
    if (others === 0) return super.chooseAgent(execution);
    let pick = this.random.below(others);
    for (let i = 0; i < enabledCount; i++) {
      const agent = enabled[i]!;
      if (this.#low[agent] === 0 && pick-- === 0) return agent;
    }
    return enabled[0]!;
  }
}
