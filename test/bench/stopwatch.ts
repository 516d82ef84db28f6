/**
 * Wall time of the measured part of a run: from the moment when the last CPU has warmed up, for a
 * set time, so that neither boot nor an idle tail counts. One worker in one thread.
 */

export class Stopwatch {
  readonly #participants: number;
  readonly #durationMs: number;
  #started = 0;
  #startMs = 0;
  #endMs = 0;

  /** Starts with the last of `participants`, ends by itself after about `seconds`. */
  constructor(participants = 1, seconds = 2) {
    this.#participants = participants;
    this.#durationMs = 1000 * seconds;
  }

  /** Called by each participant once it has warmed up. */
  start(): void {
    if (++this.#started === this.#participants) this.#startMs = performance.now();
  }

  /** Does what is done now count? */
  get running(): boolean {
    return this.#startMs > 0 && this.#endMs === 0;
  }

  /** Looks at the clock: call it now and then. */
  get ended(): boolean {
    if (this.running && performance.now() - this.#startMs > this.#durationMs) this.stop();
    return this.#endMs > 0;
  }

  stop(): void {
    if (this.#endMs === 0) this.#endMs = performance.now();
  }

  get seconds(): number {
    if (this.#startMs === 0 || this.#endMs === 0) throw new Error('the stopwatch never ran');
    return (this.#endMs - this.#startMs) / 1000;
  }
}

/** Calls per second of a bare loop: `loop(n)` does n of what is counted. */
export function bareRate(operations: number, loop: (operations: number) => number): number {
  loop(Math.ceil(operations / 10));
  let best = 0;
  for (let round = 0; round < 3; round++) {
    const startMs = performance.now();
    const sink = loop(operations);
    const seconds = (performance.now() - startMs) / 1000;
    // The result is used, or the loop could be compiled away.
    if (!Number.isNaN(sink)) best = Math.max(best, operations / seconds);
  }
  return best;
}

/** Median of several figures. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
