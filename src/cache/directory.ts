/**
 * The home's record of its lines: who owns, who shares, from when the line is free again, and the
 * FIFO of requests that wait for it. One 64-byte record per line up to 256 CPUs, dropped when it
 * says nothing (ER-D11): the directory stays as small as the private caches.
 *
 * `sharers` is a superset: shared victims leave silently.
 */

import { assert } from '../base/assert.ts';

const LINE = 0;
const OWNER = 1;
const FIFO_HEAD = 2;
const FIFO_TAIL = 3;
const FREE_SHARED = 4; // a double: words 4 and 5
const FREE_EXCLUSIVE = 6; // a double: words 6 and 7
const SHARERS = 8;

/** Buckets of the page filter: a power of two. */
const PAGE_BUCKETS = 1 << 16;

export class Directory {
  readonly sharerWords: number;
  readonly #stride: number;
  #words: Int32Array;
  #times: Float64Array;
  #next: Int32Array;
  #buckets: Int32Array;
  #bucketShift: number;
  #capacity: number;
  #used = 0;
  #free = -1;
  /** Records by hash of their 4 KiB page: zero means that no line of the page has a record. */
  readonly #recordsOfPage = new Int32Array(PAGE_BUCKETS);

  constructor(cpuCount: number, capacity = 1024) {
    this.sharerWords = Math.ceil(cpuCount / 32);
    this.#stride = Math.ceil((SHARERS + this.sharerWords) / 16) * 16;
    this.#capacity = capacity;
    const buffer = new ArrayBuffer(capacity * this.#stride * 4);
    this.#words = new Int32Array(buffer);
    this.#times = new Float64Array(buffer);
    this.#next = new Int32Array(capacity);
    this.#bucketShift = 32 - Math.log2(capacity);
    this.#buckets = new Int32Array(capacity).fill(-1);
  }

  /** False: no line of the 4 KiB page that the line is in has a record. */
  mayHoldPage(line: number): boolean {
    return this.#recordsOfPage[pageBucket(line)] !== 0;
  }

  /** Record of a line, or -1. */
  find(line: number): number {
    let record = this.#buckets[Math.imul(line, 0x9e3779b1) >>> this.#bucketShift]!;
    while (record >= 0 && this.#words[record * this.#stride + LINE] !== line) {
      record = this.#next[record]!;
    }
    return record;
  }

  /** A new record: no owner, no sharers, free, nobody waits. */
  create(line: number): number {
    let record = this.#free;
    if (record >= 0) {
      this.#free = this.#next[record]!;
    } else {
      if (this.#used === this.#capacity) this.#grow();
      record = this.#used++;
    }
    const base = record * this.#stride;
    this.#words.fill(0, base, base + this.#stride);
    this.#words[base + LINE] = line;
    this.#words[base + OWNER] = -1;
    this.#words[base + FIFO_HEAD] = -1;
    this.#words[base + FIFO_TAIL] = -1;
    const bucket = Math.imul(line, 0x9e3779b1) >>> this.#bucketShift;
    this.#next[record] = this.#buckets[bucket]!;
    this.#buckets[bucket] = record;
    const page = pageBucket(line);
    this.#recordsOfPage[page] = this.#recordsOfPage[page]! + 1;
    return record;
  }

  drop(record: number): void {
    const line = this.#words[record * this.#stride + LINE]!;
    const bucket = Math.imul(line, 0x9e3779b1) >>> this.#bucketShift;
    let at = this.#buckets[bucket]!;
    if (at === record) {
      this.#buckets[bucket] = this.#next[record]!;
    } else {
      while (this.#next[at] !== record) {
        at = this.#next[at]!;
        assert(at >= 0, 'directory record is not in its bucket');
      }
      this.#next[at] = this.#next[record]!;
    }
    this.#next[record] = this.#free;
    this.#free = record;
    const page = pageBucket(line);
    this.#recordsOfPage[page] = this.#recordsOfPage[page]! - 1;
  }

  lineOf(record: number): number {
    return this.#words[record * this.#stride + LINE]!;
  }
  owner(record: number): number {
    return this.#words[record * this.#stride + OWNER]!;
  }
  setOwner(record: number, cpu: number): void {
    this.#words[record * this.#stride + OWNER] = cpu;
  }
  freeShared(record: number): number {
    return this.#times[(record * this.#stride + FREE_SHARED) >> 1]!;
  }
  freeExclusive(record: number): number {
    return this.#times[(record * this.#stride + FREE_EXCLUSIVE) >> 1]!;
  }
  setFree(record: number, sharedPs: number, exclusivePs: number): void {
    const base = record * this.#stride;
    this.#times[(base + FREE_SHARED) >> 1] = sharedPs;
    this.#times[(base + FREE_EXCLUSIVE) >> 1] = exclusivePs;
  }
  fifoHead(record: number): number {
    return this.#words[record * this.#stride + FIFO_HEAD]!;
  }
  fifoTail(record: number): number {
    return this.#words[record * this.#stride + FIFO_TAIL]!;
  }
  setFifo(record: number, head: number, tail: number): void {
    const base = record * this.#stride;
    this.#words[base + FIFO_HEAD] = head;
    this.#words[base + FIFO_TAIL] = tail;
  }

  /** Word `index` of the sharer mask: CPUs 32 * index ... 32 * index + 31. */
  sharers(record: number, index: number): number {
    return this.#words[record * this.#stride + SHARERS + index]!;
  }
  shares(record: number, cpu: number): boolean {
    return ((this.sharers(record, cpu >> 5) >>> (cpu & 31)) & 1) === 1;
  }
  addSharer(record: number, cpu: number): void {
    const at = record * this.#stride + SHARERS + (cpu >> 5);
    this.#words[at] = this.#words[at]! | (1 << (cpu & 31));
  }
  removeSharer(record: number, cpu: number): void {
    const at = record * this.#stride + SHARERS + (cpu >> 5);
    this.#words[at] = this.#words[at]! & ~(1 << (cpu & 31));
  }
  clearSharers(record: number): void {
    const base = record * this.#stride + SHARERS;
    for (let word = 0; word < this.sharerWords; word++) this.#words[base + word] = 0;
  }
  hasSharers(record: number): boolean {
    const base = record * this.#stride + SHARERS;
    for (let word = 0; word < this.sharerWords; word++) {
      if (this.#words[base + word] !== 0) return true;
    }
    return false;
  }

  #grow(): void {
    const capacity = this.#capacity * 2;
    const buffer = new ArrayBuffer(capacity * this.#stride * 4);
    const words = new Int32Array(buffer);
    words.set(this.#words);
    this.#words = words;
    this.#times = new Float64Array(buffer);
    this.#capacity = capacity;
    this.#bucketShift = 32 - Math.log2(capacity);
    this.#next = new Int32Array(capacity);
    this.#buckets = new Int32Array(capacity).fill(-1);
    assert(this.#free < 0, 'directory grows only when no record is free');
    for (let record = 0; record < this.#used; record++) {
      const line = words[record * this.#stride + LINE]!;
      const bucket = Math.imul(line, 0x9e3779b1) >>> this.#bucketShift;
      this.#next[record] = this.#buckets[bucket]!;
      this.#buckets[bucket] = record;
    }
  }
}

function pageBucket(line: number): number {
  return Math.imul(line >>> 6, 0x9e3779b1) >>> 16;
}
