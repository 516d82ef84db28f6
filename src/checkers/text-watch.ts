/**
 * Coherence of the instruction side, on one CPU: once IC has taken a line from this CPU's
 * instruction cache and the CPU has synchronised its context (ISB, exception entry or return), it
 * executes no words of the line that were taken before (Arm ARM DDI 0487, B2.3). What it executes
 * between the two is free: old and new are both right.
 *
 * Only lines that the CPU has fetched are followed; all others can't be stale here.
 */

import { Findings, Rule, Space } from './violation.ts';

export class TextWatch {
  readonly findings = new Findings();
  /** Fetches that were looked at. */
  count = 0;
  readonly #cpu: number;
  /** By line: when the words in the cache were taken from memory. */
  readonly #takenPs = new Map<number, number>();
  /** By line: when IC last took it. */
  readonly #invalidatedPs = new Map<number, number>();
  #allInvalidatedPs = -1;
  /** When another CPU's IC takes effect that is applied next; -1: it is the CPU's own. */
  #effectPs = -1;
  #synchronisedPs = -1;
  /** The line that the CPU executes, and when its words were taken; Infinity: they are live. */
  #line = -1;
  #linePs = 0;

  constructor(cpu: number) {
    this.#cpu = cpu;
  }

  /** The words of a line go into the cache. */
  taken(paHi: number, paLo: number, atPs: number): void {
    this.#takenPs.set(lineKey(paHi, paLo), atPs);
  }

  /** The CPU begins to execute a line; `live`: it sees memory as it is. */
  begins(paHi: number, paLo: number, live: boolean): void {
    this.#line = lineKey(paHi, paLo);
    this.#linePs = live ? Number.POSITIVE_INFINITY : (this.#takenPs.get(this.#line) ?? -1);
  }

  /** What is executed is memory's no longer, and stays as it is. */
  freezes(atPs: number): void {
    if (this.#linePs === Number.POSITIVE_INFINITY) this.#linePs = atPs;
  }

  /** Another CPU's IC takes effect here, next. */
  arrives(effectPs: number): void {
    this.#effectPs = effectPs;
  }

  /** IC is applied; `clockPs`: when, if it is this CPU's own. */
  invalidated(paHi: number, paLo: number, clockPs: number): void {
    const atPs = this.#effect(clockPs);
    const line = lineKey(paHi, paLo);
    if (this.#takenPs.has(line)) this.#invalidatedPs.set(line, atPs);
  }

  allInvalidated(clockPs: number): void {
    this.#allInvalidatedPs = this.#effect(clockPs);
  }

  #effect(clockPs: number): number {
    const atPs = this.#effectPs < 0 ? clockPs : this.#effectPs;
    this.#effectPs = -1;
    return atPs;
  }

  synchronised(atPs: number): void {
    this.#synchronisedPs = atPs;
  }

  /** A word of the line that began last is executed. */
  executed(atPs: number): void {
    this.count++;
    const invalidatedPs = Math.max(
      this.#invalidatedPs.get(this.#line) ?? -1,
      this.#allInvalidatedPs,
    );
    if (invalidatedPs > this.#synchronisedPs || this.#linePs >= invalidatedPs) return;
    this.findings.add({
      rule: Rule.StaleText,
      timePs: atPs,
      cpus: [this.#cpu],
      text:
        'executes words taken before the instruction cache was invalidated at ' +
        `${invalidatedPs / 1000} ns, after synchronising its context`,
      space: Space.Physical,
      hi: Math.floor(this.#line / 2 ** 26),
      lo: (this.#line % 2 ** 26) << 6,
    });
  }
}

function lineKey(paHi: number, paLo: number): number {
  return paHi * 2 ** 26 + (paLo >>> 6);
}
