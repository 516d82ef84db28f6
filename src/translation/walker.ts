/**
 * Hardware page-table walker of one CPU: stage 1 of the host, or stage 1 and 2 of a guest, as a
 * chain of descriptor reads through the L2 cache (the walker's port is at the L2), each of which
 * may miss and block the CPU (ER-X1). Its state lives here between attempts; the program merely
 * repeats.
 *
 * Follows the translation process of the Arm ARM (D8.2, pseudocode AArch64.Translate): the table
 * addresses of a guest's stage 1 are IPAs and pass stage 2 themselves. Access flag and dirty state
 * are updated by read-modify-writes of the descriptor's line where the CPU has FEAT_HAFDBS: both
 * for stage 1, the access flag alone for stage 2 (KVM sets VTCR_EL2.HA and not HD).
 */

import { FaultKind } from '../cpu/operations.ts';
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
} from './descriptors.ts';
import { levelShift, sizeMaskHi, sizeMaskLo, startIndex, tableIndex } from './granule.ts';
import { S1_READ_ONLY, s1IsGlobal, s1Permissions } from './stage1-descriptors.ts';
import { combinePermissions, s2Permissions } from './stage2-descriptors.ts';
import type { WalkCache } from './walk-cache.ts';
import type { StageRoot, WalkPort } from './walk-port.ts';

/** What a walk came to. */
export const WalkResult = { Blocked: 0, Done: 1, Fault: 2 } as const;
export type WalkResult = (typeof WalkResult)[keyof typeof WalkResult];

const Step = { Start: 0, Read1: 1, Stage2: 2, Read2: 3 } as const;
/** What a stage-2 translation is for. */
const Purpose = { Table: 0, Final: 1, Root: 2 } as const;

export class Walker {
  // The request.
  active = false;
  marked = false;
  context = 0;
  vaHi = 0;
  vaLo = 0;
  nested = false;
  write = false;
  instruction = false;
  #stage1!: StageRoot;
  #stage2!: StageRoot;
  // Progress.
  #step: number = Step.Start;
  #level = 0;
  #tableHi = 0;
  #tableLo = 0;
  #level2 = 0;
  #table2Hi = 0;
  #table2Lo = 0;
  #purpose: number = Purpose.Table;
  /** Needs the descriptor's line exclusive to update it. */
  #update = 0;
  /** Sizes covered by what has been read so far, for TLBI matching; 0 = nothing yet. */
  topShift = 0;
  lowShift = 0;
  // The result.
  paHi = 0;
  paLo = 0;
  ipaHi = 0;
  ipaLo = 0;
  stage1Shift = 0;
  stage2Shift = 0;
  permissions = 0;
  stage1Permissions = 0;
  global = false;
  faultKind: number = FaultKind.Translation;
  faultLevel = 0;
  faultInStage2 = false;
  faultOnTable = false;
  readonly #cache: WalkCache;
  readonly #port: WalkPort;
  readonly #setsAccessFlag: boolean;
  readonly #setsDirty: boolean;

  constructor(cache: WalkCache, port: WalkPort, hafdbs: 'none' | 'af' | 'dbm') {
    this.#cache = cache;
    this.#port = port;
    this.#setsAccessFlag = hafdbs !== 'none';
    this.#setsDirty = hafdbs === 'dbm';
  }

  /** Begins a walk; `stage2` is ignored unless nested. */
  start(
    context: number,
    vaHi: number,
    vaLo: number,
    write: boolean,
    instruction: boolean,
    nested: boolean,
    stage1: StageRoot,
    stage2: StageRoot,
  ): void {
    this.active = true;
    this.marked = false;
    this.context = context;
    this.vaHi = vaHi;
    this.vaLo = vaLo;
    this.nested = nested;
    this.write = write;
    this.instruction = instruction;
    this.#stage1 = stage1;
    this.#stage2 = stage2;
    this.restart();
  }

  /** The table that the walk's last stage starts from: stage 2 of a nested walk. */
  get outermostRoot(): StageRoot {
    return this.nested ? this.#stage2 : this.#stage1;
  }

  /** Is the descriptor that the walk reads next one of stage 2? */
  get readsStage2(): boolean {
    return this.#step === Step.Read2;
  }

  /** From the root again: a TLBI passed since the walk began (ER-X2). */
  restart(): void {
    this.marked = false;
    this.#step = Step.Start;
    this.#update = 0;
    this.topShift = 0;
    this.lowShift = 0;
    this.stage2Shift = 0;
  }

  /** Goes on until the walk is done, faults, or must wait. */
  run(): WalkResult {
    for (;;) {
      const result = this.#stepOnce();
      if (result === WalkResult.Blocked) return result;
      if (result === CONTINUE) continue;
      this.active = false;
      return result as WalkResult;
    }
  }

