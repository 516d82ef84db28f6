/**
 * One CPU of the explore engine: attempts that are no memory accesses, and what never refuses.
 *
 * Time does not pass: spend and compute do nothing, begin and end only count. `expired` and a
 * conditional load with a deadline are choices of the scheduler (ER-E4); a deadline that has passed
 * stays passed.
 */

import { RandomStream } from '../../base/random.ts';
import type { Cpu, Handler } from '../../cpu/cpu.ts';
import type { InterruptLevel, Level, Regime, Register, Scope } from '../../cpu/operations.ts';
import { Regime as RegimeOf, Tlbi } from '../../cpu/operations.ts';
import { COUNTERS } from '../../metrics/definition.ts';
import { Op } from './attempts.ts';
import { Gate } from './cpu-gate.ts';
import { ExploreCpuTranslation } from './cpu-translation.ts';
import type { Explorer } from './explorer.ts';

/** Deadlines that are told apart; far more than a program has at once. */
const DEADLINES = 256;

export class ExploreCpu extends ExploreCpuTranslation implements Cpu {
  readonly counters = new Float64Array(COUNTERS.length);
  #counted = false;
  readonly #expired = new Uint8Array(DEADLINES);
  #nextDeadline = 0;
  readonly #streams: (RandomStream | undefined)[] = [];

  constructor(world: Explorer, id: number) {
    super(world, id);
  }

  protected override get self(): Cpu {
    return this;
  }

  override reset(): void {
    super.reset();
    if (this.#counted) this.counters.fill(0);
    this.#counted = false;
    this.#nextDeadline = 0;
    if (this.#streams.length > 0) this.#streams.length = 0;
  }

  translate(aHi: number, aLo: number, write: boolean): boolean {
    const gate = this.gate(Op.Translate, aHi, aLo, write ? 1 : 0, 0);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    this.ok = this.quietFault < 0;
    this.ret = this.ok ? 0 : this.quietFault;
    this.hi = this.ok ? this.paHi : 0;
    this.lo = this.ok ? this.paLo : 0;
    return true;
  }

  tlbi(operation: Tlbi, aHi: number, aLo: number, argument: number): boolean {
    if (operation === Tlbi.IcIvau) return this.#invalidateText(aHi, aLo);
    const gate = this.gateWide(Op.Tlbi, aHi, aLo, operation, argument, 0, 0, 0);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    const context = this.mmu.contextOfTlbi(operation);
    this.world.postTlbi({
      issuer: this.id,
      operation,
      regime: context >>> 16 === 0 ? RegimeOf.Host : RegimeOf.Guest,
      context,
      hi: aHi,
      lo: aLo,
      pages: argument,
    });
    return true;
  }

  /** IC IVAU: translated, posted as the physical line. */
  #invalidateText(aHi: number, aLo: number): boolean {
    const gate = this.gate(Op.InvalidateText, aHi, aLo & ~63, 0, 0);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    if (this.translated) this.noteTranslation(false);
    this.world.postTlbi({
      issuer: this.id,
      operation: Tlbi.IcIvau,
      regime: this.regime,
      context: 0,
      hi: this.paHi,
      lo: this.paLo,
      pages: 0,
    });
    return true;
  }

  dsb(scope: Scope): boolean {
    const gate = this.gate(Op.Dsb, 0, 0, scope, 0);
    if (gate === Gate.Perform) {
      this.world.text?.dsb(this.id);
      this.world.observer?.dsb?.(this.id);
    }
    return gate !== Gate.Refuse;
  }

  ipi(target: number, vector: number): boolean {
    const gate = this.gate(Op.Ipi, 0, target, vector, 0);
    if (gate === Gate.Perform) this.world.postInterrupt(target, vector);
    return gate !== Gate.Refuse;
  }

  wake(target: number): boolean {
    const gate = this.gate(Op.Wake, 0, target, 0, 0);
    if (gate === Gate.Perform) this.world.postWake(target);
    return gate !== Gate.Refuse;
  }

  idle(): boolean {
    const gate = this.gate(Op.Idle, 0, 0, 0, 0);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    this.wakePending = false;
    return true;
  }

  setRoot(register: Register, paHi: number, paLo: number, tag: number): boolean {
    const gate = this.gateWide(Op.SetRoot, paHi, paLo, register, tag, 0, 0, 0);
    if (gate === Gate.Perform) {
      this.mmu.setRoot(register, paHi, paLo, tag);
      this.world.text?.synchronise(this.id);
      this.world.observer?.setRoot?.(this.id, register, paHi, paLo, tag);
    }
    return gate !== Gate.Refuse;
  }

  // ---- never refuse ---------------------------------------------------------------------------

  nodeOfCpu(id: number): number {
    return this.world.machine.nodeOfCpu[id]!;
  }

  perCpuHi(id: number): number {
    return this.world.perCpuHi[id]!;
  }

  perCpuLo(id: number): number {
    return this.world.perCpuLo[id]!;
  }

  setRegime(regime: Regime): void {
    this.regime = regime;
    this.switched();
  }

  setVector(level: Level, handler: Handler): void {
    this.exceptionVectors[level] = handler;
  }

  setInterrupt(vector: number, handler: Handler, level?: InterruptLevel): void {
    this.interruptHandlers.set(vector, handler);
    if (level !== undefined) this.levels.set(vector, level);
  }

  skipAttempt(): void {
    this.skipRequested = true;
  }

  spend(): void {}

  spendMany(): void {}

  compute(): void {}

  begin(): void {}

  end(): void {}

  cancel(): void {}

  count(counter: number, amount: number): void {
    this.#counted = true;
    this.counters[counter] = this.counters[counter]! + amount;
  }

  mark(): void {
    this.marks++;
    this.world.progress();
  }

  event(kind: number, aHi: number, aLo: number): void {
    this.world.event(this.id, kind, aHi, aLo);
  }

  phase(): void {}

  random(stream: number): number {
    const made = (this.#streams[stream] ??= new RandomStream(
      this.world.seed,
      `stream ${stream}`,
      this.id,
    ));
    return made.uint32();
  }

  deadline(_afterPs: number): number {
    const handle = this.#nextDeadline;
    this.#nextDeadline = (handle + 1) % DEADLINES;
    this.#expired[handle] = 0;
    return handle;
  }

  expired(deadline: number): boolean {
    if (this.#expired[deadline] === 0 && this.world.chooseValue(2) === 1) this.expire(deadline);
    return this.#expired[deadline] === 1;
  }

  protected override expire(deadline: number): void {
    this.#expired[deadline] = 1;
  }

  interrupts(enabled: boolean): boolean {
    const previous = this.interruptsEnabled;
    this.interruptsEnabled = enabled;
    if (previous !== enabled) this.world.updateInterrupt(this.id);
    return previous;
  }
}
