/**
 * Bitmaps in emulated memory (Linux lib/bitmap.c, asm-generic/bitops/atomic.h): bit n is bit n mod
 * 32 of word n / 32. Changes are single atomics (LDSET, LDCLR), so bitmaps need no lock.
 *
 * Deviation: words of 32 bits, as the CPU's bit operations are; Linux has 64. A line holds the same
 * 512 bits either way.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Order } from '../../cpu/operations.ts';

const WORD_BITS = 32;

/** Bytes of a bitmap, whole lines. */
export function bitmapBytes(bits: number): number {
  return Math.ceil(bits / 512) * 64;
}

/** Address (low half) of the word that holds a bit. */
export function wordLo(lo: number, bit: number): number {
  return (lo + (bit >>> 5) * 4) | 0;
}

/** ret = the bit. */
export function testBit(cpu: Cpu, hi: number, lo: number, bit: number): boolean {
  if (!cpu.load32(hi, wordLo(lo, bit), Order.Relaxed)) return false;
  cpu.ret = (cpu.lo >>> (bit & 31)) & 1;
  return true;
}

/** set_bit: unordered. */
export function setBit(cpu: Cpu, hi: number, lo: number, bit: number): boolean {
  return cpu.set32(hi, wordLo(lo, bit), 1 << (bit & 31), Order.Relaxed);
}

/** clear_bit: unordered. */
export function clearBit(cpu: Cpu, hi: number, lo: number, bit: number): boolean {
  return cpu.clear32(hi, wordLo(lo, bit), 1 << (bit & 31), Order.Relaxed);
}

/** test_and_set_bit: fully ordered; ret = the old bit. */
export function testAndSetBit(cpu: Cpu, hi: number, lo: number, bit: number): boolean {
  const mask = 1 << (bit & 31);
  if (!cpu.set32(hi, wordLo(lo, bit), mask, Order.SequentiallyConsistent)) return false;
  cpu.ret = (cpu.lo >>> (bit & 31)) & 1;
  return true;
}

/** test_and_clear_bit: fully ordered; ret = the old bit. */
export function testAndClearBit(cpu: Cpu, hi: number, lo: number, bit: number): boolean {
  const mask = 1 << (bit & 31);
  if (!cpu.clear32(hi, wordLo(lo, bit), mask, Order.SequentiallyConsistent)) return false;
  cpu.ret = (cpu.lo >>> (bit & 31)) & 1;
  return true;
}

/** xchg(&bitmap[word], 0): lo = the bits that were set (KVM_GET_DIRTY_LOG without protection). */
export function takeWord(cpu: Cpu, hi: number, lo: number, word: number): boolean {
  return cpu.swap32(hi, (lo + word * 4) | 0, 0, Order.SequentiallyConsistent);
}

/** atomic_long_fetch_andnot: clears `mask`; lo = the bits of `mask` that were set. */
export function takeBits(cpu: Cpu, hi: number, lo: number, word: number, mask: number): boolean {
  if (!cpu.clear32(hi, (lo + word * 4) | 0, mask, Order.SequentiallyConsistent)) return false;
  cpu.lo &= mask;
  return true;
}

/** find_next_bit: ret = the first set bit in [from, bits), or `bits`. */
export function* findNextBit(
  cpu: Cpu,
  hi: number,
  lo: number,
  bits: number,
  from: number,
): Program {
  yield* findNext(cpu, hi, lo, bits, from, 0);
}

/** find_next_zero_bit: ret = the first clear bit in [from, bits), or `bits`. */
export function* findNextZeroBit(
  cpu: Cpu,
  hi: number,
  lo: number,
  bits: number,
  from: number,
): Program {
  yield* findNext(cpu, hi, lo, bits, from, -1);
}

function* findNext(
  cpu: Cpu,
  hi: number,
  lo: number,
  bits: number,
  from: number,
  invert: number,
): Program {
  let mask = -1 << (from & 31);
  for (let bit = from & ~31; bit < bits; bit += WORD_BITS) {
    while (!cpu.load32(hi, wordLo(lo, bit), Order.Relaxed)) yield;
    const found = (cpu.lo ^ invert) & mask;
    if (found !== 0) {
      cpu.ret = Math.min(bits, bit + 31 - Math.clz32(found & -found));
      return;
    }
    mask = -1;
  }
  cpu.ret = bits;
}
