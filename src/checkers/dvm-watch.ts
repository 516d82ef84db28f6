/**
 * Delivery of broadcast TLBIs, counted on one CPU (invariant I4; ER-X4): when the Sync of a CPU
 * arrives, every TLBI that the CPU issued before has arrived here. The issuer's DSB ends after that
 * Sync has taken effect, so what translation-watch.ts holds from then on holds from the DSB on.
 *
 * It also keeps what this CPU issued and has not completed by a DSB, for whoever frees memory.
 */

import type { TlbiRecord } from './tlbi-record.ts';
import { Findings, Rule, Space } from './violation.ts';

/** Memory given up while TLBIs of the same CPU were not complete. */
export interface EarlyFree {
  readonly timePs: number;
  readonly isTable: boolean;
  readonly hi: number;
  readonly lo: number;
  readonly bytes: number;
  readonly pending: readonly TlbiRecord[];
}

/** A program that never issues a DSB keeps this many. */
const PENDING_MAX = 256;
const EARLY_FREES_MAX = 1000;

export class DvmWatch {
  readonly findings = new Findings();
  readonly earlyFrees: EarlyFree[] = [];
  readonly #cpu: number;
  #issued = 0;
  #pending: TlbiRecord[] = [];
  /** By issuer. */
  readonly #received: Float64Array;

  constructor(cpu: number, cpuCount: number) {
    this.#cpu = cpu;
    this.#received = new Float64Array(cpuCount);
  }

  /** Broadcast TLBIs that this CPU has issued so far; a Sync carries the number. */
  get issued(): number {
    return this.#issued;
  }

  issue(record: TlbiRecord): void {
    this.#issued++;
    if (this.#pending.length < PENDING_MAX) this.#pending.push(record);
  }

  /** A DSB of this CPU is complete. */
  completed(): void {
    if (this.#pending.length > 0) this.#pending = [];
  }

  received(issuer: number): void {
    this.#received[issuer]!++;
  }

  syncReceived(issuer: number, issuedBefore: number, atPs: number): void {
    if (this.#received[issuer] === issuedBefore) return;
    this.findings.add({
      rule: Rule.Translations,
      timePs: atPs,
      cpus: [this.#cpu, issuer],
      text:
        `acknowledges a DSB after ${this.#received[issuer]} of the issuer's ` +
        `${issuedBefore} TLBIs`,
      space: Space.Physical,
      hi: 0,
      lo: 0,
    });
  }

  freed(timePs: number, isTable: boolean, hi: number, lo: number, bytes: number): void {
    if (this.#pending.length === 0 || this.earlyFrees.length >= EARLY_FREES_MAX) return;
    this.earlyFrees.push({ timePs, isTable, hi, lo, bytes, pending: this.#pending.slice() });
  }
}
