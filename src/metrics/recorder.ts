/**
 * Latency recorder of one worker thread: a count array in shared memory per (metric, node, phase),
 * made when its first value comes, with exact count, min, max and sum in picoseconds beside. Single
 * writer, no locks; recording allocates nothing but that first array.
 *
 * Values are rounded to nanoseconds once, here, by floor; what is above an hour is counted as
 * overflow, never dropped.
 */

import { assert } from '../base/assert.ts';
import { BUCKET_COUNT, bucketIndex, HIGHEST_NS } from './histogram-layout.ts';

/** How many metrics, nodes and phases a run has. */
export interface RecorderLayout {
  readonly metrics: number;
  readonly nodes: number;
  readonly phases: number;
}

/** One histogram as plain data. Only buckets with values are listed, by ascending index. */
export interface HistogramData {
  /** Index into METRICS. */
  readonly metric: number;
  /** ALL = merged over nodes. */
  readonly node: number;
  /** ALL = merged over phases. */
  readonly phase: number;
  readonly indexes: Uint32Array;
  readonly counts: Float64Array;
  /** All values, overflow included. */
  readonly count: number;
  readonly minPs: number;
  readonly maxPs: number;
  readonly sumPs: number;
  /** Values above HIGHEST_NS; in no bucket. */
  readonly overflow: number;
}

/** Node or phase of a merged histogram. */
export const ALL = -1;

/** Fields per slot in the array of exact facts. */
const FACTS = 8;
const COUNT = 0;
const MIN = 1;
const MAX = 2;
const SUM = 3;
const OVERFLOW = 4;

export class Recorder {
  readonly #nodes: number;
  readonly #phases: number;
  readonly #counts: (Uint32Array<SharedArrayBuffer> | null)[];
  readonly #facts: Float64Array<SharedArrayBuffer>;

  constructor(layout: RecorderLayout) {
    const slots = layout.metrics * layout.nodes * layout.phases;
    assert(slots > 0 && Number.isSafeInteger(slots), 'a recorder has at least one slot');
    this.#nodes = layout.nodes;
    this.#phases = layout.phases;
    this.#counts = new Array(slots).fill(null);
    this.#facts = new Float64Array(new SharedArrayBuffer(slots * FACTS * 8));
  }

  record(metric: number, node: number, phase: number, valuePs: number): void {
    const slot = (metric * this.#nodes + node) * this.#phases + phase;
    const counts = this.#counts[slot] ?? this.#open(slot);
    const facts = this.#facts;
    const at = slot * FACTS;
    facts[at + COUNT]!++;
    facts[at + SUM]! += valuePs;
    if (valuePs < facts[at + MIN]!) facts[at + MIN] = valuePs;
    if (valuePs > facts[at + MAX]!) facts[at + MAX] = valuePs;
    // Exact: below 2^53 ps no quotient that isn't whole rounds up to a whole one.
    const ns = Math.floor(valuePs / 1000);
    if (ns <= HIGHEST_NS) counts[bucketIndex(ns)]!++;
    else facts[at + OVERFLOW]!++;
  }

  #open(slot: number): Uint32Array<SharedArrayBuffer> {
    assert(slot >= 0 && slot < this.#counts.length, `histogram slot ${slot} does not exist`);
    const counts = new Uint32Array(new SharedArrayBuffer(BUCKET_COUNT * 4));
    this.#counts[slot] = counts;
    this.#facts[slot * FACTS + MIN] = Number.POSITIVE_INFINITY;
    this.#facts[slot * FACTS + MAX] = Number.NEGATIVE_INFINITY;
    return counts;
  }

  /** Everything recorded so far, by (metric, node, phase). */
  snapshot(): HistogramData[] {
    const histograms: HistogramData[] = [];
    for (let slot = 0; slot < this.#counts.length; slot++) {
      const counts = this.#counts[slot];
      if (counts !== null && counts !== undefined) histograms.push(this.#read(slot, counts));
    }
    return histograms;
  }

  #read(slot: number, all: Uint32Array): HistogramData {
    const nodes = this.#nodes;
    const phases = this.#phases;
    const facts = this.#facts.subarray(slot * FACTS, (slot + 1) * FACTS);
    const indexes: number[] = [];
    const counts: number[] = [];
    let counted = 0;
    for (let index = 0; index < all.length; index++) {
      const count = all[index]!;
      if (count === 0) continue;
      indexes.push(index);
      counts.push(count);
      counted += count;
    }
    // Invariant: no bucket wrapped at 2^32 and no value went past the last bucket.
    assert(counted + facts[OVERFLOW]! === facts[COUNT]!, 'a histogram lost values');
    assert(facts[MIN]! >= 0, 'a latency was negative');
    assert(facts[SUM]! <= Number.MAX_SAFE_INTEGER, 'the sum of a histogram is beyond 2^53 ps');
    return {
      metric: Math.floor(slot / (nodes * phases)),
      node: Math.floor(slot / phases) % nodes,
      phase: slot % phases,
      indexes: Uint32Array.from(indexes),
      counts: Float64Array.from(counts),
      count: facts[COUNT]!,
      minPs: facts[MIN]!,
      maxPs: facts[MAX]!,
      sumPs: facts[SUM]!,
      overflow: facts[OVERFLOW]!,
    };
  }
}
