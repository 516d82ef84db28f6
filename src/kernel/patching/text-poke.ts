/**
 * Writing to text that may not be written to. What both ways have in common: the bytes of a page
 * are written through a window that exists for the time of the write, under one lock; afterwards
 * the caller makes them visible (icache.ts).
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Order } from '../../cpu/operations.ts';

/** Where the new words come from: an attempt that leaves the word for an offset in cpu.lo. */
export type PokeSource = (cpu: Cpu, offset: number) => boolean;

export interface TextPoke {
  /**
   * Writes `bytes` (a multiple of 4) at a text address, page by page. Returns when the words are in
   * memory and the window is gone from every TLB that may have had it.
   */
  write(cpu: Cpu, hi: number, lo: number, bytes: number, source: PokeSource): Program;
}

/** Copies from a buffer (linear-map or vmalloc address). */
export function copyFrom(bufferHi: number, bufferLo: number): PokeSource {
  return (cpu, offset) => cpu.load32(bufferHi, (bufferLo + offset) | 0, Order.Relaxed);
}

/** The same word everywhere: an instruction, or trap filler. */
export function fillWith(word: number): PokeSource {
  return (cpu) => {
    cpu.lo = word;
    return true;
  };
}
