/**
 * Walk caches of one CPU: table descriptors by level for both stages, and the IPA-to-PA
 * translations that nested walks used (Arm ARM D8.2.5 allows caching of intermediate steps; sizes
 * are the machine's). All with true LRU.
 *
 * A hit at a level gives the table of the next level, so the walk goes on below it. Stage-1 tables
 * of a guest are kept by their physical address, that is after stage 2, as combined entries:
 * stage-2 forms by IPA leave them, which is why KVM issues VMALLE1 after IPAS2E1.
 *
 * Last-level TLBI forms leave table entries, all others take the matching ones (ER-X8).
 */

import { type Granule, levelShift } from './granule.ts';
import { STAGE2_TABLE_TAG_HI, Tlb, TlbKind } from './tlb.ts';
import type { TlbiMatch } from './tlbi-match.ts';

/** Levels 0, 1 and 2 hold table descriptors. */
const TABLE_LEVELS = 3;

export class WalkCache {
  /** By level; hits are read from paHi and paLo: the table of the next level. */
  readonly tables: readonly Tlb[];
  /** IPA to PA of whole nested accesses (table reads and final addresses), tagged by VMID. */
  readonly ipa: Tlb;
  /** Of the last lookupDeepest that found something: physical address of the next level's table. */
  tableHi = 0;
  tableLo = 0;

  /** `makeArray`: another array in place of Tlb (checkers watch theirs). */
  constructor(
    entriesPerLevel: number,
    ipaEntries: number = entriesPerLevel,
    makeArray: (entries: number, kind: TlbKind) => Tlb = (entries, kind) =>
      new Tlb(entries, 0, kind),
  ) {
    const tables: Tlb[] = [];
    for (let level = 0; level < TABLE_LEVELS; level++) {
      tables.push(makeArray(entriesPerLevel, TlbKind.Table));
    }
    this.tables = tables;
    this.ipa = makeArray(ipaEntries, TlbKind.Stage2Only);
  }

  /**
   * Deepest level whose table descriptor for the address is cached, from level 2 up to `topLevel`
   * (the start level of the walk), or -1. The table found is in tableHi and tableLo; the walk
   * continues in it at the level below. `stage` 2: the address is an IPA, the context the VMID's.
   */
  lookupDeepest(
    stage: 1 | 2,
    context: number,
    addressHi: number,
    addressLo: number,
    topLevel: number,
  ): number {
    const keyHi = stage === 2 ? addressHi | STAGE2_TABLE_TAG_HI : addressHi;
    for (let level = TABLE_LEVELS - 1; level >= topLevel; level--) {
      const cache = this.tables[level]!;
      const i = cache.lookup(context, keyHi, addressLo);
      if (i < 0) continue;
      this.tableHi = cache.paHi(i);
      this.tableLo = cache.paLo(i);
      return level;
    }
    return -1;
  }

  /** Keeps the table descriptor of a level: `table` is the physical address it points to. */
  insert(
    stage: 1 | 2,
    context: number,
    granule: Granule,
    level: number,
    addressHi: number,
    addressLo: number,
    tableHi: number,
    tableLo: number,
  ): void {
    const keyHi = stage === 2 ? addressHi | STAGE2_TABLE_TAG_HI : addressHi;
    const shift = levelShift(granule, level);
    const cache = this.tables[level]!;
    const i = cache.insert(context, false, keyHi, addressLo, shift, 0, 0, 0, 0, 0, stage);
    // A table's address isn't aligned to what the descriptor covers: no cutting.
    cache.setOutput(i, tableHi, tableLo);
  }

  /** Index into `ipa` of the translation of an IPA, or -1. */
  lookupIpa(context: number, ipaHi: number, ipaLo: number): number {
    return this.ipa.lookup(context, ipaHi, ipaLo);
  }

  /** Keeps a stage-2-only translation of 2^shift bytes; `context` has the VMID and no ASID. */
  insertIpa(
    context: number,
    ipaHi: number,
    ipaLo: number,
    shift: number,
    paHi: number,
    paLo: number,
    permissions: number,
  ): number {
    return this.ipa.insert(
      context,
      false,
      ipaHi,
      ipaLo,
      shift,
      0,
      ipaHi,
      ipaLo,
      paHi,
      paLo,
      permissions,
    );
  }

  /** Removes what the operation takes; returns how many entries. */
  invalidate(match: TlbiMatch): number {
    let removed = this.ipa.invalidate(match);
    if (match.lastLevel) return removed;
    for (const cache of this.tables) removed += cache.invalidate(match);
    return removed;
  }
}
