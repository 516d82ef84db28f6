/** Who holds which lock, by lock events: for the wait-for cycle of a deadlock. */

import { EventKind } from '../../cpu/operations.ts';

const HELD_MAX = 256;

export class LockHolders {
  readonly cpu = new Int32Array(HELD_MAX);
  readonly hi = new Int32Array(HELD_MAX);
  readonly lo = new Int32Array(HELD_MAX);
  readonly shared = new Uint8Array(HELD_MAX);
  count = 0;

  event(cpu: number, kind: number, hi: number, lo: number): void {
    if (kind === EventKind.LockAcquired) this.#add(cpu, hi, lo, 0);
    else if (kind === EventKind.ReadLockAcquired) this.#add(cpu, hi, lo, 1);
    else if (kind === EventKind.LockReleased) this.#remove(cpu, hi, lo, 0);
    else if (kind === EventKind.ReadLockReleased) this.#remove(cpu, hi, lo, 1);
  }

  #add(cpu: number, hi: number, lo: number, shared: number): void {
    if (this.count === HELD_MAX) return;
    const at = this.count++;
    this.cpu[at] = cpu;
    this.hi[at] = hi;
    this.lo[at] = lo;
    this.shared[at] = shared;
  }

  /** The last one taken goes first: locks nest. Order is kept. */
  #remove(cpu: number, hi: number, lo: number, shared: number): void {
    for (let at = this.count - 1; at >= 0; at--) {
      if (this.lo[at] !== lo || this.cpu[at] !== cpu) continue;
      if (this.hi[at] !== hi || this.shared[at] !== shared) continue;
      this.count--;
      for (let k = at; k < this.count; k++) {
        this.cpu[k] = this.cpu[k + 1]!;
        this.hi[k] = this.hi[k + 1]!;
        this.lo[k] = this.lo[k + 1]!;
        this.shared[k] = this.shared[k + 1]!;
      }
      return;
    }
  }
}
