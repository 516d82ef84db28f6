/**
 * Effects that take place on window boundaries (lost lines, DVM operations), by window: a ring of
 * lists over one pool. Losses of one window commute (ER-T8b); DVM operations come out in the order
 * in which they went in, the order of service, whatever other windows were taken in between.
 */

const RING = 64;

export class Calendar {
  cpu = new Int32Array(64);
  hi = new Int32Array(64);
  lo = new Int32Array(64);
  a = new Int32Array(64);
  b = new Int32Array(64);
  c = new Int32Array(64);
  /** A time that goes with the effect (wake-up). */
  time = new Float64Array(64);
  #window = new Float64Array(64);
  #next = new Int32Array(64);
  readonly #heads = new Int32Array(RING).fill(-1);
  #free = -1;
  #used = 0;
  #count = 0;
  /** First window that has an effect, Infinity if none. */
  first = Number.POSITIVE_INFINITY;

  get count(): number {
    return this.#count;
  }

  /** A record for an effect at the start of the window; the caller sets its fields. */
  add(window: number): number {
    let entry = this.#free;
    if (entry >= 0) {
      this.#free = this.#next[entry]!;
    } else {
      if (this.#used === this.cpu.length) this.#grow();
      entry = this.#used++;
    }
    const slot = window % RING;
    this.#window[entry] = window;
    this.#next[entry] = this.#heads[slot]!;
    this.#heads[slot] = entry;
    this.#count++;
    if (window < this.first) this.first = window;
    return entry;
  }

  /** First window that has an effect, Infinity if none; no effect is before `from`. */
  #earliest(from: number): number {
    let later = Number.POSITIVE_INFINITY;
    for (let window = from; window < from + RING; window++) {
      let entry = this.#heads[window % RING]!;
      while (entry >= 0) {
        const due = this.#window[entry]!;
        if (due === window) return window;
        if (due < later) later = due;
        entry = this.#next[entry]!;
      }
    }
    return later;
  }

  /**
   * Unlinks all effects of a window and returns the one added first; walk on with `next`, then give
   * all back with `release`.
   */
  take(window: number): number {
    const slot = window % RING;
    let entry = this.#heads[slot]!;
    let kept = -1;
    let keptLast = -1;
    let taken = -1;
    while (entry >= 0) {
      const next = this.#next[entry]!;
      if (this.#window[entry] === window) {
        this.#next[entry] = taken;
        taken = entry;
        this.#count--;
      } else {
        this.#next[entry] = -1;
        if (keptLast < 0) kept = entry;
        else this.#next[keptLast] = entry;
        keptLast = entry;
      }
      entry = next;
    }
    this.#heads[slot] = kept;
    if (window === this.first) {
      this.first = this.#count === 0 ? Number.POSITIVE_INFINITY : this.#earliest(window + 1);
    }
    return taken;
  }

  next(entry: number): number {
    return this.#next[entry]!;
  }

  release(entry: number): void {
    this.#next[entry] = this.#free;
    this.#free = entry;
  }

  #grow(): void {
    const length = this.cpu.length * 2;
    const widen = (old: Int32Array): Int32Array<ArrayBuffer> => {
      const made = new Int32Array(length);
      made.set(old);
      return made;
    };
    const widenTimes = (old: Float64Array): Float64Array<ArrayBuffer> => {
      const made = new Float64Array(length);
      made.set(old);
      return made;
    };
    this.cpu = widen(this.cpu);
    this.hi = widen(this.hi);
    this.lo = widen(this.lo);
    this.a = widen(this.a);
    this.b = widen(this.b);
    this.c = widen(this.c);
    this.#next = widen(this.#next);
    this.time = widenTimes(this.time);
    this.#window = widenTimes(this.#window);
  }
}
