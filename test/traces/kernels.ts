/**
 * Programs whose accesses are written down as they compute: a matrix product, look-ups in a hash
 * table and a merge sort by four CPUs. Results are checked, so that the traces are those of
 * programs that work. No chance and no clock: the same text on every host.
 *
 * Instructions are four bytes each, at addresses of their own per loop; how many a loop takes is
 * about what a compiler makes of it without vectors.
 */

import { assert } from '../../src/base/assert.ts';

/** Hears every access in order. */
export interface TraceSink {
  fetch(cpu: number, address: number): void;
  load(cpu: number, address: number, bytes: number): void;
  store(cpu: number, address: number, bytes: number): void;
  modify(cpu: number, address: number, bytes: number): void;
}

const TEXT = 0x40_1000;
const HEAP = 0x0520_0040;
const STACK = 0x1ffe_ffe0_00;
const WORD = 8;

/** `count` instructions of a block, one after the other. */
function run(sink: TraceSink, cpu: number, block: number, count: number): void {
  for (let i = 0; i < count; i++) sink.fetch(cpu, TEXT + block * 256 + 4 * i);
}

/** c = a * b for n x n doubles, the textbook's three loops. */
export function multiplyMatrices(sink: TraceSink, n: number): void {
  const a = Float64Array.from({ length: n * n }, (_, i) => (i % 7) - 3);
  const b = Float64Array.from({ length: n * n }, (_, i) => (i % 5) - 2);
  const [aAt, bAt, cAt] = [0, 1, 2].map((m) => HEAP + m * n * n * WORD) as [number, number, number];
  let trace = 0;
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      let sum = 0;
      run(sink, 0, 0, 4);
      for (let k = 0; k < n; k++) {
        run(sink, 0, 1, 3);
        sink.load(0, aAt + (i * n + k) * WORD, WORD);
        sink.load(0, bAt + (k * n + j) * WORD, WORD);
        sum += a[i * n + k]! * b[k * n + j]!;
      }
      run(sink, 0, 2, 2);
      sink.store(0, cAt + (i * n + j) * WORD, WORD);
      sink.modify(0, STACK + 16, 4);
      if (i === j) trace += sum;
    }
  }
  const expected = a.reduce((sum, x, at) => sum + x * b[(at % n) * n + Math.floor(at / n)]!, 0);
  assert(trace === expected, 'the product is wrong');
}

/** Counts words in an open-addressing table of `slots` entries of 24 bytes: key, count, next. */
export function countWords(sink: TraceSink, slots: number, words: number): void {
  const table = HEAP + 0x10_0000;
  const keys = new Int32Array(slots);
  const counts = new Int32Array(slots);
  let state = 1;
  for (let word = 0; word < words; word++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    const key = 1 + ((state >>> 8) % (slots >>> 1));
    let at = Math.imul(key, 0x9e37_79b1) >>> 0;
    run(sink, 0, 8, 6);
    for (at %= slots; ; at = (at + 1) % slots) {
      run(sink, 0, 9, 4);
      sink.load(0, table + at * 24, WORD);
      if (keys[at] === key || keys[at] === 0) break;
    }
    run(sink, 0, 10, 3);
    if (keys[at] === 0) sink.store(0, table + at * 24, WORD);
    keys[at] = key;
    counts[at] = counts[at]! + 1;
    sink.modify(0, table + at * 24 + WORD, WORD);
  }
  assert(counts.reduce((sum, count) => sum + count, 0) === words, 'a word was lost');
}

/** Sorts with `cpus` (a power of two): each a part of its own, then pairs merge what they have. */
export function sortTogether(sink: TraceSink, cpus: number, perCpu: number): void {
  const length = cpus * perCpu;
  let from = Int32Array.from({ length }, (_, i) => Math.imul(i + 1, 0x9e37_79b1) >> 8);
  let to = new Int32Array(length);
  const sorted = from.slice().sort();
  // Each CPU's part is a page, on the node of the CPU that touches it first.
  const places = [0x0530_0000, 0x0540_0000];
  for (let width = 1; width < length; width *= 2) {
    const [fromAt, toAt] = [places[0]!, places[1]!];
    for (let step = 0; step < perCpu || step < width * 2; step += width * 2) {
      for (let cpu = 0; cpu < cpus; cpu += Math.max(1, (width * 2) / perCpu)) {
        merge(sink, cpu, { from, to, fromAt, toAt, start: cpu * perCpu + step, width });
      }
    }
    [from, to] = [to, from];
    places.reverse();
  }
  assert(
    from.every((value, at) => value === sorted[at]),
    'not sorted',
  );
}

interface Merge {
  readonly from: Int32Array;
  readonly to: Int32Array;
  readonly fromAt: number;
  readonly toAt: number;
  readonly start: number;
  readonly width: number;
}

function merge(sink: TraceSink, cpu: number, what: Merge): void {
  const { from, to, fromAt, toAt, start, width } = what;
  const middle = start + width;
  const end = middle + width;
  let left = start;
  let right = middle;
  for (let at = start; at < end; at++) {
    if (left < middle) sink.load(cpu, fromAt + WORD * left, WORD);
    if (right < end) sink.load(cpu, fromAt + WORD * right, WORD);
    const takeLeft = right >= end || (left < middle && from[left]! <= from[right]!);
    to[at] = takeLeft ? from[left++]! : from[right++]!;
    sink.store(cpu, toAt + WORD * at, WORD);
  }
}
