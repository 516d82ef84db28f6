/**
 * Latch: two copies of the data and a sequence whose lowest bit names the copy to read. The writer
 * sends readers to the other copy before it changes one, so a reader that interrupts the writer
 * (an NMI that asks for the time) never waits.
 * Source: include/linux/seqlock.h (seqcount_latch_t, raw_write_seqcount_latch,
 * read_seqcount_latch, read_seqcount_latch_retry).
 * Invariants: a copy changes only while the sequence names the other one; one writer at a time
 * (the caller's lock). A reader repeats only if the sequence moved while it read.
 * Line transfers: readers write nothing; every change costs each reader two reads of the line.
 */

import type { Cpu, Program } from '../cpu/cpu.ts';
import { Fence, Order } from '../cpu/operations.ts';

export const LATCH_BYTES = 4;

/** Writes the new contents into one copy (0 or 1). */
export type WriteCopy = (cpu: Cpu, copy: number) => Program;

export interface LatchSteps {
  /** Readers go to the other copy from here on. */
  flip(cpu: Cpu, hi: number, lo: number): Program;
  /** One attempt: what was read is read before the sequence is looked at again. */
  readFence(cpu: Cpu): boolean;
  /** One attempt, on both sides of a flip. */
  writeFence(cpu: Cpu): boolean;
  /** Both copies, each while nobody is sent to it. */
  update(cpu: Cpu, hi: number, lo: number, write: WriteCopy, steps: LatchSteps): Program;
}

export const latchSteps: LatchSteps = {
  *flip(cpu, hi, lo) {
    while (!cpu.load32(hi, lo, Order.Relaxed)) yield;
    const next = (cpu.lo + 1) | 0;
    while (!cpu.store32(hi, lo, next, Order.Relaxed)) yield;
  },

  readFence: (cpu) => cpu.fence(Fence.DmbIshLd),
  writeFence: (cpu) => cpu.fence(Fence.DmbIshSt),

  *update(cpu, hi, lo, write, steps) {
    for (let copy = 0; copy < 2; copy++) {
      while (!steps.writeFence(cpu)) yield;
      yield* steps.flip(cpu, hi, lo);
      while (!steps.writeFence(cpu)) yield;
      yield* write(cpu, copy);
    }
  },
};

export interface SequenceLatch {
  readonly bytes: number;
  /** Result in cpu.lo: the sequence to give to readRetry; the copy to read is its lowest bit. */
  readBegin(cpu: Cpu, hi: number, lo: number): Program;
  /** Result in cpu.ret: 1 = read again. */
  readRetry(cpu: Cpu, hi: number, lo: number, start: number): Program;
  /** Under the writers' own lock: `write` is called for either copy. */
  update(cpu: Cpu, hi: number, lo: number, write: WriteCopy): Program;
}

export function makeSequenceLatch(steps: LatchSteps = latchSteps): SequenceLatch {
  return {
    bytes: LATCH_BYTES,

    *readBegin(cpu, hi, lo) {
      while (!cpu.load32(hi, lo, Order.Acquire)) yield;
    },

    *readRetry(cpu, hi, lo, start) {
      while (!steps.readFence(cpu)) yield;
      while (!cpu.load32(hi, lo, Order.Relaxed)) yield;
      cpu.ret = cpu.lo === start ? 0 : 1;
    },

    update: (cpu, hi, lo, write) => steps.update(cpu, hi, lo, write, steps),
  };
}
