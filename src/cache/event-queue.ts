/**
 * Pending work of a home or a DVM agent, in order of emulated time: a binary heap over a pool of
 * message records, without allocation in steady state.
 *
 * Ties are decided by (rank, seeded hash, CPU), never by order of arrival on the host: rank lets a
 * write-back pass before queued requests, and those before new ones; the hash treats CPUs alike
 * (ER-F1). The order of a heap with a total order does not depend on the order of insertion.
 */

import { assert } from '../base/assert.ts';

/** Message fields beside time: who, where, and five operands by kind. */
export class EventQueue {
  time = new Float64Array(256);
  rank = new Uint8Array(256);
  /** Tie hash; made when a tie asks for it, unless `hashed` says that it is there. */
  hash = new Int32Array(256);
  hashed = new Uint8Array(256);
  kind = new Uint8Array(256);
  cpu = new Int32Array(256);
  hi = new Int32Array(256);
  lo = new Int32Array(256);
  a = new Int32Array(256);
  b = new Int32Array(256);
  c = new Int32Array(256);
  /** Link of a line's FIFO, and of the free list. */
  next = new Int32Array(256);
  /** Requests ordered by the tie hash. */
  ties = 0;
  #heap = new Int32Array(256);
  #size = 0;
  #free = -1;
  #used = 0;
  readonly #firstPs: Float64Array;
  readonly #slot: number;
  #tieHash: (message: number) => number = () => 0;

  /** Keeps the time of its earliest message (Infinity if none) in `firstPs[slot]`. */
  constructor(firstPs: Float64Array = new Float64Array(1), slot = 0) {
    this.#firstPs = firstPs;
    this.#slot = slot;
    firstPs[slot] = Number.POSITIVE_INFINITY;
  }

  /** How messages of one time and rank are told apart: few are, so the hash is made on demand. */
  breakTiesBy(tieHash: (message: number) => number): void {
    this.#tieHash = tieHash;
  }

  get size(): number {
    return this.#size;
  }

  /** Time of the earliest message, Infinity if none. */
  earliest(): number {
    return this.#firstPs[this.#slot]!;
  }

  /** A fresh record; the caller sets the fields, then pushes it. */
  allocate(): number {
    if (this.#free >= 0) {
      const message = this.#free;
      this.#free = this.next[message]!;
      return message;
    }
    if (this.#used === this.time.length) this.#grow();
    return this.#used++;
  }

  release(message: number): void {
    this.next[message] = this.#free;
    this.#free = message;
  }

  push(message: number): void {
    const heap = this.#heap;
    let at = this.#size++;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#before(message, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = message;
    if (at === 0) this.#firstPs[this.#slot] = this.time[message]!;
  }

  /** Takes the earliest message; it stays allocated until released. */
  pop(): number {
    assert(this.#size > 0, 'pop of an empty event queue');
    const heap = this.#heap;
    const top = heap[0]!;
    const last = heap[--this.#size]!;
    const size = this.#size;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= size) break;
      if (child + 1 < size && this.#before(heap[child + 1]!, heap[child]!)) child++;
      if (!this.#before(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    this.#firstPs[this.#slot] = size === 0 ? Number.POSITIVE_INFINITY : this.time[heap[0]!]!;
    return top;
  }

  #before(x: number, y: number): boolean {
    const tx = this.time[x]!;
    const ty = this.time[y]!;
    return tx === ty ? this.#beforeInTie(x, y) : tx < ty;
  }

  #beforeInTie(x: number, y: number): boolean {
    if (this.rank[x] !== this.rank[y]) return this.rank[x]! < this.rank[y]!;
    const hashX = this.#hashOf(x);
    const hashY = this.#hashOf(y);
    if (hashX !== hashY) return hashX < hashY;
    if (this.cpu[x] !== this.cpu[y]) return this.cpu[x]! < this.cpu[y]!;
    return this.lo[x]! < this.lo[y]!;
  }

  #hashOf(message: number): number {
    if (this.hashed[message] === 0) {
      this.hash[message] = this.#tieHash(message);
      this.hashed[message] = 1;
    }
    return this.hash[message]!;
  }

  #grow(): void {
    const double = <T extends Int32Array | Uint8Array | Float64Array>(old: T, made: T): T => {
      made.set(old);
      return made;
    };
    const length = this.time.length * 2;
    this.time = double(this.time, new Float64Array(length));
    this.rank = double(this.rank, new Uint8Array(length));
    this.hash = double(this.hash, new Int32Array(length));
    this.hashed = double(this.hashed, new Uint8Array(length));
    this.kind = double(this.kind, new Uint8Array(length));
    this.cpu = double(this.cpu, new Int32Array(length));
    this.hi = double(this.hi, new Int32Array(length));
    this.lo = double(this.lo, new Int32Array(length));
    this.a = double(this.a, new Int32Array(length));
    this.b = double(this.b, new Int32Array(length));
    this.c = double(this.c, new Int32Array(length));
    this.next = double(this.next, new Int32Array(length));
    this.#heap = double(this.#heap, new Int32Array(length));
  }
}
