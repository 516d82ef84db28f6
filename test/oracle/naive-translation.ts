/**
 * Translation in a CPU of the naive engine: registers, two levels of TLB, the walk, faults, and
 * what TLB maintenance does to entries and to the access or walk under way.
 */

import { BugError } from '../../src/base/errors.ts';
import type { Handler } from '../../src/cpu/cpu.ts';
import type { Exception } from '../../src/cpu/operations.ts';
import { FaultKind, Level, Regime, Register, Tlbi } from '../../src/cpu/operations.ts';
import { Counter, Metric } from '../../src/metrics/definition.ts';
import {
  PERM_DIRTY_PENDING,
  PERM_EXEC,
  PERM_READ,
  PERM_WRITE,
} from '../../src/translation/descriptors.ts';
import { NaiveCore } from './naive-core.ts';
import type { NaiveRun } from './naive-engine.ts';
import {
  cut,
  type Maintenance,
  NaiveTlb,
  StepCache,
  type Tag,
  type TlbEntry,
  takesWalk,
} from './naive-tlb.ts';
import { type Micro, NaiveWalk, type Root, START_OVER, type WalkFault } from './naive-walk.ts';

/** What the attempt under way rests on, for TLB maintenance; top 0 = nothing yet. */
interface UnderWay {
  readonly kind: 'walk' | 'access';
  readonly tag: Tag;
  readonly va: number;
  top: number;
  low: number;
}

export interface Fault {
  readonly fsc: number;
  readonly inStage2: boolean;
  readonly onTable: boolean;
  readonly ipa: number;
}

export type Access = 'read' | 'write' | 'fetch';

export abstract class NaiveTranslation extends NaiveCore {
  readonly exception: Exception = {
    fsc: 0,
    write: false,
    instruction: false,
    stage1Walk: false,
    farHi: 0,
    farLo: 0,
    ipaHi: 0,
    ipaLo: 0,
  };
  readonly tables: readonly StepCache[];
  readonly ipas: StepCache;
  readonly dtlb: NaiveTlb;
  readonly itlb: NaiveTlb;
  readonly tlb2: NaiveTlb;
  protected underWay: UnderWay | null = null;
  protected marked = false;
  readonly #roots: Root[];
  readonly #vectors = new Map<number, Handler>();
  #asid: number;
  #vmid = 0;

