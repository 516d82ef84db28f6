/**
 * Memory freed between a TLBI and its DSB (I4): the TLBI took, or was about to take, another CPU's
 * translation of the very memory, and the CPU that frees has not waited. Whether somebody used the
 * memory in between is chance; that nobody waited is not.
 *
 * TLBIs that a kernel leaves without DSB on purpose (the access flag's) are for pages that it
 * keeps.
 */

import type { EarlyFree } from './dvm-watch.ts';
import type { Oracle, ReplayInput } from './oracle.ts';
import { matchOf, takes } from './tlbi-record.ts';
import { RowKind, rowShift, type TranslationColumns } from './translation-log.ts';
import { addressKey, Findings, Rule, Space } from './violation.ts';

/** A program that forgets its DSBs shows in the first few. */
const FREES_MAX = 100;

export class UnfinishedTlbi implements Oracle {
  readonly rule = Rule.Translations;
  readonly findings = new Findings();
  readonly #input: ReplayInput;

  constructor(input: ReplayInput) {
    this.#input = input;
  }

  event(): void {}

  finish(): void {
    for (const { cpu, earlyFrees } of this.#input.logs) {
      for (const free of earlyFrees.slice(0, FREES_MAX)) {
        const holder = this.#holder(cpu, free);
        if (holder < 0) continue;
        const what = free.isTable ? 'a table page' : 'a frame';
        this.findings.add({
          rule: this.rule,
          timePs: free.timePs,
          cpus: [cpu, holder],
          text: `frees ${what} after a TLBI for it, without a DSB in between`,
          space: Space.Physical,
          hi: free.hi,
          lo: free.lo,
        });
      }
    }
  }

  /** A CPU that held a translation of the memory when the TLBI was issued; -1 = none did. */
  #holder(cpu: number, free: EarlyFree): number {
    for (const tlbi of free.pending) {
      const match = matchOf(tlbi);
      for (const log of this.#input.logs) {
        if (log.cpu === cpu) continue;
        const t = log.translations;
        for (let row = 0; row < t.count; row++) {
          if (t.filledPs[row]! >= tlbi.atPs || t.removedPs[row]! <= tlbi.atPs) continue;
          if (overlaps(t, row, free) && takes(match, t, row)) return log.cpu;
        }
      }
    }
    return -1;
  }

  summary(): string {
    const tlbis = this.#input.logs.reduce((sum, { tlbiCount }) => sum + tlbiCount, 0);
    const rows = this.#input.logs.reduce((sum, { translations: t }) => sum + t.count, 0);
    return (
      `no translation survived TLBI and DSB (${rows} translations of users and guests, ` +
      `${tlbis} TLBIs received)`
    );
  }
}

function overlaps(t: TranslationColumns, row: number, free: EarlyFree): boolean {
  const isTable = t.kind[row] === RowKind.Table;
  if (isTable !== free.isTable) return false;
  const start = addressKey(t.paHi[row]!, t.paLo[row]!);
  const bytes = isTable ? 1 : 2 ** rowShift(t, row);
  const freeStart = addressKey(free.hi, free.lo);
  return start < freeStart + free.bytes && freeStart < start + bytes;
}
