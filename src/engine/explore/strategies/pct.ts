/**
 * PCT: Burckhardt, Kothari, Musuvathi, Nagarakatte, "A randomized scheduler with probabilistic
 * guarantees of finding bugs", ASPLOS 2010. Random priorities d, d+1, ... for agents, d - 1 change
 * points among the expected steps k; at the i-th the agent that was about to run falls to priority
 * d - i. A bug of depth d is found with probability 1 / (n k^(d-1)) at least.
 *
 * Deviations: agents (drains, walkers, deliveries, too) stand for threads; steps with one choice
 * don't count, as in Shuttle and Fray; after `fairAfter` steps the schedule goes on as a random
 * walk (fair PCT of Coyote), where the bound ends; a deadline passes by chance, never by priority.
 * The change points follow from seed and schedule alone: k is not raised while schedules run, or
 * the result would depend on how they are shared among workers.
 */

import { type Execution, StepKind } from '../execution.ts';
import type { StrategyOptions } from '../strategy.ts';
import { EXPIRES_ONE_IN, RandomWalk } from './random.ts';

export class Pct extends RandomWalk {
  override readonly name: string = 'pct';
  override readonly fairFrom: number;
  readonly #depth: number;
  readonly #expectedSteps: number;
  #priority = new Int32Array(0);
  readonly #changeAt: Int32Array;
  /** Steps so far with more than one agent enabled. */
  #counted = 0;
  #nextChange = 0;

  constructor(options: StrategyOptions) {
    super(options.seed);
    this.#depth = Math.max(1, options.depth);
    this.#expectedSteps = Math.max(1, options.expectedSteps);
    this.fairFrom = options.fairAfter;
    this.#changeAt = new Int32Array(this.#depth - 1);
  }

  override begin(schedule: number, execution: Execution): void {
    super.begin(schedule, execution);
    const { agentCount } = execution;
    if (this.#priority.length !== agentCount) this.#priority = new Int32Array(agentCount);
    const priority = this.#priority;
    // Inside-out shuffle of d ... d + n - 1.
    for (let agent = 0; agent < agentCount; agent++) {
      const other = this.random.below(agent + 1);
      priority[agent] = priority[other]!;
      priority[other] = this.#depth + agent;
    }
    this.#drawChanges();
    this.#counted = 0;
    this.#nextChange = 0;
  }

  /** Distinct steps of 1 ... k, ascending; fewer than d - 1 if k is smaller. */
  #drawChanges(): void {
    const changes = this.#changeAt;
    for (let i = 0; i < changes.length; i++) {
      let drawn = 0;
      for (let tries = 0; tries < 100; tries++) {
        drawn = 1 + this.random.below(this.#expectedSteps);
        if (changes.indexOf(drawn) < 0 || changes.indexOf(drawn) >= i) break;
      }
      changes[i] = drawn;
    }
    changes.sort();
  }

  override chooseAgent(execution: Execution): number {
    if (execution.enabledCount === 1) return execution.enabled[0]!;
    if (execution.stepCount >= this.fairFrom) return super.chooseAgent(execution);
    this.#counted++;
    let best = this.#highest(execution);
    while (
      this.#nextChange < this.#changeAt.length &&
      this.#counted >= this.#changeAt[this.#nextChange]!
    ) {
      this.#nextChange++;
      this.#priority[best] = this.#depth - this.#nextChange;
      best = this.#highest(execution);
    }
    return best;
  }

  #highest(execution: Execution): number {
    const { enabled, enabledCount, kind } = execution;
    let best = -1;
    for (let i = 0; i < enabledCount; i++) {
      const agent = enabled[i]!;
      if (kind[agent] === StepKind.Expire && this.random.below(EXPIRES_ONE_IN) !== 0) continue;
      if (best < 0 || this.#priority[agent]! > this.#priority[best]!) best = agent;
    }
    return best < 0 ? enabled[0]! : best;
  }
}
