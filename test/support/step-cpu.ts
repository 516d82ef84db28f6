/**
 * One CPU of the step engine (step-engine.ts): every attempt is first refused, which announces it,
 * and performed when the scheduler picks this CPU.
 *
 * Deviations from hardware, all wanted: no caches, no TLB (a translation hook reads the tables
 * anew at every access), TLBI and DSB complete at once, time is a count of steps plus costs.
 */

import { assert } from '../../src/base/assert.ts';
import { RandomStream } from '../../src/base/random.ts';
import type { Cpu, Handler } from '../../src/cpu/cpu.ts';
import type { Level, Regime, Register, Scope, Tlbi } from '../../src/cpu/operations.ts';
import { toLinear } from '../../src/memory/physical-address.ts';
import { Gate } from './step-cpu-core.ts';
import { StepCpuMemory } from './step-cpu-memory.ts';

export type { Attempt, MetricSummary, Translation } from './step-cpu-core.ts';

export class StepCpu extends StepCpuMemory implements Cpu {
  protected override get self(): StepCpu {
    return this;
  }

  // ---- translation and system -----------------------------------------------------------------

  translate(aHi: number, aLo: number, write: boolean): boolean {
    const gate = this.gate('translate', aHi, aLo, write ? 1 : 0);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    const answer = this.translateNow(aHi, aLo, write, false);
    this.ok = answer.ok;
    this.hi = answer.ok ? answer.paHi : 0;
    this.lo = answer.ok ? answer.paLo : 0;
    this.ret = answer.ok ? 0 : answer.fsc;
    return true;
  }

  tlbi(operation: Tlbi, aHi: number, aLo: number, argument: number): boolean {
    const gate = this.gate('tlbi', operation, aHi, aLo, argument);
    if (gate === Gate.Perform) this.engine.hooks.onTlbi?.(this, operation, aHi, aLo, argument);
    return gate !== Gate.Refuse;
  }

  dsb(scope: Scope): boolean {
    const gate = this.gate('dsb', scope);
    if (gate === Gate.Perform) this.engine.hooks.onDsb?.(this, scope);
    return gate !== Gate.Refuse;
  }

  ipi(target: number, vector: number): boolean {
    const gate = this.gate('ipi', target, vector);
    if (gate === Gate.Perform) this.engine.cpus[target]!.pendingVectors.push(vector);
    return gate !== Gate.Refuse;
  }

  wake(target: number): boolean {
    const gate = this.gate('wake', target);
    if (gate === Gate.Perform) this.engine.cpus[target]!.wakePending = true;
    return gate !== Gate.Refuse;
  }

  idle(): boolean {
    const announced = this.pending;
    const gate = this.gate('idle');
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    if (!this.wakePending && this.pendingVectors.length === 0) {
      this.pending = announced;
      return false;
    }
    this.wakePending = false;
    return true;
  }

  setRoot(register: Register, paHi: number, paLo: number, tag: number): boolean {
    const gate = this.gate('setRoot', register, paHi, paLo, tag);
    if (gate === Gate.Perform) this.roots.set(register, { paHi, paLo, tag });
    return gate !== Gate.Refuse;
  }

  // ---- never refuse ---------------------------------------------------------------------------

  nodeOfCpu(id: number): number {
    return this.engine.machine.nodeOfCpu[id]!;
  }

  perCpuHi(id: number): number {
    return toLinear(this.engine.perCpu[id]!).hi;
  }

  perCpuLo(id: number): number {
    return this.engine.perCpu[id]!.lo;
  }

  setRegime(regime: Regime): void {
    this.regime = regime;
  }

  setVector(level: Level, handler: Handler): void {
    this.vectors.set(level, handler);
  }

  setInterrupt(vector: number, handler: Handler): void {
    this.interruptHandlers.set(vector, handler);
  }

  skipAttempt(): void {
    this.skipRequested = true;
  }

  compute(costPs: number): void {
    assert(costPs >= 0, `compute(${costPs})`);
    this.clockPs += costPs;
  }

  begin(metric: number): void {
    const starts = this.open.get(metric);
    if (starts === undefined) this.open.set(metric, [this.clockPs]);
    else starts.push(this.clockPs);
  }

  end(metric: number): void {
    const start = this.open.get(metric)?.pop();
    assert(start !== undefined, `end of metric ${metric} without begin on cpu ${this.id}`);
    const elapsedPs = this.clockPs - start;
    const summary = this.metrics.get(metric) ?? { count: 0, sumPs: 0, maximumPs: 0 };
    summary.count++;
    summary.sumPs += elapsedPs;
    summary.maximumPs = Math.max(summary.maximumPs, elapsedPs);
    this.metrics.set(metric, summary);
  }

  cancel(metric: number): void {
    const start = this.open.get(metric)?.pop();
    assert(start !== undefined, `cancel of metric ${metric} without begin on cpu ${this.id}`);
  }

  count(counter: number, amount: number): void {
    this.counters.set(counter, (this.counters.get(counter) ?? 0) + amount);
  }

  mark(): void {
    this.marks++;
  }

  event(kind: number, aHi: number, aLo: number): void {
    this.engine.hooks.onEvent?.(this, kind, aHi, aLo);
  }

  phase(index: number): void {
    this.currentPhase = index;
  }

  random(stream: number): number {
    let generator = this.streams.get(stream);
    if (generator === undefined) {
      generator = new RandomStream(this.engine.seed, `stream ${stream}`, this.id);
      this.streams.set(stream, generator);
    }
    return generator.uint32();
  }

  deadline(afterPs: number): number {
    return Math.max(this.clockPs, this.engine.nowPs) + afterPs;
  }

  interrupts(enabled: boolean): boolean {
    const previous = this.interruptsEnabled;
    this.interruptsEnabled = enabled;
    return previous;
  }
}
