/**
 * When each CPU of a worker can act next. Every window asks for the earliest of them, but changes
 * few: the times stand side by side in blocks, and only blocks that changed are read again.
 */

import { NEVER } from './cpu-state.ts';

export const BLOCK_SHIFT = 4;
const BLOCK = 1 << BLOCK_SHIFT;

export class NextTimes {
  readonly blocks: number;
  /** By slot. Whoever writes one marks its block in `stale`: CPUs do so themselves. */
  readonly times: Float64Array;
  /** By slot >> BLOCK_SHIFT: 1 if a time of the block has changed. */
  readonly stale: Uint8Array;
  readonly #blockFirst: Float64Array;

  constructor(cpus: number) {
    this.blocks = Math.ceil(cpus / BLOCK);
    this.times = new Float64Array(this.blocks * BLOCK).fill(NEVER, cpus);
    this.stale = new Uint8Array(this.blocks).fill(1);
    this.#blockFirst = new Float64Array(this.blocks);
  }

  /** First slot at or after `from` that is due before `endPs`, or -1. */
  dueFrom(from: number, endPs: number): number {
    let slot = from;
    for (let block = slot >> BLOCK_SHIFT; block < this.blocks; block++) {
      const last = (block + 1) << BLOCK_SHIFT;
      if (this.stale[block] === 1 || this.#blockFirst[block]! < endPs) {
        for (; slot < last; slot++) {
          if (this.times[slot]! < endPs) return slot;
        }
      }
      slot = last;
    }
    return -1;
  }

  /** The earliest time of all, NEVER if none. */
  earliest(): number {
    let first = NEVER;
    for (let block = 0; block < this.blocks; block++) {
      if (this.stale[block] === 1) this.#readBlock(block);
      if (this.#blockFirst[block]! < first) first = this.#blockFirst[block]!;
    }
    return first;
  }

  /** The earliest time of all CPUs but one. */
  earliestBeside(slot: number): number {
    const own = slot >> BLOCK_SHIFT;
    let first = NEVER;
    for (let block = 0; block < this.blocks; block++) {
      if (block === own) continue;
      if (this.stale[block] === 1) this.#readBlock(block);
      if (this.#blockFirst[block]! < first) first = this.#blockFirst[block]!;
    }
    const start = own << BLOCK_SHIFT;
    for (let at = start; at < start + BLOCK; at++) {
      if (at !== slot && this.times[at]! < first) first = this.times[at]!;
    }
    return first;
  }

  #readBlock(block: number): void {
    const start = block << BLOCK_SHIFT;
    let first = NEVER;
    for (let at = start; at < start + BLOCK; at++) {
      if (this.times[at]! < first) first = this.times[at]!;
    }
    this.stale[block] = 0;
    this.#blockFirst[block] = first;
  }
}
