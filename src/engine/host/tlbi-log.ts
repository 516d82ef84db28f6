/**
 * Broadcast TLBIs as messages: one log that every CPU reads at its own pace (ER-H3). What a CPU has
 * served is its acknowledgement; a DSB waits until every other CPU has served what was posted
 * before it. The log is the mailbox of all targets at once: each keeps its own place in it.
 *
 * Invariant: an entry is reused only when every CPU has served it; an issuer that finds the log
 * full serves and waits like anybody else.
 */

import {
  Block,
  blockOf,
  type ControlLayout,
  Global,
  State,
  TLBI_ENTRIES,
  TLBI_WORDS,
} from './control.ts';
import type { Doorbell } from './doorbell.ts';

const Word = {
  /** Number of the TLBI, from 1: the entry is written. */
  Number: 0,
  Operation: 1,
  Context: 2,
  Hi: 3,
  Lo: 4,
  Pages: 5,
  Issuer: 6,
} as const;

/** What a receiver does with a TLBI. */
export type ApplyTlbi = (
  operation: number,
  context: number,
  hi: number,
  lo: number,
  pages: number,
) => void;

export class TlbiLog {
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #layout: ControlLayout;
  readonly #bell: Doorbell;
  readonly #cpu: number;
  readonly #activeCpus: readonly number[];
  readonly #apply: ApplyTlbi;
  #served = 0;
  /** Number of this CPU's last TLBI, and whether a DSB has to wait for it. */
  #last = 0;
  #owes = false;
  /** All CPUs have served so many, as far as this one knows. */
  #floor = 0;

  constructor(bell: Doorbell, cpu: number, activeCpus: readonly number[], apply: ApplyTlbi) {
    this.#words = bell.words;
    this.#layout = bell.layout;
    this.#bell = bell;
    this.#cpu = cpu;
    this.#activeCpus = activeCpus;
    this.#apply = apply;
  }

  /** False: the log is full; to be repeated after serving. */
  post(operation: number, context: number, hi: number, lo: number, pages: number): boolean {
    const words = this.#words;
    let next = Atomics.load(words, Global.TlbiNext);
    for (;;) {
      if (((next - this.#floor) | 0) >= TLBI_ENTRIES) {
        this.#floor = this.#leastServed(next);
        if (((next - this.#floor) | 0) >= TLBI_ENTRIES) return false;
      }
      const seen = Atomics.compareExchange(words, Global.TlbiNext, next, (next + 1) | 0);
      if (seen === next) break;
      next = seen;
    }
    const at = this.#entry(next);
    words[at + Word.Operation] = operation;
    words[at + Word.Context] = context;
    words[at + Word.Hi] = hi;
    words[at + Word.Lo] = lo;
    words[at + Word.Pages] = pages;
    words[at + Word.Issuer] = this.#cpu;
    this.#last = (next + 1) | 0;
    this.#owes = true;
    Atomics.store(words, at + Word.Number, this.#last);
    this.#ringWaiting();
    return true;
  }

  /** Applies what has come since the last time; true = something has. */
  serve(): boolean {
    const words = this.#words;
    const next = Atomics.load(words, Global.TlbiNext);
    if (next === this.#served) return false;
    const before = this.#served;
    while (this.#served !== next) {
      const at = this.#entry(this.#served);
      const number = (this.#served + 1) | 0;
      // Still being written: its issuer rings when it is there.
      if (Atomics.load(words, at + Word.Number) !== number) break;
      if (words[at + Word.Issuer] !== this.#cpu) {
        this.#apply(
          words[at + Word.Operation]!,
          words[at + Word.Context]!,
          words[at + Word.Hi]!,
          words[at + Word.Lo]!,
          words[at + Word.Pages]!,
        );
      }
      this.#served = number;
    }
    if (this.#served === before) return false;
    Atomics.store(words, blockOf(this.#layout, this.#cpu) + Block.TlbiServed, this.#served);
    this.#ringBarriers();
    return true;
  }

  /** Has every other CPU served what this one posted? */
  isAcknowledged(): boolean {
    if (!this.#owes) return true;
    for (const cpu of this.#activeCpus) {
      if (cpu === this.#cpu) continue;
      if (((this.#servedBy(cpu) - this.#last) | 0) < 0) return false;
    }
    this.#owes = false;
    return true;
  }

  #servedBy(cpu: number): number {
    return Atomics.load(this.#words, blockOf(this.#layout, cpu) + Block.TlbiServed);
  }

  #leastServed(next: number): number {
    let behind = 0;
    for (const cpu of this.#activeCpus) {
      behind = Math.max(behind, (next - this.#servedBy(cpu)) | 0);
    }
    return (next - behind) | 0;
  }

  #entry(number: number): number {
    return this.#layout.tlbis + (number & (TLBI_ENTRIES - 1)) * TLBI_WORDS;
  }

  /** A running CPU serves at its next attempt; whoever is about to sleep serves once more first. */
  #ringWaiting(): void {
    for (const cpu of this.#activeCpus) {
      if (cpu === this.#cpu) continue;
      const state = Atomics.load(this.#words, blockOf(this.#layout, cpu) + Block.State);
      if (state !== State.Running) this.#bell.ring(cpu);
    }
  }

  #ringBarriers(): void {
    for (const cpu of this.#activeCpus) {
      const state = Atomics.load(this.#words, blockOf(this.#layout, cpu) + Block.State);
      if (state === State.Barrier) this.#bell.ring(cpu);
    }
  }
}
