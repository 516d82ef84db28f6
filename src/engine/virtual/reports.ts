/**
 * Reports of workers in shared memory: what each has before it and what it has sent and received.
 * Each worker writes its reports, numbered modulo 2^32, into four slots in turn. The number is in
 * the slot, stored atomically when the rest is written: with two workers a report is one cache
 * line, which is all that goes from core to core. A reader goes on from the report it has to the
 * one with the next number. If that is still there afterwards and no newer one is, it has read one
 * report; if that holds for those of all workers, a state in which all were at once.
 */

import { NEVER } from './cpu-state.ts';

const SLOTS = 4;

/** Doubles of a report: its number (Int32) and these. */
const Field = { EarliestPs: 1, ProgressPs: 2, Failure: 3, Workers: 4 } as const;
/** Behind them for each other worker: */
const Per = { UnreceivedPs: 0, Sent: 1, Received: 2 } as const;
const PER_WORKER = 3;

/** Where a report has what concerns another worker. */
function placeOf(owner: number, other: number): number {
  return Field.Workers + PER_WORKER * (other < owner ? other : other - 1);
}

/** Whole cache lines. */
function slotDoubles(workers: number): number {
  return Math.ceil((Field.Workers + PER_WORKER * (workers - 1)) / 8) * 8;
}

export function reportsBytes(workers: number): number {
  return workers * SLOTS * slotDoubles(workers) * 8;
}

/** The slots of one worker. */
class Slots {
  readonly worker: number;
  readonly words: Float64Array;
  readonly numbers: Int32Array<SharedArrayBuffer>;
  readonly #start: number;
  readonly #doubles: number;

  constructor(buffer: SharedArrayBuffer, workers: number, worker: number) {
    this.worker = worker;
    this.words = new Float64Array(buffer);
    this.numbers = new Int32Array(buffer);
    this.#doubles = slotDoubles(workers);
    this.#start = worker * SLOTS * this.#doubles;
  }

  /** Index in `words` of the slot of a number; twice as much in `numbers`. */
  at(number: number): number {
    return this.#start + (number & (SLOTS - 1)) * this.#doubles;
  }
}

/** A worker's own report: begun, filled and published. */
export class ReportWriter {
  readonly #slots: Slots;
  #number = 0;
  #at = 0;

  constructor(buffer: SharedArrayBuffer, workers: number, worker: number) {
    this.#slots = new Slots(buffer, workers, worker);
  }

  /** What the worker has before it, its latest completed operation, its first failure. */
  begin(earliestPs: number, progressPs: number, failurePs: number): void {
    const { words, numbers } = this.#slots;
    const before = this.#number;
    this.#number = (before + 1) | 0;
    this.#at = this.#slots.at(this.#number);
    // A number that never belongs into this slot: the old report is gone.
    Atomics.store(numbers, 2 * this.#at, before);
    words[this.#at + Field.EarliestPs] = earliestPs;
    words[this.#at + Field.ProgressPs] = progressPs;
    words[this.#at + Field.Failure] = failurePs;
  }

  /** Messages from and to another worker. */
  setTraffic(other: number, unreceivedPs: number, sent: number, received: number): void {
    const { words, worker } = this.#slots;
    const at = this.#at + placeOf(worker, other);
    words[at + Per.UnreceivedPs] = unreceivedPs;
    words[at + Per.Sent] = sent;
    words[at + Per.Received] = received;
  }

  publish(): void {
    Atomics.store(this.#slots.numbers, 2 * this.#at, this.#number);
  }
}

/** Another worker's reports. */
export class ReportReader {
  readonly #slots: Slots;
  #taken = 0;
  #number = 0;
  #at: number;

  constructor(buffer: SharedArrayBuffer, workers: number, worker: number) {
    this.#slots = new Slots(buffer, workers, worker);
    this.#at = this.#slots.at(0);
  }

  /** Number of the next report, or of a later one that has its slot; else the last one's. */
  #next(): number {
    const next = (this.#number + 1) | 0;
    const found = Atomics.load(this.#slots.numbers, 2 * this.#slots.at(next));
    const isReport = ((found ^ next) & (SLOTS - 1)) === 0 && ((found - next) | 0) >= 0;
    return isReport ? found : this.#number;
  }

  /** Is there a newer report than the one looked at? */
  get isOutdated(): boolean {
    return this.#next() !== this.#number;
  }

  /** Turns to the latest report. True if it is one that was not taken. */
  look(): boolean {
    for (let next = this.#next(); next !== this.#number; next = this.#next()) this.#number = next;
    this.#at = this.#slots.at(this.#number);
    return this.#number !== this.#taken;
  }

  /** Is the report looked at whole, and still the latest? Ask after reading it. */
  get isLatest(): boolean {
    const isWhole = Atomics.load(this.#slots.numbers, 2 * this.#at) === this.#number;
    return isWhole && !this.isOutdated;
  }

  take(): void {
    this.#taken = this.#number;
  }

  /** Before the first report everything may be pending and nothing has happened. */
  get earliestPs(): number {
    return this.#slots.words[this.#at + Field.EarliestPs]!;
  }

  get progressPs(): number {
    return this.#slots.words[this.#at + Field.ProgressPs]!;
  }

  get failurePs(): number {
    return this.#number === 0 ? NEVER : this.#slots.words[this.#at + Field.Failure]!;
  }

  unreceivedPs(worker: number): number {
    return this.#traffic(worker, Per.UnreceivedPs);
  }

  sent(worker: number): number {
    return this.#traffic(worker, Per.Sent);
  }

  received(worker: number): number {
    return this.#traffic(worker, Per.Received);
  }

  #traffic(worker: number, field: number): number {
    return this.#slots.words[this.#at + placeOf(this.#slots.worker, worker) + field]!;
  }
}
