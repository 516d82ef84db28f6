/**
 * CPU time of the measured part of a run: from the moment when the last CPU has warmed up, for a
 * set time, so that neither boot nor an idle tail counts. One worker in one thread. CPU time of the
 * process, because goals are per core: neighbours on the host change it far less than wall time.
 */

/** CPU seconds of this process, all threads (garbage collection and compilation too). */
export function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/** Calls of `ended` between two looks at the clock, which takes several microseconds. */
const LOOK_EVERY = 256;

export class Stopwatch {
  readonly #participants: number;
  readonly #duration: number;
  #started = 0;
  #looks = 0;
  #start = 0;
  #end = 0;

  /** Starts with the last of `participants`, ends by itself after about `seconds`. */
  constructor(participants = 1, seconds = 2) {
    this.#participants = participants;
    this.#duration = seconds;
  }

  /** Called by each participant once it has warmed up. */
  start(): void {
    if (++this.#started === this.#participants) this.#start = cpuSeconds();
  }

  /** Does what is done now count? */
  get running(): boolean {
    return this.#start > 0 && this.#end === 0;
  }

  /** Looks at the clock: call it now and then. */
  get ended(): boolean {
    if (this.running && ++this.#looks % LOOK_EVERY === 0) {
      if (cpuSeconds() - this.#start > this.#duration) this.stop();
    }
    return this.#end > 0;
  }

  stop(): void {
    if (this.#end === 0) this.#end = cpuSeconds();
  }

  get seconds(): number {
    if (this.#start === 0 || this.#end === 0) throw new Error('the stopwatch never ran');
    return this.#end - this.#start;
  }
}

/** Calls per second of a bare loop: `loop(n)` does n of what is counted. */
export function bareRate(operations: number, loop: (operations: number) => number): number {
  loop(Math.ceil(operations / 10));
  let best = 0;
  for (let round = 0; round < 3; round++) {
    const start = cpuSeconds();
    const sink = loop(operations);
    const seconds = cpuSeconds() - start;
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
