/**
 * The page-table walk of the naive engine, written as one sequential program: host stage 1, or a
 * guest's stage 1 whose table addresses and result pass stage 2. 4 KiB granule. Each descriptor is
 * read while its line is held; a TLBI that hits the walk makes it start over from the root.
 */

import { FaultKind } from '../../src/cpu/operations.ts';
import {
  hasAccessFlag,
  isBlockOrPage,
  isTable,
  isValid,
  PERM_DIRTY_PENDING,
  PERM_EXEC,
  PERM_READ,
  PERM_WRITE,
  PTE_AF,
} from '../../src/translation/descriptors.ts';
import {
  S1_READ_ONLY,
  s1IsGlobal,
  s1Permissions,
} from '../../src/translation/stage1-descriptors.ts';
import { combinePermissions, s2Permissions } from '../../src/translation/stage2-descriptors.ts';
import { cut, type StepCache, type Tag } from './naive-tlb.ts';

/** What an unfinished attempt waits for. */
export type Wait = 'moment' | 'line' | 'park' | 'wake-up' | 'acknowledgements';
export type Micro<Result> = Generator<Wait, Result, undefined>;

export interface Root {
  pa: number;
  readonly startLevel: number;
  readonly inputBits: number;
}

export interface WalkRequest {
  readonly tag: Tag;
  readonly va: number;
  readonly write: boolean;
  readonly instruction: boolean;
  readonly stage1: Root;
  /** null: host. */
  readonly stage2: Root | null;
  readonly hafdbs: 'none' | 'af' | 'dbm';
}

export interface WalkCpu {
  /** Caches of table descriptors by level 0 to 2, and of whole stage-2 translations. */
  readonly tables: readonly StepCache[];
  readonly ipas: StepCache;
  /** Waits until the descriptor's line is held. Throws START_OVER if a TLBI hit the walk. */
  holdDescriptor(pa: number, write: boolean): Micro<void>;
  peek(pa: number): number;
  poke(pa: number, value: number): void;
  /** The walk now rests on descriptors of these sizes. */
  restsOn(topShift: number, lowShift: number): void;
}

export const START_OVER = Symbol('start over');

export interface WalkFault {
  readonly fault: true;
  readonly fsc: number;
  readonly inStage2: boolean;
  readonly onTable: boolean;
  readonly ipa: number;
}

export interface WalkSuccess {
  readonly fault: false;
  readonly pa: number;
  readonly ipa: number;
  readonly stage1Shift: number;
  readonly stage2Shift: number;
  readonly permissions: number;
  readonly global: boolean;
}

type Stage2Result = WalkFault | { fault: false; pa: number; shift: number; permissions: number };

export function shiftOf(level: number): number {
  return 12 + (3 - level) * 9;
}

export class NaiveWalk {
  readonly #cpu: WalkCpu;
  readonly #request: WalkRequest;
  #top = 0;
  #low = 0;

  constructor(cpu: WalkCpu, request: WalkRequest) {
    this.#cpu = cpu;
    this.#request = request;
  }

  *run(): Micro<WalkFault | WalkSuccess> {
    for (;;) {
      this.#top = this.#low = 0;
      this.#cpu.restsOn(0, 0);
      try {
        return yield* this.#stage1();
      } catch (error) {
        if (error !== START_OVER) throw error;
      }
    }
  }

