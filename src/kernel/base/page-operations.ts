/**
 * Zeroing, copying and cache maintenance of whole pages (arm64 clear_page, copy_page,
 * dcache_clean_inval_poc), at linear-map addresses. Memory without bytes takes one attempt per
 * page; memory with bytes goes line by line, as does all memory if the caller forces it (to measure
 * what the shortcut leaves out). Engines charge the cost of each line.
 */

import { LINE_BYTES } from '../../base/units.ts';
import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Order } from '../../cpu/operations.ts';
import { isBacked } from '../../memory/physical-address.ts';

/** Has the linear-map address bytes behind it? */
export function hasBytes(cpu: Cpu, hi: number, lo: number): boolean {
  return isBacked(hi & 0xffff, lo, cpu.backedBytes);
}

/** Zeroes a naturally aligned page or block. */
export function* zeroPages(
  cpu: Cpu,
  hi: number,
  lo: number,
  bytes: number,
  lineByLine = false,
): Program {
  if (!lineByLine && !hasBytes(cpu, hi, lo)) {
    while (!cpu.zeroPage(hi, lo, bytes)) yield;
    return;
  }
  for (let offset = 0; offset < bytes; offset += LINE_BYTES) {
    while (!cpu.zeroLine(hi, (lo + offset) | 0)) yield;
  }
}

/** Cleans and invalidates a naturally aligned page or block to the point of coherency. */
export function* cleanInvalidatePages(
  cpu: Cpu,
  hi: number,
  lo: number,
  bytes: number,
  lineByLine = false,
): Program {
  if (!lineByLine && !hasBytes(cpu, hi, lo)) {
    while (!cpu.cleanInvalidatePage(hi, lo, bytes)) yield;
    return;
  }
  for (let offset = 0; offset < bytes; offset += LINE_BYTES) {
    while (!cpu.cleanInvalidateLine(hi, (lo + offset) | 0)) yield;
  }
}

/** Copies a naturally aligned page or block. */
export function* copyPages(
  cpu: Cpu,
  toHi: number,
  toLo: number,
  fromHi: number,
  fromLo: number,
  bytes: number,
  lineByLine = false,
): Program {
  const bytesOnOneSide = hasBytes(cpu, toHi, toLo) || hasBytes(cpu, fromHi, fromLo);
  if (!lineByLine && !bytesOnOneSide) {
    while (!cpu.copyPage(toHi, toLo, fromHi, fromLo, bytes)) yield;
    return;
  }
  // Without contents one access per line and side moves the same lines.
  const step = bytesOnOneSide ? 8 : LINE_BYTES;
  for (let offset = 0; offset < bytes; offset += step) {
    while (!cpu.load64(fromHi, (fromLo + offset) | 0, Order.Relaxed)) yield;
    const { hi, lo } = cpu;
    while (!cpu.store64(toHi, (toLo + offset) | 0, hi, lo, Order.Relaxed)) yield;
  }
}
