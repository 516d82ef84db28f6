/**
 * Emulated memory as the host engine touches it: every access is one JavaScript Atomics operation
 * on the shared zones, so it is sequentially consistent, whatever its order argument says. This
 * engine can't show a missing barrier (ER-H5). 64-bit words are BigInt here and only here (ER-H4).
 *
 * Result words of an access are in `lo` and `hi`. Memory without bytes reads as 0.
 */

import { nodeOf } from '../../memory/physical-address.ts';
import type { PhysicalMemory } from '../../memory/physical-memory.ts';

export class HostMemory {
  lo = 0;
  hi = 0;
  readonly #memory: PhysicalMemory;
  readonly #wide: readonly BigInt64Array<SharedArrayBuffer>[];
  readonly #scratch64 = new BigInt64Array(1);
  readonly #scratch32 = new Int32Array(this.#scratch64.buffer);

  constructor(memory: PhysicalMemory) {
    this.#memory = memory;
    this.#wide = memory.zones.map((zone) => new BigInt64Array(zone.buffer));
  }

  load32(paHi: number, paLo: number): number {
    if (!this.#memory.isBacked(paHi, paLo)) return 0;
    return Atomics.load(this.#memory.zones[nodeOf(paHi)]!, paLo >>> 2);
  }

  store32(paHi: number, paLo: number, value: number): void {
    if (!this.#memory.isBacked(paHi, paLo)) return;
    Atomics.store(this.#memory.zones[nodeOf(paHi)]!, paLo >>> 2, value);
  }

  /** Returns the old word. */
  compareExchange32(paHi: number, paLo: number, expected: number, desired: number): number {
    if (!this.#memory.isBacked(paHi, paLo)) return 0;
    const zone = this.#memory.zones[nodeOf(paHi)]!;
    return Atomics.compareExchange(zone, paLo >>> 2, expected, desired);
  }

  exchange32(paHi: number, paLo: number, value: number): number {
    if (!this.#memory.isBacked(paHi, paLo)) return 0;
    return Atomics.exchange(this.#memory.zones[nodeOf(paHi)]!, paLo >>> 2, value);
  }

  add32(paHi: number, paLo: number, value: number): number {
    if (!this.#memory.isBacked(paHi, paLo)) return 0;
    return Atomics.add(this.#memory.zones[nodeOf(paHi)]!, paLo >>> 2, value);
  }

  or32(paHi: number, paLo: number, bits: number): number {
    if (!this.#memory.isBacked(paHi, paLo)) return 0;
    return Atomics.or(this.#memory.zones[nodeOf(paHi)]!, paLo >>> 2, bits);
  }

  and32(paHi: number, paLo: number, bits: number): number {
    if (!this.#memory.isBacked(paHi, paLo)) return 0;
    return Atomics.and(this.#memory.zones[nodeOf(paHi)]!, paLo >>> 2, bits);
  }

  /** Replaces `bits` wide bits at the address inside its word, by a loop of compare-and-swap. */
  exchangePart(paHi: number, paLo: number, bits: number, value: number): number {
    const shift = (paLo & 3) * 8;
    const mask = ((1 << bits) - 1) << shift;
    const wordLo = paLo & ~3;
    let word = this.load32(paHi, wordLo);
    for (;;) {
      const fresh = (word & ~mask) | ((value << shift) & mask);
      const old = this.compareExchange32(paHi, wordLo, word, fresh);
      if (old === word || !this.#memory.isBacked(paHi, wordLo)) return (word & mask) >>> shift;
      word = old;
    }
  }

  load64(paHi: number, paLo: number): void {
    if (!this.#memory.isBacked(paHi, paLo)) this.#split(0n);
    else this.#split(Atomics.load(this.#wide[nodeOf(paHi)]!, paLo >>> 3));
  }

  store64(paHi: number, paLo: number, vHi: number, vLo: number): void {
    if (!this.#memory.isBacked(paHi, paLo)) return;
    Atomics.store(this.#wide[nodeOf(paHi)]!, paLo >>> 3, this.#join(vHi, vLo));
  }

  exchange64(paHi: number, paLo: number, vHi: number, vLo: number): void {
    if (!this.#memory.isBacked(paHi, paLo)) this.#split(0n);
    else this.#split(Atomics.exchange(this.#wide[nodeOf(paHi)]!, paLo >>> 3, this.#join(vHi, vLo)));
  }

  add64(paHi: number, paLo: number, vHi: number, vLo: number): void {
    if (!this.#memory.isBacked(paHi, paLo)) this.#split(0n);
    else this.#split(Atomics.add(this.#wide[nodeOf(paHi)]!, paLo >>> 3, this.#join(vHi, vLo)));
  }

  /** The old value is in hi, lo. */
  compareExchange64(
    paHi: number,
    paLo: number,
    eHi: number,
    eLo: number,
    dHi: number,
    dLo: number,
  ): void {
    if (!this.#memory.isBacked(paHi, paLo)) {
      this.#split(0n);
      return;
    }
    const expected = this.#join(eHi, eLo);
    const desired = this.#join(dHi, dLo);
    const zone = this.#wide[nodeOf(paHi)]!;
    this.#split(Atomics.compareExchange(zone, paLo >>> 3, expected, desired));
  }

  #join(hi: number, lo: number): bigint {
    this.#scratch32[0] = lo;
    this.#scratch32[1] = hi;
    return this.#scratch64[0]!;
  }

  #split(value: bigint): void {
    this.#scratch64[0] = value;
    this.lo = this.#scratch32[0]!;
    this.hi = this.#scratch32[1]!;
  }
}
