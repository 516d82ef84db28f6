/**
 * How attempts of the host engine's CPU get at memory: served, translated, and turned into an
 * exception if the translation faults. TLBIs of other CPUs are applied between attempts only, so
 * that a translation and the access it is for are one step, as they are for the receiver of a
 * broadcast that has not acknowledged it yet.
 */

import { BugError } from '../../base/errors.ts';
import type { Handler } from '../../cpu/cpu.ts';
import { type Exception, Level, Regime, type Register, type Tlbi } from '../../cpu/operations.ts';
import { PhysicalMemory } from '../../memory/physical-memory.ts';
import { Counter } from '../../metrics/definition.ts';
import { HostCpuCore } from './host-cpu-core.ts';
import { HostMemory } from './host-memory.ts';
import { HostTranslation } from './host-translation.ts';
import { RIGHT } from './host-walk.ts';
import type { HostTask } from './spec.ts';
import { TlbiLog } from './tlbi-log.ts';
import { Op } from './trace.ts';

export abstract class HostCpuTranslation extends HostCpuCore {
  readonly backedBytes: number;
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
  protected readonly memory: HostMemory;
  protected readonly translation: HostTranslation;
  protected readonly tlbis: TlbiLog;
  /** Physical address of the attempt that is being made. */
  protected paHi = 0;
  protected paLo = 0;
  readonly #vectors: (Handler | null)[] = [null, null, null];

  constructor(task: HostTask, round: number) {
    super(task, round);
    const { spec } = task;
    this.backedBytes = spec.memory.backedBytes;
    this.memory = new HostMemory(new PhysicalMemory(spec.memory));
    this.translation = new HostTranslation(spec.machine, spec.translation, this.id, this.memory);
    this.tlbis = new TlbiLog(this.bell, this.id, spec.activeCpus, (operation, ...rest) => {
      this.count(Counter.DvmReceived, 1);
      this.translation.invalidate(operation as Tlbi, ...rest);
    });
  }

  protected override serveTlbis(): boolean {
    return this.tlbis.serve();
  }

  /** True: the attempt may be made, on pa*. False: return refused(). */
  protected reach(operation: number, aHi: number, aLo: number, right: number): boolean {
    if (!this.serve(operation, aHi, aLo)) return false;
    const { translation, accesses } = this;
    const isLogged = accesses.isOn && (aHi >= 0 || this.regime === Regime.Guest);
    if (isLogged) accesses.begin();
    if (!translation.translate(aHi, aLo, right)) {
      this.#fault(aHi, aLo, right);
      return false;
    }
    this.paHi = translation.paHi;
    this.paLo = translation.paLo;
    if (isLogged) accesses.add(this.regime, this.paHi, this.paLo, right === RIGHT.Write);
    return true;
  }

  #fault(aHi: number, aLo: number, right: number): void {
    const { translation, exception: e } = this;
    e.fsc = translation.fsc;
    e.write = right === RIGHT.Write;
    e.instruction = right === RIGHT.Execute;
    e.stage1Walk = translation.faultOnTable;
    e.farHi = aHi;
    e.farLo = aLo;
    const inStage2 = translation.faultInStage2;
    e.ipaHi = inStage2 ? translation.ipaHi : 0;
    e.ipaLo = inStage2 ? translation.ipaLo & ~0xfff : 0;
    const own = this.regime === Regime.Guest ? Level.Guest : Level.Host;
    const level = inStage2 ? Level.El2 : own;
    const handler = this.#vectors[level];
    if (handler === null || handler === undefined) {
      throw new BugError(
        `cpu ${this.id} takes an exception without a handler: FSC 0x${e.fsc.toString(16)} at ` +
          `${hex(aHi)}${hex(aLo)}${e.write ? ' (write)' : ''}, level ${level}`,
      );
    }
    this.count(Counter.Exceptions, 1);
    this.enter(handler, false);
  }

  get regime(): Regime {
    return this.translation.regime;
  }

  setRegime(regime: Regime): void {
    this.translation.setRegime(regime);
  }

  setVector(level: Level, handler: Handler): void {
    this.#vectors[level] = handler;
  }

  setRoot(register: Register, paHi: number, paLo: number, tag: number): boolean {
    if (!this.serve(Op.setRoot, paHi, paLo)) return this.refused();
    this.translation.setRoot(register, paHi, paLo, tag);
    return true;
  }

  /** AT: a fault is a result and not an exception. */
  translate(aHi: number, aLo: number, write: boolean): boolean {
    if (!this.serve(Op.translate, aHi, aLo)) return this.refused();
    const { translation } = this;
    this.ok = translation.translate(aHi, aLo, write ? RIGHT.Write : RIGHT.Read);
    this.ret = this.ok ? 0 : translation.fsc;
    this.hi = translation.paHi;
    this.lo = translation.paLo;
    return true;
  }
}

function hex(word: number): string {
  return (word >>> 0).toString(16).padStart(8, '0');
}