  #stepOnce(): number {
    switch (this.#step) {
      case Step.Start:
        return this.#begin();
      case Step.Read1:
        return this.#readStage1();
      case Step.Stage2:
        return this.#beginStage2();
      default:
        return this.#readStage2();
    }
  }

  #begin(): number {
    const root = this.#stage1;
    const top = root.startLevel;
    const found = this.#cache.lookupDeepest(1, this.context, this.vaHi, this.vaLo, top);
    if (found >= 0) {
      this.#level = found + 1;
      this.#tableHi = this.#cache.tableHi;
      this.#tableLo = this.#cache.tableLo;
      this.topShift = this.lowShift = levelShift(root.granule, found);
      this.#step = Step.Read1;
      return CONTINUE;
    }
    this.#level = top;
    if (this.nested) return this.#needStage2(root.hi, root.lo, Purpose.Root);
    this.#tableHi = root.hi;
    this.#tableLo = root.lo;
    this.#step = Step.Read1;
    return CONTINUE;
  }

  #needStage2(ipaHi: number, ipaLo: number, purpose: number): number {
    this.ipaHi = ipaHi;
    this.ipaLo = ipaLo;
    this.#purpose = purpose;
    this.#step = Step.Stage2;
    return CONTINUE;
  }

  #readStage1(): number {
    const { granule, startLevel, inputBits } = this.#stage1;
    const level = this.#level;
    const index =
      level === startLevel
        ? startIndex(granule, level, inputBits, this.vaHi, this.vaLo)
        : tableIndex(granule, level, this.vaHi, this.vaLo);
    const hi = this.#tableHi;
    const lo = (this.#tableLo + index * 8) | 0;
    if (!this.#port.walkRead(hi, lo, this.#update)) return WalkResult.Blocked;
    const shift = levelShift(granule, level);
    if (this.topShift === 0) this.topShift = shift;
    this.lowShift = shift;
    const zone = this.#port.zoneOf(hi, lo);
    const word = lo >>> 2;
    const dLo = word < zone.length ? zone[word]! : 0;
    const dHi = word < zone.length ? zone[word + 1]! : 0;
    if (isTable(dLo, level)) {
      const nextHi = outputHi(dHi, granule.shift);
      const nextLo = outputLo(dLo, granule.shift);
      this.#update = 0;
      if (this.nested) return this.#needStage2(nextHi, nextLo, Purpose.Table);
      return this.#descend(nextHi, nextLo);
    }
    if (!isValid(dLo) || !isBlockOrPage(dLo, level)) {
      return this.#fault(FaultKind.Translation, level, false);
    }
    if (!hasAccessFlag(dLo)) {
      if (!this.#setsAccessFlag) return this.#fault(FaultKind.AccessFlag, level, false);
      if (this.#update === 0) return this.#wantUpdate();
      zone[word] = dLo | PTE_AF;
    }
    let permissions = s1Permissions(dHi, dLo);
    if (this.write && (permissions & PERM_DIRTY_PENDING) !== 0 && this.#setsDirty) {
      if (this.#update === 0) return this.#wantUpdate();
      zone[word] = zone[word]! & ~S1_READ_ONLY;
      permissions = s1Permissions(dHi, zone[word]!);
    }
    this.#update = 0;
    return this.#leafStage1(dHi, dLo, shift, level, permissions);
  }

  #wantUpdate(): number {
    this.#update = 1;
    return CONTINUE;
  }

  #leafStage1(dHi: number, dLo: number, shift: number, level: number, permissions: number): number {
    if (!this.#allows(permissions)) return this.#fault(FaultKind.Permission, level, false);
    this.stage1Shift = shift;
    this.stage1Permissions = permissions;
    this.global = s1IsGlobal(dLo);
    const hi = outputHi(dHi, shift) | (this.vaHi & ~sizeMaskHi(shift));
    const lo = outputLo(dLo, shift) | (this.vaLo & ~sizeMaskLo(shift));
    if (this.nested) return this.#needStage2(hi, lo, Purpose.Final);
    this.permissions = permissions;
    this.paHi = hi;
    this.paLo = lo;
    return WalkResult.Done;
  }

  /** Stage 1 goes on in the next level's table, whose physical address is known. */
  #descend(paHi: number, paLo: number): number {
    const { granule } = this.#stage1;
    this.#cache.insert(1, this.context, granule, this.#level, this.vaHi, this.vaLo, paHi, paLo);
    this.#level++;
    this.#tableHi = paHi;
    this.#tableLo = paLo;
    this.#step = Step.Read1;
    return CONTINUE;
  }

  #beginStage2(): number {
    const cache = this.#cache;
    const root = this.#stage2;
    const tag = this.context & ~0xffff;
    // From the first stage-2 step on, cached or read, any stage-2 form of the VMID concerns it.
    if (this.topShift === 0) this.topShift = this.lowShift = 48;
    const known = cache.lookupIpa(tag, this.ipaHi, this.ipaLo);
    if (known >= 0) {
      const { ipa } = cache;
      const shift = ipa.sizeShift(known);
      return this.#stage2Found(
        ipa.paHi(known) | (this.ipaHi & ~sizeMaskHi(shift)),
        ipa.paLo(known) | (this.ipaLo & ~sizeMaskLo(shift)),
        shift,
        ipa.permissions(known),
      );
    }
    const found = cache.lookupDeepest(2, tag, this.ipaHi, this.ipaLo, root.startLevel);
    if (found >= 0) {
      this.#level2 = found + 1;
      this.#table2Hi = cache.tableHi;
      this.#table2Lo = cache.tableLo;
    } else {
      this.#level2 = root.startLevel;
      this.#table2Hi = root.hi;
      this.#table2Lo = root.lo;
    }
    this.#step = Step.Read2;
    return CONTINUE;
  }

  #readStage2(): number {
    const { granule, startLevel, inputBits } = this.#stage2;
    const level = this.#level2;
    const index =
      level === startLevel
        ? startIndex(granule, level, inputBits, this.ipaHi, this.ipaLo)
        : tableIndex(granule, level, this.ipaHi, this.ipaLo);
    const hi = this.#table2Hi;
    const lo = (this.#table2Lo + index * 8) | 0;
    if (!this.#port.walkRead(hi, lo, this.#update)) return WalkResult.Blocked;
    const zone = this.#port.zoneOf(hi, lo);
    const word = lo >>> 2;
    const dLo = word < zone.length ? zone[word]! : 0;
    const dHi = word < zone.length ? zone[word + 1]! : 0;
    const tag = this.context & ~0xffff;
    if (isTable(dLo, level)) {
      this.#table2Hi = outputHi(dHi, granule.shift);
      this.#table2Lo = outputLo(dLo, granule.shift);
      const { ipaHi, ipaLo } = this;
      this.#cache.insert(2, tag, granule, level, ipaHi, ipaLo, this.#table2Hi, this.#table2Lo);
      this.#level2++;
      this.#update = 0;
      return CONTINUE;
    }
    if (!isValid(dLo) || !isBlockOrPage(dLo, level)) {
      return this.#fault(FaultKind.Translation, level, true);
    }
    if (!hasAccessFlag(dLo)) {
      if (!this.#setsAccessFlag) return this.#fault(FaultKind.AccessFlag, level, true);
      if (this.#update === 0) return this.#wantUpdate();
      zone[word] = dLo | PTE_AF;
    }
    this.#update = 0;
    const shift = levelShift(granule, level);
    const paHi = outputHi(dHi, shift) | (this.ipaHi & ~sizeMaskHi(shift));
    const paLo = outputLo(dLo, shift) | (this.ipaLo & ~sizeMaskLo(shift));
    const permissions = s2Permissions(dHi, dLo);
    this.#cache.insertIpa(tag, this.ipaHi, this.ipaLo, shift, paHi, paLo, permissions);
    return this.#stage2Found(paHi, paLo, shift, permissions);
  }

  #stage2Found(paHi: number, paLo: number, shift: number, permissions: number): number {
    const { granule } = this.#stage2;
    const level = 3 - (shift - granule.shift) / granule.entriesShift;
    if (this.#purpose !== Purpose.Final) {
      if ((permissions & PERM_READ) === 0) return this.#fault(FaultKind.Permission, level, true);
      if (this.#purpose === Purpose.Root) {
        this.#tableHi = paHi;
        this.#tableLo = paLo;
        this.#step = Step.Read1;
        return CONTINUE;
      }
      return this.#descend(paHi, paLo);
    }
    if (!this.#allows(permissions)) return this.#fault(FaultKind.Permission, level, true);
    this.stage2Shift = shift;
    this.permissions = combinePermissions(this.stage1Permissions, permissions);
    this.paHi = paHi;
    this.paLo = paLo;
    return WalkResult.Done;
  }

  #allows(permissions: number): boolean {
    if (this.instruction) return (permissions & PERM_EXEC) !== 0;
    return (permissions & (this.write ? PERM_WRITE : PERM_READ)) !== 0;
  }

  #fault(kind: number, level: number, inStage2: boolean): number {
    this.#update = 0;
    this.faultKind = kind;
    this.faultLevel = level;
    this.faultInStage2 = inStage2;
    this.faultOnTable = inStage2 && this.#purpose !== Purpose.Final;
    return WalkResult.Fault;
  }
}

/** Not a result: take the next step. */
const CONTINUE = 3;
