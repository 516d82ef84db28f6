/**
 * When each CPU of a worker can act next. Every window asks for the first and the second of them,
 * but changes few: the times stand side by side in blocks, and only blocks that changed are read
 * again.
 */

import { NEVER } from './cpu-state.ts';

const BLOCK_SHIFT = 4;
const BLOCK = 1 << BLOCK_SHIFT;

export class NextTimes {
  /** Of the last scan: the earliest time, its slot (-1: none), and the earliest of all others. */
  firstPs = NEVER;
  firstSlot = -1;
  secondPs = NEVER;
  readonly blocks: number;
  readonly #times: Float64Array;
  readonly #stale: Uint8Array;
  readonly #blockFirst: Float64Array;
  readonly #blockSecond: Float64Array;
  readonly #blockSlot: Int32Array;

  constructor(cpus: number) {
    this.blocks = Math.ceil(cpus / BLOCK);
    this.#times = new Float64Array(this.blocks * BLOCK).fill(NEVER, cpus);
    this.#stale = new Uint8Array(this.blocks).fill(1);
    this.#blockFirst = new Float64Array(this.blocks);
    this.#blockSecond = new Float64Array(this.blocks);
    this.#blockSlot = new Int32Array(this.blocks);
  }

  get(slot: number): number {
    return this.#times[slot]!;
  }

  set(slot: number, timePs: number): void {
    this.#times[slot] = timePs;
    this.#stale[slot >> BLOCK_SHIFT] = 1;
  }

  /** First slot at or after `from` that is due before `endPs`, or -1. */
  dueFrom(from: number, endPs: number): number {
    let slot = from;
    for (let block = slot >> BLOCK_SHIFT; block < this.blocks; block++) {
      const last = (block + 1) << BLOCK_SHIFT;
      if (this.#stale[block] === 1 || this.#blockFirst[block]! < endPs) {
        for (; slot < last; slot++) {
          if (this.#times[slot]! < endPs) return slot;
        }
      }
      slot = last;
    }
    return -1;
  }

  /** Finds first and second. */
  scan(): void {
    let first = NEVER;
    let second = NEVER;
    let slot = -1;
    for (let block = 0; block < this.blocks; block++) {
      if (this.#stale[block] === 1) this.#scanBlock(block);
      const due = this.#blockFirst[block]!;
      if (due < first) {
        second = Math.min(first, this.#blockSecond[block]!);
        first = due;
        slot = this.#blockSlot[block]!;
      } else if (due < second) {
        second = due;
      }
    }
    this.firstPs = first;
    this.secondPs = second;
    this.firstSlot = slot;
  }

  #scanBlock(block: number): void {
    let first = NEVER;
    let second = NEVER;
    let slot = -1;
    const start = block << BLOCK_SHIFT;
    for (let at = start; at < start + BLOCK; at++) {
      const due = this.#times[at]!;
      if (due >= second) continue;
      if (due < first) {
        second = first;
        first = due;
        slot = at;
      } else {
        second = due;
      }
    }
    this.#stale[block] = 0;
    this.#blockFirst[block] = first;
    this.#blockSecond[block] = second;
    this.#blockSlot[block] = slot;
  }
}
