/**
 * `--threads auto`: a seed starts on one worker; if its first moments show enough work for the time
 * of a hop between nodes, and a long way to go, it is started again on several. The wall clock may
 * decide, because the number of workers never changes a result. All seeds of a run share one
 * choice.
 *
 * Deviation: the engine cannot move a running machine to other threads, so the first moments are
 * run twice when the answer is "several".
 */

import { PS_PER_NS } from '../base/units.ts';
import type { Machine } from '../machine/machine.ts';

/**
 * Memory accesses while a message is on its way (the least hop) from which a second worker pays:
 * random loads have 28 and gained 1.7x on 2 cores. A rough measure: private hits, 36 of them, cost
 * so little that the same second worker gained 1.15x. Fewer than 25 were not measured.
 */
const ACCESSES_PER_HOP = 25;

/** First look, with and without knowing how much there is to do. */
const LOOK_MS = 50;
const BLIND_LOOK_MS = 300;
/** Shorter runs are over before a second worker has paid for itself. */
const WORTHWHILE_MS = 1000;

export class AutoThreads {
  readonly #limit: number;
  readonly #hopPs: number;
  readonly #expectedOperations: number;
  #choice = 0;

  /** `limit`: the most workers that may be chosen; `expectedOperations`: 0 = unknown. */
  constructor(machine: Machine, limit: number, expectedOperations: number) {
    this.#limit = limit;
    this.#hopPs = Math.max(PS_PER_NS, Math.min(machine.leastHopPs, Number.MAX_SAFE_INTEGER));
    this.#expectedOperations = expectedOperations;
    if (limit === 1) this.#choice = 1;
  }

  /** Workers to use, or 0: not known yet, start on one. */
  get choice(): number {
    return this.#choice;
  }

  /**
   * Takes the figures of a seed that runs on one worker since `elapsedMs`. True: it should be
   * started again on `choice` workers.
   */
  consider(elapsedMs: number, emulatedPs: number, operations: number, accesses: number): boolean {
    if (this.#choice !== 0) return false;
    const done = this.#expectedOperations === 0 ? 0 : operations / this.#expectedOperations;
    if (elapsedMs < (done > 0 ? LOOK_MS : BLIND_LOOK_MS) || emulatedPs === 0) return false;
    const leftMs = done > 0 ? (elapsedMs / done) * (1 - done) : Number.POSITIVE_INFINITY;
    const perHop = (accesses * this.#hopPs) / emulatedPs;
    const pays = leftMs >= WORTHWHILE_MS && perHop >= ACCESSES_PER_HOP;
    this.#choice = pays ? this.#limit : 1;
    return pays;
  }
}
