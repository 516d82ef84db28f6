/**
 * Replays the very agents and values of a schedule of this build, by position: for a second run of
 * a failure with tracing on. Replays that survive edits go by event identity (replay.ts).
 */

import { DivergedError } from '../choice-log.ts';
import type { Execution } from '../execution.ts';
import type { Strategy } from '../strategy.ts';

export class Recorded implements Strategy {
  readonly name = 'recorded';
  /** It was recorded under whatever found it. */
  readonly fairFrom = 0;
  readonly #agents: ArrayLike<number>;
  readonly #values: ArrayLike<number>;
  #nextValue = 0;

  constructor(agents: ArrayLike<number>, values: ArrayLike<number>) {
    this.#agents = agents;
    this.#values = values;
  }

  begin(_schedule: number, _execution: Execution): void {
    this.#nextValue = 0;
  }

  chooseAgent(execution: Execution): number {
    const agent = this.#agents[execution.stepCount];
    const { enabled, enabledCount } = execution;
    if (agent === undefined) return enabled[execution.stepCount % enabledCount]!;
    for (let i = 0; i < enabledCount; i++) if (enabled[i] === agent) return agent;
    throw new DivergedError(`step ${execution.stepCount}: agent ${agent} can't go on`);
  }

  chooseValue(count: number, _execution: Execution): number {
    const value = this.#values[this.#nextValue++] ?? 0;
    return value < count ? value : 0;
  }
}
