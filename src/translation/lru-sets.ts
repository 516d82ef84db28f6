/**
 * True least-recently-used order of the sets of an associative array, cheap to keep: a use is one
 * store of a stamp, and the order is repaired only when a victim is wanted.
 *
 * Each set is a ring from most to least recently *linked*, sorted by the stamp that an entry had
 * when it was linked. Invariant: an entry's stamp is never below its linked stamp. So the last of
 * the ring is the true victim if it was not used since; if it was, it moves up to where its stamp
 * belongs, and the next one is looked at. Empty entries have stamp 0 and stand last.
 */

export class LruSets {
  readonly setOf: Int32Array;
  /** Number of the last use, over all sets; 0 = empty. */
  readonly stamp: Float64Array;
  #clock = 0;
  readonly #linked: Float64Array;
  readonly #first: Int32Array;
  readonly #newer: Int32Array;
  readonly #older: Int32Array;

  constructor(entries: number, ways: number) {
    this.setOf = new Int32Array(entries);
    this.stamp = new Float64Array(entries);
    this.#linked = new Float64Array(entries);
    this.#first = new Int32Array(entries / ways);
    this.#newer = new Int32Array(entries);
    this.#older = new Int32Array(entries);
    for (let i = 0; i < entries; i++) {
      const set = Math.floor(i / ways);
      const base = set * ways;
      this.setOf[i] = set;
      this.#first[set] = base;
      this.#older[i] = base + ((i - base + 1) % ways);
      this.#newer[i] = base + ((i - base + ways - 1) % ways);
    }
  }

  /** Marks the entry as just used. */
  use(i: number): void {
    this.stamp[i] = ++this.#clock;
  }

  /** The least recently used entry of a set, an empty one if there is any; it stands last. */
  victim(set: number): number {
    for (;;) {
      const last = this.#newer[this.#first[set]!]!;
      const stamp = this.stamp[last]!;
      if (stamp === this.#linked[last]!) return last;
      this.#linked[last] = stamp;
      let at = this.#first[set]!;
      while (at !== last && this.#linked[at]! > stamp) at = this.#older[at]!;
      if (at === last) return last;
      this.#moveBefore(last, at);
      if (at === this.#first[set]) this.#first[set] = last;
    }
  }

  /** The victim, now empty, takes a new content: it becomes the most recently used of its set. */
  admit(victim: number): void {
    this.stamp[victim] = ++this.#clock;
    this.#linked[victim] = this.#clock;
    // It stands last, so turning the ring by one is enough.
    this.#first[this.setOf[victim]!] = victim;
  }

  /** The entry loses its content and becomes the next victim of its set. */
  release(i: number): void {
    const set = this.setOf[i]!;
    const first = this.#first[set]!;
    this.stamp[i] = 0;
    this.#linked[i] = 0;
    if (i === first) this.#first[set] = this.#older[i]!;
    else this.#moveBefore(i, first);
  }

  #moveBefore(i: number, at: number): void {
    if (this.#newer[at] === i) return;
    const newer = this.#newer[i]!;
    const older = this.#older[i]!;
    this.#older[newer] = older;
    this.#newer[older] = newer;
    const before = this.#newer[at]!;
    this.#older[before] = i;
    this.#newer[i] = before;
    this.#older[i] = at;
    this.#newer[at] = i;
  }
}
