/**
 * True least-recently-used order of the sets of an associative array, cheap to keep.
 *
 * Sets of up to 8 ways are one word each, four bits per way from most recently used (low) to least.
 *
 * In larger sets a use is one store of a stamp, and the order is repaired only when a victim is
 * wanted. Each set is a ring from most to least recently *linked*, sorted by the stamp that an
 * entry had when it was linked. Invariant: an entry's stamp is never below its linked stamp. So the
 * last of the ring is the true victim if it was not used since; if it was, it moves up to where its
 * stamp belongs, and the next one is looked at. Empty entries have stamp 0 and stand last.
 */

/** As many ways as fit a word. */
const PACKED_WAYS_MAX = 8;
const WAY_BITS = 4;
const WAY_MASK = 15;

export class LruSets {
  readonly #ways: number;
  readonly #packed: boolean;
  /** By set, if packed. */
  readonly #order: Int32Array;
  /** Number of the last use, over all sets; 0 = empty. The rest is by entry or set, if ringed. */
  readonly #stamp: Float64Array;
  #clock = 0;
  readonly #linked: Float64Array;
  readonly #first: Int32Array;
  readonly #newer: Int32Array;
  readonly #older: Int32Array;

  constructor(entries: number, ways: number) {
    this.#ways = ways;
    this.#packed = ways <= PACKED_WAYS_MAX;
    let order = 0;
    for (let way = 0; way < ways; way++) order |= way << (way * WAY_BITS);
    this.#order = new Int32Array(this.#packed ? entries / ways : 0).fill(order);
    const ringed = this.#packed ? 0 : entries;
    this.#stamp = new Float64Array(ringed);
    this.#linked = new Float64Array(ringed);
    this.#first = new Int32Array(ringed / ways);
    this.#newer = new Int32Array(ringed);
    this.#older = new Int32Array(ringed);
    for (let i = 0; i < ringed; i++) {
      const set = Math.floor(i / ways);
      const base = set * ways;
      this.#first[set] = base;
      this.#older[i] = base + ((i - base + 1) % ways);
      this.#newer[i] = base + ((i - base + ways - 1) % ways);
    }
  }

  /** Marks the entry as just used. */
  use(i: number): void {
    if (this.#packed) this.#useInOrder(i);
    else this.#stamp[i] = ++this.#clock;
  }

  #useInOrder(i: number): void {
    const set = (i / this.#ways) | 0;
    const order = this.#order[set]!;
    const way = i - set * this.#ways;
    const shift = shiftOfWay(order, way);
    // The ways before it move back by one, those behind it stay.
    const before = (1 << shift) - 1;
    const behind = shift === 28 ? 0 : -1 << (shift + WAY_BITS);
    this.#order[set] = (order & behind) | ((order & before) << WAY_BITS) | way;
  }

  /** The least recently used entry of a set, an empty one if there is any; it stands last. */
  victim(set: number): number {
    if (!this.#packed) return this.#lastOfRing(set);
    const ways = this.#ways;
    return set * ways + ((this.#order[set]! >>> ((ways - 1) * WAY_BITS)) & WAY_MASK);
  }

  #lastOfRing(set: number): number {
    for (;;) {
      const last = this.#newer[this.#first[set]!]!;
      const stamp = this.#stamp[last]!;
      if (stamp === this.#linked[last]!) return last;
      this.#linked[last] = stamp;
      let at = this.#first[set]!;
      while (at !== last && this.#linked[at]! > stamp) at = this.#older[at]!;
      if (at === last) return last;
      this.#moveBefore(last, at);
      if (at === this.#first[set]) this.#first[set] = last;
    }
  }

  /** The set's victim, which stands last, takes a new content: it becomes most recently used. */
  admit(victim: number, set: number): void {
    if (this.#packed) {
      const bits = this.#ways * WAY_BITS;
      const order = this.#order[set]!;
      const way = victim - set * this.#ways;
      this.#order[set] = ((order << WAY_BITS) & (bits === 32 ? -1 : (1 << bits) - 1)) | way;
      return;
    }
    const stamp = ++this.#clock;
    this.#stamp[victim] = stamp;
    this.#linked[victim] = stamp;
    // Turning the ring by one is enough.
    this.#first[set] = victim;
  }

  /** The entry loses its content and becomes the next victim of its set. */
  release(i: number): void {
    const set = (i / this.#ways) | 0;
    if (this.#packed) {
      this.#useInOrder(i);
      const order = this.#order[set]!;
      const last = (this.#ways - 1) * WAY_BITS;
      this.#order[set] = (order >>> WAY_BITS) | ((order & WAY_MASK) << last);
      return;
    }
    const first = this.#first[set]!;
    this.#stamp[i] = 0;
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

/** Where the way stands in an order, as a shift. */
function shiftOfWay(order: number, way: number): number {
  let shift = 0;
  while (((order >>> shift) & WAY_MASK) !== way) shift += WAY_BITS;
  return shift;
}
