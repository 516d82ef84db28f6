/**
 * Page-table walk of a CPU of the host engine: stage 1, or stage 1 and 2 of a guest, over the real
 * descriptors in shared memory, in one go. Each descriptor is one 64-bit atomic load; access flag
 * and dirty state are set by compare-and-swap, as the walker of FEAT_HAFDBS does (flag and state
 * for stage 1, the flag alone for stage 2: KVM sets VTCR_EL2.HA and not HD).
 *
 * Follows the translation process of the Arm ARM (D8.2, AArch64.Translate) like the walker of the
 * virtual engine. A walk and the access that needed it are one attempt, in which the CPU serves no
 * TLBI: what it enters can only be removed after it was entered.
 */

import { FaultKind } from '../../cpu/operations.ts';
import {
  hasAccessFlag,
  isBlockOrPage,
  isTable,
  isValid,
  outputHi,
  outputLo,
  PERM_DIRTY_PENDING,
  PERM_EXEC,
  PERM_READ,
  PERM_WRITE,
  PTE_AF,
} from '../../translation/descriptors.ts';
import {
  levelShift,
  sizeMaskHi,
  sizeMaskLo,
  startIndex,
  tableIndex,
} from '../../translation/granule.ts';
import { S1_READ_ONLY, s1IsGlobal, s1Permissions } from '../../translation/stage1-descriptors.ts';
import { combinePermissions, s2Permissions } from '../../translation/stage2-descriptors.ts';
import type { WalkCache } from '../../translation/walk-cache.ts';
import type { StageRoot } from '../../translation/walk-port.ts';
import type { HostMemory } from './host-memory.ts';

export class HostWalk {
  // The request.
  #context = 0;
  #write = false;
  #right = PERM_READ;
  #stage2: StageRoot | null = null;
  // The result of a walk that found a translation.
  paHi = 0;
  paLo = 0;
  ipaHi = 0;
  ipaLo = 0;
  stage1Shift = 0;
  /** 0 = no stage 2. */
  stage2Shift = 0;
  permissions = 0;
  /** What stage 1 alone grants. */
  stage1Permissions = 0;
  global = false;
  // The result of one that did not.
  faultKind: number = FaultKind.Translation;
  faultLevel = 0;
  faultInStage2 = false;
  /** A table of stage 1 has no translation in stage 2. */
  faultOnTable = false;
  // The descriptor read last.
  #dHi = 0;
  #dLo = 0;
  readonly #cache: WalkCache;
  readonly #memory: HostMemory;
  readonly #setsAccessFlag: boolean;
  readonly #setsDirty: boolean;

  constructor(cache: WalkCache, memory: HostMemory, hafdbs: 'none' | 'af' | 'dbm') {
    this.#cache = cache;
    this.#memory = memory;
    this.#setsAccessFlag = hafdbs !== 'none';
    this.#setsDirty = hafdbs === 'dbm';
  }