  constructor(id: number, run: NaiveRun) {
    super(id, run);
    const { machine } = this;
    const steps = Math.max(1, machine.walkCacheEntries);
    this.tables = [new StepCache(steps), new StepCache(steps), new StepCache(steps)];
    this.ipas = new StepCache(steps);
    this.dtlb = new NaiveTlb(machine.dtlb);
    this.itlb = new NaiveTlb(machine.itlb);
    this.tlb2 = new NaiveTlb(machine.tlb2);
    this.#asid = 1 + (id % (machine.features.asidBits === 16 ? 0xffff : 0xff));
    const host = { startLevel: 0, inputBits: 48 };
    const { ipaBits } = run;
    // Stage 2 starts one level later if at most 16 tables side by side make that possible.
    const stage2Level = 4 - Math.max(2, Math.ceil((ipaBits - 4 - 12) / 9));
    this.#roots = [
      { ...host, pa: run.userRoots[id]! },
      { ...host, pa: run.kernelRoots[id]! },
      { startLevel: stage2Level, inputBits: ipaBits, pa: 0 },
      { ...host, pa: 0 },
      { ...host, pa: 0 },
    ];
  }

  setVector(level: Level, handler: Handler): void {
    this.#vectors.set(level, handler);
  }

  protected writeRoot(register: Register, pa: number, tag: number): void {
    this.#roots[register]!.pa = pa;
    if (register === Register.Ttbr0) this.#asid = tag;
    if (register === Register.Vttbr) this.#vmid = tag;
  }

  protected get tag(): Tag {
    if (this.regime === Regime.Host) return { vmid: 0, asid: this.#asid };
    return { vmid: this.#vmid, asid: 0 };
  }

  /** Tag that maintenance issued here carries. */
  protected maintenanceTag(operation: number): Tag {
    const ofVm: readonly number[] = [
      Tlbi.VmallE1,
      Tlbi.VmallE1Is,
      Tlbi.IpaS2E1,
      Tlbi.IpaS2E1Is,
      Tlbi.RipaS2E1Is,
      Tlbi.VmallS12E1Is,
    ];
    return ofVm.includes(operation) ? { vmid: this.#vmid, asid: 0 } : this.tag;
  }

  protected maintain(m: Maintenance): void {
    this.dtlb.maintain(m);
    this.itlb.maintain(m);
    this.tlb2.maintain(m);
    this.ipas.maintain(m, false);
    for (const level of this.tables) level.maintain(m, true);
    const u = this.underWay;
    if (u !== null && takesWalk(m, u.tag, u.va, u.top, u.low)) this.marked = true;
  }

  protected takeMark(): boolean {
    if (!this.marked) return false;
    this.marked = false;
    this.count(Counter.Retranslated, 1);
    return true;
  }

  protected restOn(va: number, shift: number): void {
    this.marked = false;
    this.underWay = { kind: 'access', tag: this.tag, va, top: shift, low: shift };
  }

  /**
   * Physical address and the size of the stage-1 leaf, or the fault. Begins at the CPU's moment.
   */
  protected *translation(va: number, access: Access): Micro<TlbEntry | Fault> {
    this.marked = false;
    this.underWay = null;
    const l1 = access === 'fetch' ? this.itlb : this.dtlb;
    const { tag } = this;
    let entry = l1.use(tag, va);
    if (entry === undefined) {
      this.count(access === 'fetch' ? Counter.ItlbL1Misses : Counter.DtlbL1Misses, 1);
      entry = this.tlb2.use(tag, va);
      if (entry !== undefined) {
        this.clock += this.machine.tlb2.penaltyPs;
        l1.add(entry);
      }
    }
    if (entry !== undefined) {
      if (allows(entry.permissions, access)) return entry;
      const pending = (entry.permissions & PERM_DIRTY_PENDING) !== 0;
      const walks = access === 'write' && pending && this.machine.features.hafdbs === 'dbm';
      if (!walks) return permissionFault(entry, va);
    }
    this.count(access === 'fetch' ? Counter.ItlbMisses : Counter.DtlbMisses, 1);
    return yield* this.#walk(va, access, l1);
  }

  *#walk(va: number, access: Access, l1: NaiveTlb): Micro<TlbEntry | Fault> {
    const start = this.clock;
    const { tag } = this;
    const guest = this.regime === Regime.Guest;
    const kernel = va >= 2 ** 48;
    const register = guest
      ? kernel
        ? Register.GuestTtbr1
        : Register.GuestTtbr0
      : kernel
        ? Register.Ttbr1
        : Register.Ttbr0;
    this.underWay = { kind: 'walk', tag, va, top: 0, low: 0 };
    const walk = new NaiveWalk(this, {
      tag,
      va,
      write: access === 'write',
      instruction: access === 'fetch',
      stage1: this.#roots[register]!,
      stage2: guest ? this.#roots[Register.Vttbr]! : null,
      hafdbs: this.machine.features.hafdbs,
    });
    const found = yield* walk.run();
    this.underWay = null;
    this.record(Metric.PageWalk, this.clock - start);
    if (found.fault) return found;
    const { stage1Shift, stage2Shift } = found;
    const shift = stage2Shift !== 0 ? Math.min(stage1Shift, stage2Shift) : stage1Shift;
    const entry: TlbEntry = {
      ...tag,
      global: found.global,
      base: cut(va, shift),
      shift,
      stage1Shift,
      stage2Shift,
      ipa: cut(found.ipa, shift),
      pa: cut(found.pa, shift),
      permissions: found.permissions,
    };
    l1.add(entry);
    this.tlb2.add(entry);
    return entry;
  }

  // ---- for the walk ---------------------------------------------------------------------------

  restsOn(top: number, low: number): void {
    this.underWay!.top = top;
    this.underWay!.low = low;
  }

  *holdDescriptor(pa: number, write: boolean): Micro<void> {
    yield* this.moment();
    this.#startOverIfMarked();
    if (!this.hitSecondLevel(pa, write)) {
      this.askForDescriptor(pa, write);
      yield 'line';
      this.#startOverIfMarked();
      this.descriptorIsHere(pa, write);
      this.clock = Math.max(this.clock + 1, this.stallUntil);
    }
    this.count(Counter.WalkReads, 1);
  }

  #startOverIfMarked(): void {
    if (!this.marked) return;
    this.marked = false;
    throw START_OVER;
  }

  protected abstract hitSecondLevel(pa: number, write: boolean): boolean;
  protected abstract askForDescriptor(pa: number, write: boolean): void;
  protected abstract descriptorIsHere(pa: number, write: boolean): void;
  abstract peek(pa: number): number;
  abstract poke(pa: number, value: number): void;

  // ---- faults ---------------------------------------------------------------------------------

  /** Takes the exception; the attempt is over and will be made afresh. */
  protected raise(va: number, access: Access, fault: Fault | WalkFault): void {
    const e = this.exception;
    e.fsc = fault.fsc;
    e.write = access === 'write';
    e.instruction = access === 'fetch';
    e.stage1Walk = fault.onTable;
    e.farHi = highOf(va);
    e.farLo = va | 0;
    const page = fault.inStage2 ? cut(fault.ipa, 12) : 0;
    e.ipaHi = Math.floor(page / 2 ** 32) | 0;
    e.ipaLo = page | 0;
    const own = this.regime === Regime.Guest ? Level.Guest : Level.Host;
    const handler = this.#vectors.get(fault.inStage2 ? Level.El2 : own);
    if (handler === undefined) {
      throw new BugError(`CPU ${this.id} has no handler for FSC ${e.fsc} at ${va.toString(16)}`);
    }
    this.count(Counter.Exceptions, 1);
    this.enter('exception', handler);
  }
}

export function isFault(result: TlbEntry | Fault): result is Fault {
  return 'fsc' in result;
}

export function addressNumber(hi: number, lo: number): number {
  return (hi & 0xffff) * 2 ** 32 + (lo >>> 0) + (hi < 0 ? 2 ** 48 : 0);
}

function highOf(va: number): number {
  const hi = Math.floor((va % 2 ** 48) / 2 ** 32);
  return va >= 2 ** 48 ? hi | (0xffff << 16) : hi;
}

function allows(permissions: number, access: Access): boolean {
  const right = access === 'fetch' ? PERM_EXEC : access === 'write' ? PERM_WRITE : PERM_READ;
  return (permissions & right) !== 0;
}

/** A cached entry denies the access: the fault names the level of the leaf that it was made of. */
function permissionFault(entry: TlbEntry, va: number): Fault {
  const nested = entry.stage2Shift !== 0;
  const shift = nested ? entry.stage2Shift : entry.stage1Shift;
  const level = 3 - (shift - 12) / 9;
  return {
    fsc: FaultKind.Permission | level,
    inStage2: nested,
    onTable: false,
    ipa: entry.ipa + (va - cut(va, entry.shift)),
  };
}
