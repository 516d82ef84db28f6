/**
 * The emulated physical address map. Node n owns [n * 2^38, (n + 1) * 2^38): 256 GiB at most, so
 * that the node of an address is `hi >>> 6` and a line's number inside its node fits 32 bits. The
 * first `backedBytes` of each node have contents (page tables, lock words, text); the rest has
 * addresses and cache lines but no bytes.
 *
 * The kernel's linear map puts physical address p at VA 0xffff_0000_0000_0000 + p (PAGE_OFFSET of a
 * 48-bit kernel), so kernel pointers and physical addresses convert by one OR of the high half.
 */

import { assert } from '../base/assert.ts';

export const NODE_SHIFT_HI = 6;
export const NODE_BYTES_MAX = 2 ** 38;
/** High half of PAGE_OFFSET. */
export const LINEAR_MAP_HI = 0xffff0000 | 0;

const TWO_32 = 0x1_0000_0000;

export function nodeOf(paHi: number): number {
  return paHi >>> NODE_SHIFT_HI;
}

/** Number of the line inside its node, as a signed 32-bit integer. */
export function lineOf(paHi: number, paLo: number): number {
  return ((paHi & 63) << 26) | (paLo >>> 6);
}

/** Byte offset inside the node. */
export function offsetOf(paHi: number, paLo: number): number {
  return (paHi & 63) * TWO_32 + (paLo >>> 0);
}

export function paHiOf(node: number, offset: number): number {
  return (node << NODE_SHIFT_HI) | Math.floor(offset / TWO_32);
}

export function paLoOf(offset: number): number {
  return offset | 0;
}

/** Is the address inside the part of its node that has bytes? */
export function isBacked(paHi: number, paLo: number, backedBytes: number): boolean {
  return (paHi & 63) === 0 && paLo >>> 0 < backedBytes;
}

/** An address as data (boot images, symbols): both halves signed 32-bit. */
export interface Address {
  readonly hi: number;
  readonly lo: number;
}

/** Address + bytes, with the carry. */
export function addBytes(address: Address, bytes: number): Address {
  assert(Number.isSafeInteger(bytes), `offset ${bytes} is no integer`);
  const sum = (address.lo >>> 0) + bytes;
  return { hi: (address.hi + Math.floor(sum / TWO_32)) | 0, lo: sum | 0 };
}

/** The linear-map virtual address of a physical one. */
export function toLinear(physical: Address): Address {
  return { hi: physical.hi | LINEAR_MAP_HI, lo: physical.lo };
}

/** The physical address behind a linear-map virtual one. */
export function fromLinear(virtual: Address): Address {
  return { hi: virtual.hi & 0xffff, lo: virtual.lo };
}