  *#stage1(): Micro<WalkFault | WalkSuccess> {
    const cpu = this.#cpu;
    const { tag, va, stage1, stage2 } = this.#request;
    let level = stage1.startLevel;
    let table = -1;
    for (let known = 2; known >= stage1.startLevel && table < 0; known--) {
      const step = cpu.tables[known]!.use(1, tag, va);
      if (step === undefined) continue;
      table = step.pa;
      level = known + 1;
      this.#rest(shiftOf(known));
    }
    if (table < 0) {
      table = stage1.pa;
      if (stage2 !== null) {
        const root = yield* this.#stage2(stage1.pa, true);
        if (root.fault) return root;
        table = root.pa;
      }
    }
    for (; ; level++) {
      const entry = table + indexOf(va, level, stage1) * 8;
      yield* cpu.holdDescriptor(entry, false);
      this.#rest(shiftOf(level));
      const lo = cpu.peek(entry);
      const hi = cpu.peek(entry + 4);
      if (!isTable(lo, level)) return yield* this.#stage1Leaf(entry, level);
      table = addressIn(hi, lo, 12);
      if (stage2 !== null) {
        const translated = yield* this.#stage2(table, true);
        if (translated.fault) return translated;
        table = translated.pa;
      }
      const shift = shiftOf(level);
      const step = {
        stage: 1,
        tag,
        base: cut(va, shift),
        shift,
        pa: table,
        permissions: 0,
      } as const;
      cpu.tables[level]!.add(step);
    }
  }

  *#stage1Leaf(entry: number, level: number): Micro<WalkFault | WalkSuccess> {
    const cpu = this.#cpu;
    const { va, write, hafdbs, stage2 } = this.#request;
    for (let exclusive = false; ; exclusive = true) {
      if (exclusive) yield* cpu.holdDescriptor(entry, true);
      const lo = cpu.peek(entry);
      const hi = cpu.peek(entry + 4);
      // A descriptor that became a table meanwhile is none of the generated programs' tricks.
      if (!isValid(lo) || !isBlockOrPage(lo, level)) return fault(FaultKind.Translation, level);
      if (!hasAccessFlag(lo)) {
        if (hafdbs === 'none') return fault(FaultKind.AccessFlag, level);
        if (!exclusive) continue;
        cpu.poke(entry, lo | PTE_AF);
      }
      const pending = (s1Permissions(hi, lo) & PERM_DIRTY_PENDING) !== 0;
      if (write && pending && hafdbs === 'dbm') {
        if (!exclusive) continue;
        cpu.poke(entry, cpu.peek(entry) & ~S1_READ_ONLY);
      }
      const permissions = s1Permissions(hi, cpu.peek(entry));
      if (!this.#allows(permissions)) return fault(FaultKind.Permission, level);
      const stage1Shift = shiftOf(level);
      const output = addressIn(hi, lo, stage1Shift) + (va - cut(va, stage1Shift));
      const found = { fault: false, global: s1IsGlobal(lo), stage1Shift } as const;
      if (stage2 === null) return { ...found, pa: output, ipa: 0, stage2Shift: 0, permissions };
      const final = yield* this.#stage2(output, false);
      if (final.fault) return final;
      return {
        ...found,
        pa: final.pa,
        ipa: output,
        stage2Shift: final.shift,
        permissions: combinePermissions(permissions, final.permissions),
      };
    }
  }

  /** `onTable`: the address of a stage-1 table, not of the access itself. */
  *#stage2(ipa: number, onTable: boolean): Micro<Stage2Result> {
    const cpu = this.#cpu;
    const tag = { vmid: this.#request.tag.vmid, asid: 0 };
    const root = this.#request.stage2!;
    if (this.#top === 0) this.#rest(48);
    const known = cpu.ipas.use(2, tag, ipa);
    if (known !== undefined) {
      const pa = known.pa + (ipa - known.base);
      return this.#judgeStage2(ipa, onTable, pa, known.shift, known.permissions);
    }
    let level = root.startLevel;
    let table = root.pa;
    for (let deepest = 2; deepest >= root.startLevel; deepest--) {
      const step = cpu.tables[deepest]!.use(2, tag, ipa);
      if (step === undefined) continue;
      table = step.pa;
      level = deepest + 1;
      break;
    }
    for (let exclusive = false; ; ) {
      const entry = table + indexOf(ipa, level, root) * 8;
      yield* cpu.holdDescriptor(entry, exclusive);
      const lo = cpu.peek(entry);
      const hi = cpu.peek(entry + 4);
      const shift = shiftOf(level);
      const base = cut(ipa, shift);
      if (isTable(lo, level)) {
        table = addressIn(hi, lo, 12);
        cpu.tables[level]!.add({ stage: 2, tag, base, shift, pa: table, permissions: 0 });
        level++;
        exclusive = false;
        continue;
      }
      const where = { inStage2: true, onTable, ipa };
      if (!isValid(lo) || !isBlockOrPage(lo, level)) {
        return fault(FaultKind.Translation, level, where);
      }
      if (!hasAccessFlag(lo)) {
        if (this.#request.hafdbs === 'none') return fault(FaultKind.AccessFlag, level, where);
        if (!exclusive) {
          exclusive = true;
          continue;
        }
        cpu.poke(entry, lo | PTE_AF);
      }
      const pa = addressIn(hi, lo, shift);
      const permissions = s2Permissions(hi, lo);
      cpu.ipas.add({ stage: 2, tag, base, shift, pa, permissions });
      return this.#judgeStage2(ipa, onTable, pa + (ipa - base), shift, permissions);
    }
  }

  #judgeStage2(
    ipa: number,
    onTable: boolean,
    pa: number,
    shift: number,
    permissions: number,
  ): Stage2Result {
    const allowed = onTable ? (permissions & PERM_READ) !== 0 : this.#allows(permissions);
    const level = 3 - (shift - 12) / 9;
    if (!allowed) return fault(FaultKind.Permission, level, { inStage2: true, onTable, ipa });
    return { fault: false, pa, shift, permissions };
  }

  #allows(permissions: number): boolean {
    const { instruction, write } = this.#request;
    if (instruction) return (permissions & PERM_EXEC) !== 0;
    return (permissions & (write ? PERM_WRITE : PERM_READ)) !== 0;
  }

  #rest(shift: number): void {
    if (this.#top === 0) this.#top = shift;
    this.#low = shift;
    this.#cpu.restsOn(this.#top, this.#low);
  }
}

function fault(
  kind: number,
  level: number,
  where = { inStage2: false, onTable: false, ipa: 0 },
): WalkFault {
  return { fault: true, fsc: kind | level, ...where };
}

/** Address in a descriptor, its low bits cleared. */
function addressIn(hi: number, lo: number, shift: number): number {
  return cut((hi & 0xffff) * 2 ** 32 + (lo >>> 0), shift);
}

function indexOf(address: number, level: number, root: Root): number {
  const shift = shiftOf(level);
  // The start level may have fewer or (stage 2) more descriptors than a table.
  const bits = level === root.startLevel ? root.inputBits - shift : 9;
  return Math.floor(address / 2 ** shift) % 2 ** bits;
}
