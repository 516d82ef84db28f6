/**
 * Random walk: one of the enabled agents, all alike. A deadline that would pass is chosen less
 * often, or whoever waits with one never meets what it waits for.
 */

import { RandomStream } from '../../../base/random.ts';
import { type Execution, StepKind } from '../execution.ts';
import type { Strategy } from '../strategy.ts';

/** Of so many times that a deadline could pass, it does once. */
export const EXPIRES_ONE_IN = 8;

const BATCH = 64;
const SMALL = 256;

/** Small random numbers, drawn in batches. */
export class Draws {
  readonly #words = new Int32Array(BATCH);
  /** In halves of words. */
  #next = 2 * BATCH;
  #stream: RandomStream | null = null;

  begin(seed: number, purpose: string, schedule: number): void {
    this.#stream = new RandomStream(seed, purpose, schedule);
    this.#next = 2 * BATCH;
  }

  /** An integer in [0, bound); small ones take 16 random bits, so their bias is bound / 2^16. */
  below(bound: number): number {
    if (bound <= SMALL) return Math.imul(this.#half(), bound) >>> 16;
    return Math.floor(((this.word() >>> 0) * bound) / 0x1_0000_0000);
  }

  #half(): number {
    if (this.#next === 2 * BATCH) this.#refill();
    const at = this.#next++;
    const word = this.#words[at >> 1]!;
    return (at & 1) === 0 ? word & 0xffff : word >>> 16;
  }

  /** 32 random bits, signed. */
  word(): number {
    return (this.#half() << 16) | this.#half();
  }

  #refill(): void {
    this.#stream!.fill(this.#words);
    this.#next = 0;
  }
}

export class RandomWalk implements Strategy {
  readonly name: string = 'random';
  readonly fairFrom: number = 0;
  protected readonly seed: number;
  protected readonly random = new Draws();

  /** Of the stream; strategies that derive from this one have names of their own. */
  #purpose = '';

  constructor(seed: number) {
    this.seed = seed;
  }

  begin(schedule: number, _execution: Execution): void {
    if (this.#purpose === '') this.#purpose = `explore ${this.name}`;
    this.random.begin(this.seed, this.#purpose, schedule);
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