  /** `right`: the PERM_ bit that the access needs. `stage2`: of a guest; null: none. */
  walk(
    context: number,
    vaHi: number,
    vaLo: number,
    right: number,
    stage1: StageRoot,
    stage2: StageRoot | null,
  ): boolean {
    this.#context = context;
    this.#right = right;
    this.#write = right === PERM_WRITE;
    this.#stage2 = stage2;
    this.stage2Shift = 0;
    const { granule, startLevel, inputBits } = stage1;
    const found = this.#cache.lookupDeepest(1, context, vaHi, vaLo, startLevel);
    let level = startLevel;
    if (found >= 0) {
      level = found + 1;
      this.paHi = this.#cache.tableHi;
      this.paLo = this.#cache.tableLo;
    } else if (!this.#tableAt(stage1.hi, stage1.lo)) return false;
    for (;;) {
      const index =
        level === startLevel
          ? startIndex(granule, level, inputBits, vaHi, vaLo)
          : tableIndex(granule, level, vaHi, vaLo);
      const entryHi = this.paHi;
      const entryLo = (this.paLo + index * 8) | 0;
      this.#read(entryHi, entryLo);
      if (!isTable(this.#dLo, level)) {
        return this.#leaf(entryHi, entryLo, vaHi, vaLo, levelShift(granule, level), level);
      }
      const nextHi = outputHi(this.#dHi, granule.shift);
      if (!this.#tableAt(nextHi, outputLo(this.#dLo, granule.shift))) return false;
      this.#cache.insert(1, context, granule, level, vaHi, vaLo, this.paHi, this.paLo);
      level++;
    }
  }

  /** Physical address of a stage-1 table into pa*: a guest's table addresses are IPAs. */
  #tableAt(hi: number, lo: number): boolean {
    if (this.#stage2 !== null) return this.#stage2Of(hi, lo, PERM_READ, true);
    this.paHi = hi;
    this.paLo = lo;
    return true;
  }

  #read(hi: number, lo: number): void {
    this.#memory.load64(hi, lo);
    this.#dHi = this.#memory.hi;
    this.#dLo = this.#memory.lo;
  }

  /** Sets or clears bits of the descriptor read last; false: it has changed, read it again. */
  #update(hi: number, lo: number, set: number, clear: number): boolean {
    const { hi: dHi, lo: dLo } = { hi: this.#dHi, lo: this.#dLo };
    this.#memory.compareExchange64(hi, lo, dHi, dLo, dHi, (dLo | set) & ~clear);
    return this.#memory.hi === dHi && this.#memory.lo === dLo;
  }

  #leaf(
    entryHi: number,
    entryLo: number,
    vaHi: number,
    vaLo: number,
    shift: number,
    level: number,
  ): boolean {
    let permissions = 0;
    for (;;) {
      const dLo = this.#dLo;
      if (!isValid(dLo) || !isBlockOrPage(dLo, level)) {
        return this.#fault(FaultKind.Translation, level, false, false);
      }
      const set = hasAccessFlag(dLo) ? 0 : PTE_AF;
      if (set !== 0 && !this.#setsAccessFlag) {
        return this.#fault(FaultKind.AccessFlag, level, false, false);
      }
      permissions = s1Permissions(this.#dHi, dLo);
      const dirty = this.#write && this.#setsDirty && (permissions & PERM_DIRTY_PENDING) !== 0;
      const clear = dirty ? S1_READ_ONLY : 0;
      permissions = s1Permissions(this.#dHi, dLo & ~clear);
      if ((set | clear) === 0 || this.#update(entryHi, entryLo, set, clear)) break;
      this.#read(entryHi, entryLo);
    }
    if ((permissions & this.#right) === 0) {
      return this.#fault(FaultKind.Permission, level, false, false);
    }
    this.stage1Shift = shift;
    this.permissions = permissions;
    this.stage1Permissions = permissions;
    this.global = s1IsGlobal(this.#dLo);
    const hi = outputHi(this.#dHi, shift) | (vaHi & ~sizeMaskHi(shift));
    const lo = outputLo(this.#dLo, shift) | (vaLo & ~sizeMaskLo(shift));
    if (this.#stage2 !== null) return this.#stage2Of(hi, lo, this.#right, false);
    this.paHi = hi;
    this.paLo = lo;
    return true;
  }

  /** Translates an IPA into pa*; of the access itself (not of a table) into permissions, too. */
  #stage2Of(ipaHi: number, ipaLo: number, right: number, ofTable: boolean): boolean {
    const cache = this.#cache;
    const tag = this.#context & ~0xffff;
    this.ipaHi = ipaHi;
    this.ipaLo = ipaLo;
    const known = cache.lookupIpa(tag, ipaHi, ipaLo);
    if (known >= 0) {
      const { ipa } = cache;
      const shift = ipa.sizeShift(known);
      return this.#stage2Found(
        ipa.paHi(known) | (ipaHi & ~sizeMaskHi(shift)),
        ipa.paLo(known) | (ipaLo & ~sizeMaskLo(shift)),
        shift,
        ipa.permissions(known),
        right,
        ofTable,
      );
    }
    return this.#walkStage2(tag, right, ofTable);
  }

  #walkStage2(tag: number, right: number, ofTable: boolean): boolean {
    const { granule, startLevel, inputBits, hi: rootHi, lo: rootLo } = this.#stage2!;
    const { ipaHi, ipaLo } = this;
    const found = this.#cache.lookupDeepest(2, tag, ipaHi, ipaLo, startLevel);
    let level = found >= 0 ? found + 1 : startLevel;
    let tableHi = found >= 0 ? this.#cache.tableHi : rootHi;
    let tableLo = found >= 0 ? this.#cache.tableLo : rootLo;
    for (;;) {
      const index =
        level === startLevel
          ? startIndex(granule, level, inputBits, ipaHi, ipaLo)
          : tableIndex(granule, level, ipaHi, ipaLo);
      const entryLo = (tableLo + index * 8) | 0;
      this.#read(tableHi, entryLo);
      if (!isTable(this.#dLo, level)) {
        return this.#stage2Leaf(tag, tableHi, entryLo, level, right, ofTable);
      }
      tableHi = outputHi(this.#dHi, granule.shift);
      tableLo = outputLo(this.#dLo, granule.shift);
      this.#cache.insert(2, tag, granule, level, ipaHi, ipaLo, tableHi, tableLo);
      level++;
    }
  }

  #stage2Leaf(
    tag: number,
    entryHi: number,
    entryLo: number,
    level: number,
    right: number,
    ofTable: boolean,
  ): boolean {
    for (;;) {
      const dLo = this.#dLo;
      if (!isValid(dLo) || !isBlockOrPage(dLo, level)) {
        return this.#fault(FaultKind.Translation, level, true, ofTable);
      }
      if (hasAccessFlag(dLo)) break;
      if (!this.#setsAccessFlag) return this.#fault(FaultKind.AccessFlag, level, true, ofTable);
      if (this.#update(entryHi, entryLo, PTE_AF, 0)) break;
      this.#read(entryHi, entryLo);
    }
    const { ipaHi, ipaLo } = this;
    const shift = levelShift(this.#stage2!.granule, level);
    const paHi = outputHi(this.#dHi, shift) | (ipaHi & ~sizeMaskHi(shift));
    const paLo = outputLo(this.#dLo, shift) | (ipaLo & ~sizeMaskLo(shift));
    const permissions = s2Permissions(this.#dHi, this.#dLo);
    this.#cache.insertIpa(tag, ipaHi, ipaLo, shift, paHi, paLo, permissions);
    return this.#stage2Found(paHi, paLo, shift, permissions, right, ofTable);
  }

  #stage2Found(
    paHi: number,
    paLo: number,
    shift: number,
    permissions: number,
    right: number,
    ofTable: boolean,
  ): boolean {
    const { granule } = this.#stage2!;
    const level = 3 - (shift - granule.shift) / granule.entriesShift;
    if ((permissions & right) === 0) {
      return this.#fault(FaultKind.Permission, level, true, ofTable);
    }
    this.paHi = paHi;
    this.paLo = paLo;
    if (ofTable) return true;
    this.stage2Shift = shift;
    this.permissions = combinePermissions(this.permissions, permissions);
    return true;
  }

  #fault(kind: number, level: number, inStage2: boolean, onTable: boolean): false {
    this.faultKind = kind;
    this.faultLevel = level;
    this.faultInStage2 = inStage2;
    this.faultOnTable = onTable;
    return false;
  }
}

/** What an access needs of a translation. */
export const RIGHT = { Read: PERM_READ, Write: PERM_WRITE, Execute: PERM_EXEC } as const;
