/**
 * How a CPU of the host engine sleeps and is woken. A CPU never sleeps on an emulated word, or it
 * could not answer a TLBI (ER-H2): it sleeps on a bell of its own. Whoever waits for a word is a
 * bit in the bitmap of the word's bucket; a store that finds bits in the bucket rings their bells.
 *
 * Invariant (no lost wake-up): register, test again, sleep on one side; store, read the bitmap on
 * the other. Atomics are sequentially consistent, so one of the two sees the other. A time-out
 * backs this up and counts what it had to repair.
 */

import { Block, blockOf, bucketOf, type ControlLayout, controlLayout, Global } from './control.ts';

export const WAIT_TIMEOUT_MS = 10;
/** How long a bell may be late when the storing thread lost its core between store and ring. */
const LATE_WAITS = 200;

export class Doorbell {
  readonly words: Int32Array<SharedArrayBuffer>;
  readonly layout: ControlLayout;
  readonly #cpu: number;
  readonly #bell: number;
  #registered = -1;
  #seen = 0;

  constructor(control: SharedArrayBuffer, cpuCount: number, cpu: number) {
    this.words = new Int32Array(control);
    this.layout = controlLayout(cpuCount);
    this.#cpu = cpu;
    this.#bell = blockOf(this.layout, cpu) + Block.Bell;
  }

  /** Reads the bell; a later sleep() returns at once if it rings after this. */
  listen(): void {
    this.#seen = Atomics.load(this.words, this.#bell);
  }

  /** From now on a store to the line rings this CPU's bell. */
  register(paHi: number, paLo: number): void {
    const word = bucketOf(this.layout, paHi, paLo) + (this.#cpu >>> 5);
    if (this.#registered !== word) {
      this.unregister();
      this.#registered = word;
    }
    Atomics.or(this.words, word, 1 << (this.#cpu & 31));
  }

  unregister(): void {
    if (this.#registered < 0) return;
    Atomics.and(this.words, this.#registered, ~(1 << (this.#cpu & 31)));
    this.#registered = -1;
  }

  /** Sleeps until the bell rings or the time is up; true = rung. */
  sleep(limitMs: number = WAIT_TIMEOUT_MS): boolean {
    const answer = Atomics.wait(this.words, this.#bell, this.#seen, limitMs);
    return answer !== 'timed-out';
  }

  /** After a time-out that met a true condition: was the wake-up lost, or only late? */
  auditTimeout(): void {
    for (let i = 0; i < LATE_WAITS; i++) {
      if (this.sleep()) {
        Atomics.add(this.words, Global.LateWakes, 1);
        return;
      }
      if (Atomics.load(this.words, Global.Abort) !== 0) return;
    }
    Atomics.add(this.words, Global.LostWakes, 1);
  }

  ring(cpu: number): void {
    const bell = blockOf(this.layout, cpu) + Block.Bell;
    Atomics.add(this.words, bell, 1);
    Atomics.notify(this.words, bell);
  }

  /** After a store: rings everybody who waits for the line (or for one in the same bucket). */
  announce(paHi: number, paLo: number): void {
    const first = bucketOf(this.layout, paHi, paLo);
    for (let word = 0; word * 32 < this.layout.cpuCount; word++) {
      let bits = Atomics.load(this.words, first + word);
      while (bits !== 0) {
        const bit = 31 - Math.clz32(bits & -bits);
        bits &= bits - 1;
        const cpu = word * 32 + bit;
        if (cpu !== this.#cpu) this.ring(cpu);
      }
    }
  }
}

/** Wakes every CPU, from any thread: abort, and the end of the run. */
export function ringAll(control: SharedArrayBuffer, cpuCount: number): void {
  const words = new Int32Array(control);
  const layout = controlLayout(cpuCount);
  for (let cpu = 0; cpu < cpuCount; cpu++) {
    const bell = blockOf(layout, cpu) + Block.Bell;
    Atomics.add(words, bell, 1);
    Atomics.notify(words, bell);
  }
}
