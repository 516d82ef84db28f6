/**
 * Checker events of all CPUs in one order, for oracles that look at a whole round after it. Each
 * event takes a number from one atomic counter at the moment when the program tells it, which for
 * locks and lifetimes is inside what they protect: so the numbers are a possible order of what
 * happened, and an oracle that is silent on every correct order stays silent.
 *
 * What comes after the log's room is used up is counted and not kept.
 */

import { AccessReader, type HearAccess, type RoundAccesses } from './access-log.ts';
import { Global } from './control.ts';

const WORDS = 4;
const Word = { CpuAndFlags: 0, Kind: 1, Hi: 2, Lo: 3 } as const;
const INTERRUPTS_ENABLED = 1;

export type HearEvent = (
  cpu: number,
  kind: number,
  hi: number,
  lo: number,
  interrupts: boolean,
) => void;

export function eventLogBytes(entries: number): number {
  return entries * WORDS * 4;
}

export class EventLog {
  readonly #control: Int32Array<SharedArrayBuffer>;
  readonly #words: Int32Array;
  readonly #entries: number;
  /** null: only events are kept. */
  readonly #accesses: RoundAccesses | null;

  constructor(
    control: Int32Array<SharedArrayBuffer>,
    buffer: SharedArrayBuffer,
    accesses: RoundAccesses | null = null,
  ) {
    this.#control = control;
    this.#words = new Int32Array(buffer);
    this.#entries = this.#words.length / WORDS;
    this.#accesses = accesses;
  }

  add(cpu: number, kind: number, hi: number, lo: number, interrupts: boolean): void {
    if (this.#entries === 0) return;
    const number = Atomics.add(this.#control, Global.EventNext, 1);
    if (number >= this.#entries) return;
    const at = number * WORDS;
    this.#words[at + Word.CpuAndFlags] = (cpu << 1) | (interrupts ? INTERRUPTS_ENABLED : 0);
    this.#words[at + Word.Kind] = kind;
    this.#words[at + Word.Hi] = hi;
    this.#words[at + Word.Lo] = lo;
  }

  /**
   * All events of a round that is over, and the beginnings and ends of accesses between them.
   * False: some events were not kept, and the rest is a prefix.
   */
  replay(hear: HearEvent, hearAccess: HearAccess | null = null): boolean {
    const count = Atomics.load(this.#control, Global.EventNext);
    const kept = Math.min(count, this.#entries);
    const reader =
      hearAccess === null || this.#accesses === null
        ? null
        : new AccessReader(this.#accesses, hearAccess);
    for (let number = 0; number < kept; number++) {
      reader?.until(number);
      const at = number * WORDS;
      const first = this.#words[at + Word.CpuAndFlags]!;
      hear(
        first >> 1,
        this.#words[at + Word.Kind]!,
        this.#words[at + Word.Hi]!,
        this.#words[at + Word.Lo]!,
        (first & INTERRUPTS_ENABLED) !== 0,
      );
    }
    reader?.until(kept);
    return count <= this.#entries;
  }
}
