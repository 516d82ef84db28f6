/** Merges columns that are sorted by time into one stream, ordered by (time, source). */

export interface TimeColumn {
  readonly count: number;
  readonly timePs: Float64Array;
}

export class TimeMerge {
  /** Of the item that next() moved to. */
  source = -1;
  index = -1;
  timePs = 0;
  readonly #columns: readonly TimeColumn[];
  readonly #at: Int32Array;
  /** Binary heap of sources by the time of their next item. */
  readonly #heap: number[] = [];

  constructor(columns: readonly TimeColumn[]) {
    this.#columns = columns;
    this.#at = new Int32Array(columns.length);
    columns.forEach((column, source) => {
      if (column.count > 0) this.#heap.push(source);
    });
    for (let k = (this.#heap.length >>> 1) - 1; k >= 0; k--) this.#sink(k);
  }

  /** Time of the next item; Infinity after the last. */
  peekPs(): number {
    const top = this.#heap[0];
    return top === undefined ? Number.POSITIVE_INFINITY : this.#timeOf(top);
  }

  next(): boolean {
    const heap = this.#heap;
    const source = heap[0];
    if (source === undefined) return false;
    this.source = source;
    this.index = this.#at[source]!;
    this.timePs = this.#timeOf(source);
    if (++this.#at[source]! === this.#columns[source]!.count) {
      const last = heap.pop()!;
      if (heap.length === 0) return true;
      heap[0] = last;
    }
    this.#sink(0);
    return true;
  }

  #timeOf(source: number): number {
    return this.#columns[source]!.timePs[this.#at[source]!]!;
  }

  #before(a: number, b: number): boolean {
    const difference = this.#timeOf(a) - this.#timeOf(b);
    return difference < 0 || (difference === 0 && a < b);
  }

  #sink(position: number): void {
    const heap = this.#heap;
    const source = heap[position]!;
    for (;;) {
      let child = 2 * position + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && this.#before(heap[child + 1]!, heap[child]!)) child++;
      if (!this.#before(heap[child]!, source)) break;
      heap[position] = heap[child]!;
      position = child;
    }
    heap[position] = source;
  }
}
