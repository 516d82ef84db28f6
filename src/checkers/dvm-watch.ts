/**
 * Delivery of broadcast TLBIs, counted on one CPU (invariant I4; ER-X4): when the Sync of a CPU
 * arrives, every TLBI that the CPU issued before has arrived here. The issuer's DSB ends after that
 * Sync has taken effect, so what translation-watch.ts holds from then on holds from the DSB on.
 *
 * It also keeps what this CPU issued and when a DSB completed it, for oracles that ask whether a
 * program waited.
 */

import type { TlbiRecord } from './tlbi-record.ts';
import { Findings, Rule, Space } from './violation.ts';

/** What one CPU issued, in order: the first has sequence 1. */
export interface IssuedTlbis {
  readonly records: readonly TlbiRecord[];
  /** When a DSB completed it; Infinity = never. */
  readonly completedPs: Float64Array;
}

/** TLBIs kept per CPU; later ones count as completed. */
const RECORDS_MAX = 1 << 18;

export class DvmWatch {
  readonly findings = new Findings();
  readonly #cpu: number;
  #issued = 0;
  readonly #records: TlbiRecord[] = [];
  readonly #completedPs: number[] = [];
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
    if (this.#records.length < RECORDS_MAX) this.#records.push(record);
  }

  /** A DSB of this CPU is complete: so is everything issued before. */
  completed(atPs: number): void {
    while (this.#completedPs.length < this.#records.length) this.#completedPs.push(atPs);
  }

  /** A TLBI of another CPU arrives; returns which of its TLBIs it is. */
  received(issuer: number): number {
    return ++this.#received[issuer]!;
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

  log(): IssuedTlbis {
    const completedPs = new Float64Array(this.#records.length).fill(Number.POSITIVE_INFINITY);
    completedPs.set(this.#completedPs);
    return { records: this.#records, completedPs };
  }
}
