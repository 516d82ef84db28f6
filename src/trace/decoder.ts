/**
 * Text of a trace to accesses (record.ts), byte by byte, without strings: chunks go in, batches
 * come out. What a chunk leaves of a line is kept for the next one; a line that is longer than
 * LINE_BYTES_MAX is refused, so memory is bounded whatever the file.
 *
 * A newline stands behind the text that is there, so parsers need no bounds: they stop at the first
 * byte that doesn't belong, and a line that only that newline has ended waits for more text.
 */

import { assert } from '../base/assert.ts';
import { UserError } from '../base/errors.ts';
import { given } from '../base/parse-quantity.ts';
import { type Form, formOf, wrongLine } from './grammar.ts';
import {
  CPU_SHIFT,
  ENTRY_WORDS,
  HI_MASK,
  Kind,
  LAST,
  LINE_MASK,
  RECORD_BYTES_MAX,
  TRACE_CPUS_MAX,
} from './record.ts';

/** Bytes of a chunk, at most. */
export const CHUNK_BYTES = 65_536;
const LINE_BYTES_MAX = 4096;
const BATCH_ENTRIES = 4096;
/** Of one record: a modify of the greatest length, from the end of a line. */
const RECORD_ENTRIES_MAX = 2 * (RECORD_BYTES_MAX / 64 + 1);

const NEWLINE = 10;
const RETURN = 13;
const SPACE = 32;
const TAB = 9;
const COMMA = 44;
const DASH = 45;
const HASH = 35;
const EQUALS = 61;
const ZERO = 48;

/** What parsing one line came to. */
const Outcome = { Record: 0, Skipped: 1, Wrong: 2, Address: 3, Size: 4, Cpu: 5 } as const;

/** First of a record's accesses: kind by letter of lackey, by label of din. */
const NO_KIND = -1;
const KIND_OF_LETTER = kindsOf({ I: Kind.Fetch, L: Kind.Load, S: Kind.Store, M: Kind.ModifyLoad });
const KIND_OF_LABEL = kindsOf({ 0: Kind.Load, 1: Kind.Store, 2: Kind.Fetch });
const HEX = hexDigits();

export class TraceDecoder {
  /** The batch that `next` has filled. */
  readonly entries = new Int32Array(BATCH_ENTRIES * ENTRY_WORDS);
  /** Records decoded and lines seen so far. */
  records = 0;
  line = 0;
  form: Form | null = null;
  /** Highest CPU of a CPU column, and the first line that has it. */
  highestCpu = -1;
  highestCpuLine = 0;
  readonly #file: string;
  /** -1: all. */
  readonly #onlyCpu: number;
  /** The rest of the last chunk ends where the next one begins; one byte more for the newline. */
  readonly #bytes = new Uint8Array(LINE_BYTES_MAX + CHUNK_BYTES + 2);
  #at = LINE_BYTES_MAX;
  #end = LINE_BYTES_MAX;
  #count = 0;
  #isLackey = false;
  #hasCpus = false;
  #cpu: number;

  /** `cpu`: of all records where the file has no CPU column; `onlyCpu`: leaves out the others. */
  constructor(file: string, cpu: number, onlyCpu = -1) {
    this.#file = file;
    this.#cpu = cpu;
    this.#onlyCpu = onlyCpu;
  }

  /** Takes a chunk; all of the one before must have been decoded (`next` returned 0). */
  accept(chunk: Uint8Array): void {
    assert(chunk.length <= CHUNK_BYTES, 'a chunk of a trace is too long');
    const left = this.#end - this.#at;
    if (left > LINE_BYTES_MAX) throw this.#longLine();
    const start = LINE_BYTES_MAX - left;
    this.#bytes.copyWithin(start, this.#at, this.#end);
    this.#bytes.set(chunk, LINE_BYTES_MAX);
    this.#at = start;
    this.#end = LINE_BYTES_MAX + chunk.length;
    this.#bytes[this.#end] = NEWLINE;
  }

