/**
 * From when on a translation may not be in any TLB: not when the TLBI happened to take it, but
 * when the issuer's DSB said so. Programs must wait for the latter; what comes in between is a
 * race that a run may win by chance.
 */

import type { CpuLog } from './cpu-watch.ts';
import { matchOf, takes } from './tlbi-record.ts';

const NEVER = Number.POSITIVE_INFINITY;

/** The TLBI that took the last copy of a row. */
export interface Taker {
  readonly cpu: number;
  readonly issuedPs: number;
  readonly completedPs: number;
}

export class Completion {
  readonly #logs: readonly CpuLog[];
  readonly #logOfCpu = new Map<number, CpuLog>();

  constructor(logs: readonly CpuLog[]) {
    this.#logs = logs;
    for (const log of logs) this.#logOfCpu.set(log.cpu, log);
  }

  /** null: no broadcast TLBI took the row, or it is not on record any more. */
  takerOf(log: CpuLog, row: number): Taker | null {
    const cpu = log.translations.takenBy[row]!;
    if (cpu < 0) return null;
    const issued = this.#logOfCpu.get(cpu)?.issued;
    const at = log.translations.takenBySequence[row]! - 1;
    const record = issued?.records[at];
    if (issued === undefined || record === undefined) return null;
    return { cpu, issuedPs: record.atPs, completedPs: issued.completedPs[at]! };
  }

  /** When the row was gone for everybody who may ask. */
  gonePs(log: CpuLog, row: number): number {
    const removedPs = log.translations.removedPs[row]!;
    const taker = this.takerOf(log, row);
    return taker === null ? removedPs : Math.max(removedPs, taker.completedPs);
  }

  /**
   * Had any TLBI for the row, whoever issued it, been completed by `byPs`? The one that took the
   * row may be another CPU's, on its way for another reason.
   */
  isCompleteBy(log: CpuLog, row: number, byPs: number): boolean {
    const t = log.translations;
    for (const { issued } of this.#logs) {
      const { records, completedPs } = issued;
      for (let k = firstAfter(records, t.filledPs[row]!); k < records.length; k++) {
        const record = records[k]!;
        if (record.atPs >= byPs) break;
        if (completedPs[k]! <= byPs && takes(matchOf(record), t, row)) return true;
      }
    }
    return false;
  }
}

function firstAfter(records: readonly { readonly atPs: number }[], timePs: number): number {
  let low = 0;
  let high = records.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (records[middle]!.atPs < timePs) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** A completion that never came is written as such. */
export function whenComplete(completedPs: number): string {
  return completedPs === NEVER ? 'never' : `only at ${completedPs / 1000} ns`;
}
