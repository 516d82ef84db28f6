/** The locks that one CPU holds, by address, for the report of a deadlock: who waits, who holds. */

import { EventKind } from '../../cpu/operations.ts';

/** More than lockdep's MAX_LOCK_DEPTH (48) is not kept. */
const LOCKS_MAX = 48;

export class HeldLocks {
  readonly #hi = new Int32Array(LOCKS_MAX);
  readonly #lo = new Int32Array(LOCKS_MAX);
  readonly #shared = new Uint8Array(LOCKS_MAX);
  #count = 0;

  event(kind: number, hi: number, lo: number): void {
    if (kind === EventKind.LockAcquired) this.#add(hi, lo, 0);
    else if (kind === EventKind.ReadLockAcquired) this.#add(hi, lo, 1);
    else if (kind === EventKind.LockReleased) this.#remove(hi, lo);
    else if (kind === EventKind.ReadLockReleased) this.#remove(hi, lo);
  }

  #add(hi: number, lo: number, shared: number): void {
    if (this.#count === LOCKS_MAX) return;
    this.#hi[this.#count] = hi;
    this.#lo[this.#count] = lo;
    this.#shared[this.#count] = shared;
    this.#count++;
  }

  /** The last one taken goes first: locks nest. */
  #remove(hi: number, lo: number): void {
    let at = this.#count - 1;
    while (at >= 0 && (this.#hi[at] !== hi || this.#lo[at] !== lo)) at--;
    if (at < 0) return;
    this.#count--;
    if (at === this.#count) return;
    this.#hi.copyWithin(at, at + 1, this.#count + 1);
    this.#lo.copyWithin(at, at + 1, this.#count + 1);
    this.#shared.copyWithin(at, at + 1, this.#count + 1);
  }

  /** "kvm->mmu_lock, mm->mmap_lock (read)"; '' if none. `name` takes a linear-map address. */
  describe(name: (hi: number, lo: number) => string): string {
    const words: string[] = [];
    for (let i = 0; i < this.#count; i++) {
      words.push(`${name(this.#hi[i]!, this.#lo[i]!)}${this.#shared[i] === 1 ? ' (read)' : ''}`);
    }
    return words.join(', ');
  }
}