  /** The file has ended: its last line may lack a newline. */
  finish(): void {
    if (this.#end === this.#at) return;
    this.#bytes[++this.#end] = NEWLINE;
  }

  /** Decodes up to a batch; number of accesses in it, 0: more text is needed. */
  next(): number {
    this.#count = 0;
    while (this.#count <= BATCH_ENTRIES - RECORD_ENTRIES_MAX && this.#decodeLine()) {}
    return this.#count;
  }

  /** false: no whole line is left. */
  #decodeLine(): boolean {
    const start = this.#at;
    if (start >= this.#end) return false;
    const first = this.#bytes[start]!;
    if (this.form === null || isRare(first)) {
      const text = this.#wholeLine();
      if (text === null) return false;
      if (isSkipped(text)) {
        this.#at = this.#bytes.indexOf(NEWLINE, start) + 1;
        this.line++;
        return true;
      }
      if (this.form === null) this.#learn(text);
    }
    const count = this.#count;
    const outcome = this.#isLackey ? this.#parseLackey(start) : this.#parseDin(start);
    if (outcome > Outcome.Skipped) {
      this.#at = start;
      if (this.#wholeLine() === null) return false;
      throw this.#wrong(outcome);
    }
    if (this.#at > this.#end) {
      this.#at = start;
      this.#count = count;
      return false;
    }
    if (this.#at - start > LINE_BYTES_MAX) throw this.#longLine();
    this.line++;
    if (outcome === Outcome.Record) this.records++;
    return true;
  }

  /** "I  04001020,3" or " L 1ffeffe7e8,8", from `start`; moves behind the line. */
  #parseLackey(start: number): number {
    const bytes = this.#bytes;
    let at = start;
    if (this.#hasCpus) {
      at = this.#parseCpu(at);
      if (at <= 0) return -at;
      if (this.#onlyCpu >= 0 && this.#cpu !== this.#onlyCpu) return this.#skip(at);
    }
    while (bytes[at] === SPACE) at++;
    const kind = KIND_OF_LETTER[bytes[at++]!]!;
    if (kind === NO_KIND || bytes[at] !== SPACE) return Outcome.Wrong;
    while (bytes[at] === SPACE) at++;
    let hi = 0;
    let lo = 0;
    let digit = HEX[bytes[at]!]!;
    if (digit < 0) return Outcome.Wrong;
    for (; digit >= 0; digit = HEX[bytes[++at]!]!) {
      hi = (hi << 4) | (lo >>> 28);
      if (hi > HI_MASK) return Outcome.Address;
      lo = (lo << 4) | digit;
    }
    if (bytes[at++] !== COMMA) return Outcome.Wrong;
    let size = 0;
    digit = bytes[at]! - ZERO;
    if (digit >>> 0 > 9) return Outcome.Wrong;
    for (; digit >>> 0 <= 9; digit = bytes[++at]! - ZERO) {
      size = size * 10 + digit;
      if (size > RECORD_BYTES_MAX) return Outcome.Size;
    }
    if (size === 0) return Outcome.Size;
    if (!this.#endsAt(at)) return Outcome.Wrong;
    return this.#emit(kind, hi, lo, size) ? Outcome.Record : Outcome.Address;
  }

  /** "0 1ffeffe7e8", from `start`; moves behind the line. */
  #parseDin(start: number): number {
    const bytes = this.#bytes;
    let at = start;
    while (bytes[at] === SPACE) at++;
    if (this.#hasCpus) {
      at = this.#parseCpu(at);
      if (at <= 0) return -at;
      if (this.#onlyCpu >= 0 && this.#cpu !== this.#onlyCpu) return this.#skip(at);
      while (isBlank(bytes[at]!)) at++;
    }
    const kind = KIND_OF_LABEL[bytes[at++]!]!;
    if (kind === NO_KIND || !isBlank(bytes[at]!)) return Outcome.Wrong;
    while (isBlank(bytes[at]!)) at++;
    let hi = 0;
    let lo = 0;
    let digit = HEX[bytes[at]!]!;
    if (digit < 0) return Outcome.Wrong;
    for (; digit >= 0; digit = HEX[bytes[++at]!]!) {
      hi = (hi << 4) | (lo >>> 28);
      if (hi > HI_MASK) return Outcome.Address;
      lo = (lo << 4) | digit;
    }
    if (!this.#endsAt(at)) return Outcome.Wrong;
    return this.#emit(kind, hi, lo, 1) ? Outcome.Record : Outcome.Address;
  }

  /** Sets the CPU of the line; where its number ends, or minus what is wrong. */
  #parseCpu(start: number): number {
    const bytes = this.#bytes;
    let at = start;
    let cpu = 0;
    for (let digit = bytes[at]! - ZERO; digit >>> 0 <= 9; digit = bytes[++at]! - ZERO) {
      cpu = cpu * 10 + digit;
      if (cpu >= TRACE_CPUS_MAX) return -Outcome.Cpu;
    }
    if (at === start || !isBlank(bytes[at]!)) return -Outcome.Wrong;
    this.#cpu = cpu;
    if (cpu > this.highestCpu) {
      this.highestCpu = cpu;
      this.highestCpuLine = this.line + 1;
    }
    return at;
  }

  #skip(from: number): number {
    const bytes = this.#bytes;
    let at = from;
    while (bytes[at] !== NEWLINE) at++;
    this.#at = at + 1;
    return Outcome.Skipped;
  }

  /** Nothing but blanks is left of the line: moves behind it. */
  #endsAt(from: number): boolean {
    const bytes = this.#bytes;
    let at = from;
    while (isBlank(bytes[at]!) || bytes[at] === RETURN) at++;
    this.#at = at + 1;
    return bytes[at] === NEWLINE;
  }

  /** false: it reaches beyond 48 bits of address. */
  #emit(kind: number, hi: number, lo: number, size: number): boolean {
    if (!this.#emitAccess(kind, hi, lo, size)) return false;
    return kind !== Kind.ModifyLoad || this.#emitAccess(Kind.Store, hi, lo, size);
  }

  /** One access, in as many parts as it touches lines. */
  #emitAccess(kind: number, startHi: number, startLo: number, size: number): boolean {
    const entries = this.entries;
    let hi = startHi;
    let lo = startLo;
    for (let left = size; ; ) {
      const room = LINE_MASK + 1 - (lo & LINE_MASK);
      const at = ENTRY_WORDS * this.#count++;
      entries[at] = (lo & ~7) | kind | (left <= room ? LAST : 0);
      entries[at + 1] = hi | (this.#cpu << CPU_SHIFT);
      if (left <= room) return true;
      left -= room;
      lo = ((lo | LINE_MASK) + 1) | 0;
      if (lo === 0 && ++hi > HI_MASK) return false;
    }
  }

  // ---- what is rare ---------------------------------------------------------------------------

  /** Text of the line that begins here; null: its end is not here yet. */
  #wholeLine(): string | null {
    const end = this.#bytes.indexOf(NEWLINE, this.#at);
    if (end >= this.#end) return null;
    return Buffer.from(this.#bytes.subarray(this.#at, Math.min(end, this.#at + 200))).toString(
      'latin1',
    );
  }

  #learn(text: string): void {
    const form = formOf(text);
    if (form === null) throw new UserError(wrongLine(this.#place(), text, null));
    this.form = form;
    this.#isLackey = form.format === 'lackey';
    this.#hasCpus = form.hasCpus;
  }

  #place(): string {
    return `${this.#file}:${this.line + 1}`;
  }

  #wrong(outcome: number): UserError {
    const text = this.#wholeLine() ?? '';
    const place = this.#place();
    switch (outcome) {
      case Outcome.Address:
        return new UserError(`${place}: ${given(text)}: the address is beyond 48 bits`);
      case Outcome.Size:
        return new UserError(
          `${place}: ${given(text)}: the size is none of 1 to ${RECORD_BYTES_MAX} bytes`,
        );
      case Outcome.Cpu:
        return new UserError(
          `${place}: ${given(text)}: the CPU is none of 0 to ${TRACE_CPUS_MAX - 1}`,
        );
      default:
        return new UserError(wrongLine(place, text, this.form));
    }
  }

  #longLine(): UserError {
    return new UserError(
      `${this.#place()}: a line of more than ${LINE_BYTES_MAX} bytes; ` +
        'expected one record per line (lackey or din)',
    );
  }
}

function isBlank(byte: number): boolean {
  return byte === SPACE || byte === TAB;
}

/** May begin a line without a record. */
function isRare(byte: number): boolean {
  return byte === EQUALS || byte === DASH || byte === HASH || byte === NEWLINE || byte === RETURN;
}

function isSkipped(text: string): boolean {
  return /^(==|--|#|\s*$)/.test(text);
}

function kindsOf(table: Readonly<Record<string, number>>): Int8Array {
  const kinds = new Int8Array(256).fill(NO_KIND);
  for (const [letter, kind] of Object.entries(table)) kinds[letter.charCodeAt(0)] = kind;
  return kinds;
}

function hexDigits(): Int8Array {
  const digits = new Int8Array(256).fill(-1);
  for (let value = 0; value < 16; value++) {
    const text = value.toString(16);
    digits[text.charCodeAt(0)] = value;
    digits[text.toUpperCase().charCodeAt(0)] = value;
  }
  return digits;
}
