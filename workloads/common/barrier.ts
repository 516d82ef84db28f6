/**
 * A barrier in emulated memory: arrivals are counted by fetch-and-add on one line, the last one
 * clears the count and moves the generation, on a line of its own, on which the others wait.
 */

import type { Cpu, Program } from '../../src/cpu/cpu.ts';
import { Condition, Order } from '../../src/cpu/operations.ts';

/** Two lines, zeroed, aligned to 128 bytes. */
export const BARRIER_BYTES = 128;
const GENERATION = 64;

export function* barrier(cpu: Cpu, hi: number, lo: number, participants: number): Program {
  while (!cpu.load32(hi, lo + GENERATION, Order.Acquire)) yield;
  const generation = cpu.lo;
  while (!cpu.add32(hi, lo, 1, Order.AcquireRelease)) yield;
  if (cpu.lo === participants - 1) {
    while (!cpu.store32(hi, lo, 0, Order.Relaxed)) yield;
    while (!cpu.store32(hi, lo + GENERATION, (generation + 1) | 0, Order.Release)) yield;
    return;
  }
  while (!cpu.cond32(hi, lo + GENERATION, Condition.NotEqual, -1, generation, Order.Acquire)) {
    yield;
  }
}
