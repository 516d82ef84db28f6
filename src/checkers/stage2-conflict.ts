/**
 * Break-before-make of stage 2 over all CPUs (invariant I1; Arm ARM D8.16.1): a CPU fills a
 * translation of an IPA while another CPU still holds one with another output address (one of them
 * writable), or in another size on a machine without FEAT_BBM. Then the entry was changed from
 * valid to valid, or the break was not flushed before the make. One CPU's own entries are
 * translation-watch.ts's work.
 *
 * Only stage 2, and only under one root: there every change of output is broken and flushed under
 * a lock or a locked entry. The host's stage 1 may map a page again before an earlier unmap is
 * flushed (madvise beside a fault), so nothing is said about it.
 */

import { PERM_WRITE } from '../translation/descriptors.ts';
import { Completion } from './completion.ts';
import type { CpuLog } from './cpu-watch.ts';
import type { Oracle, ReplayInput } from './oracle.ts';
import { TimeMerge } from './time-merge.ts';
import { RowKind, type TranslationColumns } from './translation-log.ts';
import { addressKey, Findings, Rule, Space } from './violation.ts';

/** One stage-2 leaf as a CPU's TLB shows it. */
interface Leaf {
  readonly cpu: number;
  /** First bytes of the leaf. */
  readonly ipa: number;
  readonly pa: number;
  readonly shift: number;
  readonly writable: boolean;
  readonly filledPs: number;
  readonly removedPs: number;
  /** From when on nobody may hold it (completion.ts). */
  readonly gonePs: number;
  readonly log: CpuLog;
  readonly row: number;
}

/** Leaves of one VMID and root, by log2 of their size, then by page number. */
type Space2 = Map<number, Map<number, Leaf[]>>;

export class Stage2Conflict implements Oracle {
  readonly rule = Rule.BreakBeforeMake;
  readonly findings = new Findings();
  readonly #input: ReplayInput;
  readonly #completion: Completion;
  readonly #spaces = new Map<string, Space2>();
  #leafCount = 0;

  constructor(input: ReplayInput) {
    this.#input = input;
    this.#completion = new Completion(input.logs);
  }

  event(): void {}

  finish(): void {
    const { logs } = this.#input;
    const fills = new TimeMerge(
      logs.map(({ translations: t }) => ({ count: t.count, timePs: t.filledPs })),
    );
    while (fills.next()) {
      const log = logs[fills.source]!;
      const { translations } = log;
      const row = fills.index;
      if (translations.kind[row] === RowKind.Table || translations.stage2Shift[row] === 0) {
        if (translations.kind[row] !== RowKind.Stage2Only) continue;
      }
      this.#fill(this.#spaceOf(translations, row), this.#leafOf(log, row));
    }
  }

  #spaceOf(t: TranslationColumns, row: number): Space2 {
    const key = `${t.context[row]! >>> 16}:${t.rootHi[row]}:${t.rootLo[row]}`;
    let space = this.#spaces.get(key);
    if (space === undefined) {
      space = new Map();
      this.#spaces.set(key, space);
    }
    return space;
  }

  #fill(space: Space2, leaf: Leaf): void {
    this.#leafCount++;
    for (const [shift, pages] of space) this.#compare(leaf, shift, pages);
    let pages = space.get(leaf.shift);
    if (pages === undefined) {
      pages = new Map();
      space.set(leaf.shift, pages);
    }
    const page = leaf.ipa / 2 ** leaf.shift;
    const list = pages.get(page);
    if (list === undefined) pages.set(page, [leaf]);
    else list.push(leaf);
  }

  #compare(leaf: Leaf, shift: number, pages: Map<number, Leaf[]>): void {
    const first = Math.floor(leaf.ipa / 2 ** shift);
    const last = Math.floor((leaf.ipa + 2 ** leaf.shift - 1) / 2 ** shift);
    if (last - first < pages.size) {
      for (let page = first; page <= last; page++) this.#compareWith(leaf, pages, page);
      return;
    }
    for (const page of pages.keys()) {
      if (page >= first && page <= last) this.#compareWith(leaf, pages, page);
    }
  }

  #compareWith(leaf: Leaf, pages: Map<number, Leaf[]>, page: number): void {
    const list = pages.get(page);
    if (list === undefined) return;
    const held = list.filter((other) => other.gonePs > leaf.filledPs);
    if (held.length < list.length) pages.set(page, held);
    for (const other of held) {
      // One CPU's own entries are compared as they are filled.
      const isHeld = other.removedPs > leaf.filledPs;
      if (isHeld && other.cpu === leaf.cpu) continue;
      const what = disagreement(leaf, other, this.#input.bbm);
      if (what === null) continue;
      if (!isHeld && this.#completion.isCompleteBy(other.log, other.row, leaf.filledPs)) continue;
      const text = isHeld
        ? `fills a stage-2 translation while another CPU holds one ${what}`
        : `fills a stage-2 translation before the TLBI of one ${what} is complete`;
      const ipa = Math.max(leaf.ipa, other.ipa);
      this.findings.add({
        rule: this.rule,
        timePs: leaf.filledPs,
        cpus: [leaf.cpu, other.cpu],
        text,
        space: Space.Ipa,
        hi: Math.floor(ipa / 2 ** 32),
        lo: ipa | 0,
      });
    }
  }

  #leafOf(log: CpuLog, row: number): Leaf {
    const t = log.translations;
    const stage2Only = t.kind[row] === RowKind.Stage2Only;
    const shift = stage2Only ? t.stage1Shift[row]! : t.stage2Shift[row]!;
    const bytes = 2 ** shift;
    const ipa = addressKey(t.ipaHi[row]!, t.ipaLo[row]!);
    const pa = addressKey(t.paHi[row]!, t.paLo[row]!);
    return {
      cpu: log.cpu,
      ipa: ipa - (ipa % bytes),
      pa: pa - (pa % bytes),
      shift,
      writable: (t.permissions[row]! & PERM_WRITE) !== 0,
      filledPs: t.filledPs[row]!,
      removedPs: t.removedPs[row]!,
      gonePs: this.#completion.gonePs(log, row),
      log,
      row,
    };
  }

  summary(): string {
    return `no translation met a different one of the same address (${this.#leafCount} of guests)`;
  }
}

/** How two translations of one address contradict each other; null: they may stand together. */
function disagreement(leaf: Leaf, other: Leaf, bbm: string): string | null {
  const differs = leaf.pa - leaf.ipa !== other.pa - other.ipa;
  if (differs && (leaf.writable || other.writable)) return 'with another output';
  return bbm !== '0' || leaf.shift === other.shift ? null : 'of another size';
}
