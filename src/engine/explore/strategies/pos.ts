/**
 * POS, partial order sampling: Yuan, Yang, Gu, CAV 2018. Each pending step has a random priority;
 * the highest is taken, then those that race with it are drawn anew. Needs neither k nor d.
 * Deviations: a deadline passes by chance, not by priority. After `fairFrom` steps the schedule is
 * a random walk: a step that nothing races with keeps a low priority for good, and then an
 * owner waits for ever beside CPUs that spin.
 */

import { dependent, type Execution, StepKind } from '../execution.ts';
import { EXPIRES_ONE_IN, RandomWalk } from './random.ts';

const FAIR_AFTER = 2000;

export class PartialOrderSampling extends RandomWalk {
  override readonly name: string = 'pos';
  override readonly fairFrom: number;
  #priority = new Int32Array(0);
  /** The agent's pending step has a priority. */
  #drawn = new Uint8Array(0);

  constructor(seed: number, fairAfter = FAIR_AFTER) {
    super(seed);
    this.fairFrom = fairAfter;
  }

  override begin(schedule: number, execution: Execution): void {
    super.begin(schedule, execution);
    if (this.#priority.length !== execution.agentCount) {
      this.#priority = new Int32Array(execution.agentCount);
      this.#drawn = new Uint8Array(execution.agentCount);
    }
    this.#drawn.fill(0);
  }

  override chooseAgent(execution: Execution): number {
    if (execution.stepCount >= this.fairFrom) return super.chooseAgent(execution);
    const { enabled, enabledCount } = execution;
    const priority = this.#priority;
    if (enabledCount === 1) {
      this.#drawn[enabled[0]!] = 0;
      return enabled[0]!;
    }
    let best = -1;
    for (let i = 0; i < enabledCount; i++) {
      const agent = enabled[i]!;
      if (this.#drawn[agent] === 0) {
        priority[agent] = this.random.word();
        this.#drawn[agent] = 1;
      }
      if (execution.kind[agent] === StepKind.Expire && this.random.below(EXPIRES_ONE_IN) !== 0) {
        continue;
      }
      if (best < 0 || priority[agent]! > priority[best]!) best = agent;
    }
    if (best < 0) best = enabled[0]!;
    this.#drawn[best] = 0;
    for (let i = 0; i < enabledCount; i++) {
      const agent = enabled[i]!;
      if (agent !== best && dependent(execution, best, agent)) this.#drawn[agent] = 0;
    }
    return best;
  }
}
