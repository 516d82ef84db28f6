/**
 * Reports of workers in shared memory: what each has before it and what it has sent and received.
 * A report is replaced as a whole: it is written into the next of four slots, then its number
 * (modulo 2^32) is stored atomically. A reader that finds the same number afterwards has read one
 * report, and finding the same numbers of all workers afterwards, a state in which all were at
 * once.
 */

import { NEVER } from './cpu-state.ts';

const SLOTS = 4;

/** Doubles of a report. Behind them come three for each other worker: one cache line for two. */
const Field = { EarliestPs: 0, ProgressPs: 1, Failure: 2, Workers: 3 } as const;
const PER_WORKER = 3;
const Per = { UnreceivedPs: 0, Sent: 1, Received: 2 } as const;

/** Doubles: whole cache lines. */
function slotDoubles(workers: number): number {
  return Math.ceil((Field.Workers + PER_WORKER * (workers - 1)) / 8) * 8;
}

/** Where a report has what concerns another worker. */
function placeOf(owner: number, other: number): number {
  return Field.Workers + PER_WORKER * (other < owner ? other : other - 1);
}

/** One cache line for the number, then the slots. */
function workerDoubles(workers: number): number {
  return 8 + SLOTS * slotDoubles(workers);
}

export function reportsBytes(workers: number): number {
  return workers * workerDoubles(workers) * 8;
}

/** A worker's own report, filled and then published. */
export class ReportWriter {
  readonly #words: Float64Array;
  readonly #numbers: Int32Array<SharedArrayBuffer>;
  readonly #worker: number;
  readonly #start: number;
  readonly #slot: number;
  #number = 0;
  #at: number;

  constructor(buffer: SharedArrayBuffer, workers: number, worker: number) {
    this.#words = new Float64Array(buffer);
    this.#numbers = new Int32Array(buffer);
    this.#worker = worker;
    this.#start = worker * workerDoubles(workers);
    this.#slot = slotDoubles(workers);
    this.#at = this.#slotAt(1);
  }

  #slotAt(number: number): number {
    return this.#start + 8 + (number & (SLOTS - 1)) * this.#slot;
  }

  /** Earliest pending time, latest completed operation, first failure. */
  setTimes(earliestPs: number, progressPs: number, failurePs: number): void {
    this.#words[this.#at + Field.EarliestPs] = earliestPs;
    this.#words[this.#at + Field.ProgressPs] = progressPs;
    // 0: none, as before the first report.
    this.#words[this.#at + Field.Failure] = failurePs === NEVER ? 0 : 1 + failurePs;
  }

  /** Messages from and to another worker. */
  setTraffic(other: number, unreceivedPs: number, sent: number, received: number): void {
    const at = this.#at + placeOf(this.#worker, other);
    this.#words[at + Per.UnreceivedPs] = unreceivedPs;
    this.#words[at + Per.Sent] = sent;
    this.#words[at + Per.Received] = received;
  }

  publish(): void {
    this.#number = (this.#number + 1) | 0;
    Atomics.store(this.#numbers, 2 * this.#start, this.#number);
    this.#at = this.#slotAt((this.#number + 1) | 0);
  }
}

/** Another worker's reports. */
export class ReportReader {
  readonly #words: Float64Array;
  readonly #numbers: Int32Array<SharedArrayBuffer>;
  readonly #numberAt: number;
  readonly #worker: number;
  readonly #start: number;
  readonly #slot: number;
  #taken = 0;
  #number = 0;
  #at: number;

  constructor(buffer: SharedArrayBuffer, workers: number, worker: number) {
    this.#words = new Float64Array(buffer);
    this.#numbers = new Int32Array(buffer);
    this.#worker = worker;
    const start = worker * workerDoubles(workers);
    this.#numberAt = 2 * start;
    this.#start = start + 8;
    this.#slot = slotDoubles(workers);
    this.#at = this.#start;
  }

  /** Is there a report that was not taken? */
  get isNew(): boolean {
    return Atomics.load(this.#numbers, this.#numberAt) !== this.#taken;
  }

  /** Turns to the latest report. True if it is one that was not taken. */
  look(): boolean {
    this.#number = Atomics.load(this.#numbers, this.#numberAt);
    this.#at = this.#start + (this.#number & (SLOTS - 1)) * this.#slot;
    return this.#number !== this.#taken;
  }

  /** Is the report looked at still the latest? Ask after reading it. */
  get isLatest(): boolean {
    return Atomics.load(this.#numbers, this.#numberAt) === this.#number;
  }

  take(): void {
    this.#taken = this.#number;
  }

  get earliestPs(): number {
    return this.#words[this.#at + Field.EarliestPs]!;
  }

  get progressPs(): number {
    return this.#words[this.#at + Field.ProgressPs]!;
  }

  get failurePs(): number {
    const word = this.#words[this.#at + Field.Failure]!;
    return word === 0 ? NEVER : word - 1;
  }

  unreceivedPs(worker: number): number {
    return this.#words[this.#at + placeOf(this.#worker, worker) + Per.UnreceivedPs]!;
  }

  sent(worker: number): number {
    return this.#words[this.#at + placeOf(this.#worker, worker) + Per.Sent]!;
  }

  received(worker: number): number {
    return this.#words[this.#at + placeOf(this.#worker, worker) + Per.Received]!;
  }
}
