/**
 * Who holds which lock, in ghost words that only the engine knows: swapped in after the acquiring
 * access and out before the releasing one, by atomics and so inside the protected region (ER-H6).
 * Of two CPUs that hold a lock at once the later one sees the other, whatever the host's timing;
 * a correct lock never raises an alarm.
 *
 * A lock is found by its address in an open hash; when that is full, further locks go unwatched.
 */

import { EventKind } from '../../cpu/operations.ts';
import { type ControlLayout, GHOST_ENTRIES, GHOST_WORDS } from './control.ts';
import { FindingError } from './finding.ts';

const Word = {
  /** Address of the lock: hi with its low bit set apart from 0, then lo. */
  KeyHi: 0,
  KeyLo: 1,
  /** CPU + 1. */
  Writer: 2,
  Readers: 3,
} as const;

const PROBES = 32;
const WRITING = -1;

export class GhostLocks {
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #first: number;
  readonly #cpu: number;

  constructor(words: Int32Array<SharedArrayBuffer>, layout: ControlLayout, cpu: number) {
    this.#words = words;
    this.#first = layout.ghosts;
    this.#cpu = cpu;
  }

  event(kind: number, hi: number, lo: number): void {
    if (kind > EventKind.ReadLockReleased) return;
    const at = this.#find(hi, lo);
    if (at < 0) return;
    if (kind === EventKind.LockAcquired) this.#acquired(at, hi, lo);
    else if (kind === EventKind.LockReleased) this.#released(at, hi, lo);
    else if (kind === EventKind.ReadLockAcquired) this.#readAcquired(at, hi, lo);
    else this.#readReleased(at, hi, lo);
  }

  #acquired(at: number, hi: number, lo: number): void {
    const other = Atomics.exchange(this.#words, at + Word.Writer, this.#cpu + 1);
    if (other !== 0) this.#fail('acquires a lock that another holds', hi, lo, other - 1);
    const readers = Atomics.load(this.#words, at + Word.Readers);
    if (readers > 0) this.#fail('acquires a lock that readers hold', hi, lo);
  }

  #released(at: number, hi: number, lo: number): void {
    const owner = Atomics.compareExchange(this.#words, at + Word.Writer, this.#cpu + 1, 0);
    if (owner !== this.#cpu + 1) this.#fail('releases a lock that it does not hold', hi, lo);
  }

  #readAcquired(at: number, hi: number, lo: number): void {
    Atomics.add(this.#words, at + Word.Readers, 1);
    const writer = Atomics.load(this.#words, at + Word.Writer);
    if (writer !== 0) this.#fail('reads under a lock of a writer', hi, lo, writer - 1);
  }

  #readReleased(at: number, hi: number, lo: number): void {
    const readers = Atomics.sub(this.#words, at + Word.Readers, 1);
    if (readers <= 0) this.#fail('releases a read lock that nobody holds', hi, lo);
  }

  #fail(text: string, hi: number, lo: number, other = -1): never {
    const cpus = other < 0 ? [this.#cpu] : [this.#cpu, other];
    throw new FindingError({ oracle: 'exclusion', cpus, text, hi, lo });
  }

  /** First word of the lock's entry, made if there is none; -1: no room near its place. */
  #find(hi: number, lo: number): number {
    // Zero is a free entry, and an address is never odd.
    const keyLo = lo | 1;
    let slot = Math.imul(lo ^ Math.imul(hi, 0x85ebca6b), 0x9e3779b1) >>> 20;
    for (let probe = 0; probe < PROBES; probe++) {
      const at = this.#first + (slot & (GHOST_ENTRIES - 1)) * GHOST_WORDS;
      const found = Atomics.compareExchange(this.#words, at + Word.KeyLo, 0, WRITING);
      if (found === 0) {
        Atomics.store(this.#words, at + Word.KeyHi, hi);
        Atomics.store(this.#words, at + Word.KeyLo, keyLo);
        return at;
      }
      const key = found === WRITING ? this.#settled(at) : found;
      if (key === keyLo && Atomics.load(this.#words, at + Word.KeyHi) === hi) return at;
      slot++;
    }
    return -1;
  }

  /** Another CPU is writing the entry's two words. */
  #settled(at: number): number {
    for (;;) {
      const key = Atomics.load(this.#words, at + Word.KeyLo);
      if (key !== WRITING) return key;
      // A sleep, not a spin: the writer may have lost its core.
      Atomics.wait(this.#words, at + Word.KeyLo, WRITING, 1);
    }
  }
}
