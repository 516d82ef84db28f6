/**
 * A bounded ring of accesses between the reader thread and one CPU: the reader writes entries and
 * moves the head, the CPU's worker thread takes them and moves the tail. A CPU that finds nothing
 * waits on the host: no emulated time passes, so the reader can never show in a result.
 *
 * Invariants: tail <= head <= tail + capacity (counted modulo 2^32); words between them belong to
 * the CPU, all others to the reader. Every wait ends after WAIT_MS and looks at the stop word.
 */

import { assert } from '../base/assert.ts';
import { BugError, InterruptedError, UserError } from '../base/errors.ts';
import { ENTRY_WORDS, HI_MASK } from './record.ts';

/** Int32 indices; what the two sides write has host cache lines of its own. */
const Header = { Head: 0, End: 1, Tail: 16, Stop: 32, Error: 48, Words: 48 + 256 } as const;

/** Why no more entries come. */
export const RingEnd = { Open: 0, Done: 1, Failed: 2, Bug: 3 } as const;

const ERROR_BYTES = (Header.Words - Header.Error - 1) * 4;
const WAIT_MS = 50;
/** Waits in a row without anything new before the host's file system is called silent: 20 s. */
const WAITS_MAX = 400;
/** Taken entries that are given back to the reader at once. */
const RELEASE_ENTRIES = 1024;

export function createRing(capacity: number): SharedArrayBuffer {
  assert(capacity >= 2 && Number.isInteger(Math.log2(capacity)), `ring of ${capacity}`);
  return new SharedArrayBuffer((Header.Words + capacity * ENTRY_WORDS) * 4);
}

function capacityOf(buffer: SharedArrayBuffer): number {
  return (buffer.byteLength / 4 - Header.Words) / ENTRY_WORDS;
}

/** Ends both sides' waits; from any thread. */
export function stopRing(buffer: SharedArrayBuffer): void {
  const words = new Int32Array(buffer, 0, Header.Words);
  Atomics.store(words, Header.Stop, 1);
  Atomics.notify(words, Header.Head);
}

export class RingWriter {
  readonly #header: Int32Array<SharedArrayBuffer>;
  readonly #entries: Int32Array;
  readonly #mask: number;
  #head = 0;

  constructor(buffer: SharedArrayBuffer) {
    this.#header = new Int32Array(buffer, 0, Header.Words);
    this.#entries = new Int32Array(buffer, Header.Words * 4);
    this.#mask = capacityOf(buffer) - 1;
  }

  get stopped(): boolean {
    return Atomics.load(this.#header, Header.Stop) !== 0;
  }

  /** Copies entries [from, to) of a batch as far as there is room; how many. */
  write(batch: Int32Array, from: number, to: number): number {
    const used = (this.#head - Atomics.load(this.#header, Header.Tail)) | 0;
    const count = Math.min(to - from, this.#mask + 1 - used);
    if (count === 0) return 0;
    const entries = this.#entries;
    for (let i = 0; i < count; i++) {
      const at = ENTRY_WORDS * ((this.#head + i) & this.#mask);
      const source = ENTRY_WORDS * (from + i);
      entries[at] = batch[source]!;
      entries[at + 1] = batch[source + 1]! & HI_MASK;
    }
    this.#head = (this.#head + count) | 0;
    Atomics.store(this.#header, Header.Head, this.#head);
    Atomics.notify(this.#header, Header.Head);
    return count;
  }

  /** Nothing more will be written; `message`: what went wrong. */
  end(end: number, message = ''): void {
    const text = new TextEncoder().encode(message).subarray(0, ERROR_BYTES);
    // TextEncoder and TextDecoder refuse shared memory, hence the copy.
    new Uint8Array(this.#header.buffer, Header.Error * 4 + 4, ERROR_BYTES).set(text);
    this.#header[Header.Error] = text.length;
    Atomics.store(this.#header, Header.End, end);
    Atomics.notify(this.#header, Header.Head);
  }
}

export class RingReader {
  /** The entry that `next` has taken. */
  lo = 0;
  hi = 0;
  readonly #header: Int32Array<SharedArrayBuffer>;
  readonly #entries: Int32Array;
  readonly #mask: number;
  readonly #name: string;
  /** Entries known to be there; the next one to take; the last tail that the reader knows. */
  #head = 0;
  #tail = 0;
  #released = 0;

  /** `name`: of the trace, for the refusal when nothing comes. */
  constructor(buffer: SharedArrayBuffer, name: string) {
    this.#header = new Int32Array(buffer, 0, Header.Words);
    this.#entries = new Int32Array(buffer, Header.Words * 4);
    this.#mask = capacityOf(buffer) - 1;
    this.#name = name;
  }

  /** Takes an entry into lo and hi; false: the trace has ended. */
  next(): boolean {
    if (this.#tail === this.#head && !this.#wait()) return false;
    const at = ENTRY_WORDS * (this.#tail & this.#mask);
    this.lo = this.#entries[at]!;
    this.hi = this.#entries[at + 1]!;
    this.#tail = (this.#tail + 1) | 0;
    if (((this.#tail - this.#released) | 0) === RELEASE_ENTRIES) this.#release();
    return true;
  }

  #release(): void {
    this.#released = this.#tail;
    Atomics.store(this.#header, Header.Tail, this.#tail);
  }

  /** Until entries are there; false: none will come. Not for emulated time: for the host's. */
  #wait(): boolean {
    const header = this.#header;
    this.#release();
    for (let waits = 0; waits < WAITS_MAX; waits++) {
      if (Atomics.load(header, Header.Stop) !== 0) throw new InterruptedError('interrupted');
      // The end is looked at first: entries that were written before it are then seen.
      const end = Atomics.load(header, Header.End);
      this.#head = Atomics.load(header, Header.Head);
      if (this.#head !== this.#tail) return true;
      if (end !== RingEnd.Open) return this.#ended(end);
      Atomics.wait(header, Header.Head, this.#tail, WAIT_MS);
    }
    throw new UserError(
      `${this.#name}: nothing could be read for ${(WAITS_MAX * WAIT_MS) / 1000} s`,
    );
  }

  #ended(end: number): boolean {
    if (end === RingEnd.Done) return false;
    const bytes = new Uint8Array(this.#header[Header.Error]!);
    bytes.set(new Uint8Array(this.#header.buffer, Header.Error * 4 + 4, bytes.length));
    const message = new TextDecoder().decode(bytes);
    throw end === RingEnd.Failed ? new UserError(message) : new BugError(message);
  }
}
