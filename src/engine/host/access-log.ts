/**
 * Accesses through page tables, each CPU's in a log of its own, for oracles that hold them against
 * the events of the whole round (event-log.ts). Real threads have no global order, so an access is
 * an interval: how many events had been numbered when it began (before its translation), and how
 * many when it was over. It may have happened anywhere between; an oracle may alarm only if it is
 * wrong wherever it was. Nothing here is counted up: the log orders no threads that the program
 * leaves unordered.
 *
 * An access is over when its CPU does anything else: the interval is wider than the access, which
 * hides mistakes and makes none. Equal accesses in one interval are one. What comes after the
 * log's room is used up is not kept: an access that was not seen proves nothing.
 */

import type { Regime } from '../../cpu/operations.ts';
import { Global } from './control.ts';

const WORDS = 5;
const Word = { Before: 0, After: 1, PaHi: 2, PaLo: 3, Kind: 4 } as const;
/** First word of each CPU's part: accesses in it; the rest keeps its host line apart. */
const HEAD_WORDS = 16;
const WRITE = 0x100;

/** An access that was made through a translation. */
export interface HostAccess {
  readonly cpu: number;
  readonly regime: Regime;
  readonly paHi: number;
  readonly paLo: number;
  readonly write: boolean;
}

/** The logs of all CPUs. */
export interface RoundAccesses {
  readonly buffer: SharedArrayBuffer;
  readonly cpuCount: number;
}

export interface HearAccess {
  /** The CPU's next access begins, with its translation. */
  began(cpu: number): void;
  /** It is over. */
  made(access: HostAccess): void;
}

function partWords(entries: number): number {
  return entries === 0 ? 0 : HEAD_WORDS + entries * WORDS;
}

export function accessLogBytes(cpuCount: number, entries: number): number {
  return cpuCount * partWords(entries) * 4;
}

/** The CPU's side. */
export class AccessLog {
  /** Somebody will look at it. */
  readonly isOn: boolean;
  readonly #control: Int32Array<SharedArrayBuffer>;
  readonly #part: Int32Array;
  readonly #entries: number;
  #count = 0;
  #before = 0;
  #isOpen = false;

  constructor(
    control: Int32Array<SharedArrayBuffer>,
    buffer: SharedArrayBuffer,
    entries: number,
    cpu: number,
  ) {
    this.#control = control;
    this.#entries = entries;
    this.isOn = entries > 0;
    const words = partWords(entries);
    this.#part = new Int32Array(buffer, cpu * words * 4, words);
    if (this.isOn) this.#part[0] = 0;
  }

  /** Before the translation. */
  begin(): void {
    this.#before = Atomics.load(this.#control, Global.EventNext);
  }

  /** Translated; the access is made next. */
  add(regime: Regime, paHi: number, paLo: number, write: boolean): void {
    if (this.#count >= this.#entries) return;
    const at = HEAD_WORDS + this.#count * WORDS;
    const part = this.#part;
    part[at + Word.Before] = this.#before;
    part[at + Word.PaHi] = paHi;
    part[at + Word.PaLo] = paLo;
    part[at + Word.Kind] = regime | (write ? WRITE : 0);
    this.#isOpen = true;
  }

  /** Whatever was begun is over. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    const part = this.#part;
    const at = HEAD_WORDS + this.#count * WORDS;
    part[at + Word.After] = Atomics.load(this.#control, Global.EventNext);
    if (this.#count > 0 && this.#repeats(at)) return;
    part[0] = ++this.#count;
  }

  #repeats(at: number): boolean {
    const part = this.#part;
    for (let word = 0; word < WORDS; word++) {
      if (part[at + word] !== part[at - WORDS + word]) return false;
    }
    return part[at + Word.Before] === part[at + Word.After];
  }
}

/** All CPUs' accesses of a round that is over, one gap between two events after the other. */
export class AccessReader {
  readonly #words: Int32Array;
  readonly #part: number;
  /** By CPU: the next record, and whether its beginning was told. */
  readonly #next: Int32Array;
  readonly #begun: Uint8Array;
  readonly #hear: HearAccess;

  constructor({ buffer, cpuCount }: RoundAccesses, hear: HearAccess) {
    this.#words = new Int32Array(buffer);
    this.#part = this.#words.length / cpuCount;
    this.#next = new Int32Array(cpuCount);
    this.#begun = new Uint8Array(cpuCount);
    this.#hear = hear;
  }

  /** What began or ended before the event of this number. */
  until(number: number): void {
    if (this.#part === 0) return;
    for (let cpu = 0; cpu < this.#next.length; cpu++) {
      while (this.#step(cpu, number)) this.#next[cpu]!++;
    }
  }

  /** true: the CPU's next access is over. */
  #step(cpu: number, number: number): boolean {
    const first = cpu * this.#part;
    const next = this.#next[cpu]!;
    if (next >= this.#words[first]!) return false;
    const at = first + HEAD_WORDS + next * WORDS;
    if (this.#words[at + Word.Before]! > number) return false;
    if (this.#begun[cpu] === 0) this.#hear.began(cpu);
    const isOver = this.#words[at + Word.After]! <= number;
    this.#begun[cpu] = isOver ? 0 : 1;
    if (!isOver) return false;
    const kind = this.#words[at + Word.Kind]!;
    this.#hear.made({
      cpu,
      regime: (kind & ~WRITE) as Regime,
      paHi: this.#words[at + Word.PaHi]!,
      paLo: this.#words[at + Word.PaLo]!,
      write: (kind & WRITE) !== 0,
    });
    return true;
  }
}
