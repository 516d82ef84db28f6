/**
 * Memory freed between a TLBI and its DSB (I4): the TLBI took a translation of the very memory,
 * and the CPU that issued it freed the memory before its DSB was complete. Whether somebody used
 * the memory in between is chance; that nobody waited is not.
 *
 * TLBIs that a kernel leaves without DSB on purpose (the access flag's) are for pages that it
 * keeps.
 */

import { EventKind } from '../cpu/operations.ts';
import { Completion, type Taker, whenComplete } from './completion.ts';
import { type CpuLog, frameBytes, frameLo } from './cpu-watch.ts';
import type { Occurrence, Oracle, ReplayInput } from './oracle.ts';
import { RowKind, rowShift } from './translation-log.ts';
import { addressKey, Findings, Rule, Space } from './violation.ts';

const TABLE_BYTES = 4096;

/** What one CPU freed, in order of time. */
interface Frees {
  readonly timePs: number[];
  readonly isTable: boolean[];
  readonly start: number[];
  readonly bytes: number[];
}

export class UnfinishedTlbi implements Oracle {
  readonly rule = Rule.Translations;
  readonly findings = new Findings();
  readonly #input: ReplayInput;
  readonly #frees = new Map<number, Frees>();

  constructor(input: ReplayInput) {
    this.#input = input;
  }

  event(o: Occurrence): void {
    const isTable = o.kind === EventKind.TablePageFreed;
    if (!isTable && o.kind !== EventKind.FrameFreed) return;
    let frees = this.#frees.get(o.cpu);
    if (frees === undefined) {
      frees = { timePs: [], isTable: [], start: [], bytes: [] };
      this.#frees.set(o.cpu, frees);
    }
    frees.timePs.push(o.timePs);
    frees.isTable.push(isTable);
    frees.start.push(addressKey(o.hi, frameLo(o.lo)));
    frees.bytes.push(isTable ? TABLE_BYTES : frameBytes(o.lo));
  }

  finish(): void {
    const completion = new Completion(this.#input.logs);
    for (const log of this.#input.logs) {
      for (let row = 0; row < log.translations.count; row++) {
        const taker = completion.takerOf(log, row);
        if (taker !== null) this.#check(log, row, taker, completion);
      }
    }
  }

  #check(log: CpuLog, row: number, taker: Taker, completion: Completion): void {
    const frees = this.#frees.get(taker.cpu);
    if (frees === undefined) return;
    const t = log.translations;
    const isTable = t.kind[row] === RowKind.Table;
    const start = addressKey(t.paHi[row]!, t.paLo[row]!);
    const end = start + (isTable ? 1 : 2 ** rowShift(t, row));
    for (let k = firstFrom(frees.timePs, taker.issuedPs); k < frees.timePs.length; k++) {
      const timePs = frees.timePs[k]!;
      if (timePs >= taker.completedPs) return;
      const from = frees.start[k]!;
      if (frees.isTable[k] !== isTable || end <= from || from + frees.bytes[k]! <= start) continue;
      if (completion.isCompleteBy(log, row, timePs)) return;
      const what = isTable ? 'a table page' : 'a frame';
      const when = whenComplete(taker.completedPs);
      this.findings.add({
        rule: this.rule,
        timePs,
        cpus: taker.cpu === log.cpu ? [log.cpu] : [taker.cpu, log.cpu],
        text: `frees ${what} before the TLBI for it is complete: ${when}`,
        space: Space.Physical,
        hi: t.paHi[row]!,
        lo: t.paLo[row]!,
      });
      return;
    }
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

/** Index of the first time in a sorted list that is not before `timePs`. */
function firstFrom(times: readonly number[], timePs: number): number {
  let low = 0;
  let high = times.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (times[middle]! < timePs) low = middle + 1;
    else high = middle;
  }
  return low;
}
