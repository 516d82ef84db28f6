/**
 * One CPU of the step engine (step-engine.ts): every attempt is first refused, which announces it,
 * and performed when the scheduler picks this CPU. Memory is sequentially consistent.
 *
 * Deviations from hardware, all wanted: no caches, no TLB (a translation hook reads the tables
 * anew at every access), TLBI and DSB complete at once, time is a count of steps plus costs.
 */

import { assert } from '../../src/base/assert.ts';
import { RandomStream } from '../../src/base/random.ts';
import type { Cpu, Handler, Program } from '../../src/cpu/cpu.ts';
import {
  Condition,
  type Exception,
  type Fence,
  type Level,
  type Order,
  Regime,
  type Register,
  type Scope,
  type Tlbi,
} from '../../src/cpu/operations.ts';
import { Cost } from '../../src/machine/costs.ts';
import {
  addBytes,
  fromLinear,
  LINEAR_MAP_HI,
  toLinear,
} from '../../src/memory/physical-address.ts';
import type { StepEngine } from './step-engine.ts';

/** An announced attempt; the repeat must be identical. */
export interface Attempt {
  readonly operation: string;
  readonly operands: readonly number[];
}

/** What a translation hook answers. `level` = whose vector takes the fault. */
export type Translation =
  | { readonly ok: true; readonly paHi: number; readonly paLo: number }
  | {
      readonly ok: false;
      readonly level: Level;
      readonly fsc: number;
      readonly ipaHi: number;
      readonly ipaLo: number;
      readonly stage1Walk?: boolean;
    };

export interface MetricSummary {
  count: number;
  sumPs: number;
  maximumPs: number;
}

interface Frame {
  readonly program: Program;
  /** Set on frames of exceptions and interrupts: what the return restores. */
  readonly saved: Saved | null;
}

interface Saved {
  readonly attempt: Attempt | null;
  readonly regime: Regime;
  readonly interrupts: boolean;
  readonly exception: Exception;
  readonly results: readonly [number, number, boolean, number];
  readonly isInterrupt: boolean;
}

const Gate = { Refuse: 0, Perform: 1, Skip: 2 } as const;
type Gate = (typeof Gate)[keyof typeof Gate];

const STACK_LIMIT = 200;

export class StepCpu implements Cpu {
  readonly id: number;
  readonly node: number;
  readonly cpuCount: number;
  readonly backedBytes: number;
  lo = 0;
  hi = 0;
  ok = false;
  ret = 0;
  regime: Regime = Regime.Host;
  exception: Exception = noException();

  readonly engine: StepEngine;
  clockPs = 0;
  marks = 0;
  attempts = 0;
  granted = false;
  wakePending = false;
  interruptsEnabled = true;
  currentPhase = -1;
  readonly pendingVectors: number[] = [];
  readonly metrics = new Map<number, MetricSummary>();
  readonly counters = new Map<number, number>();
  readonly costs = new Map<Cost, number>();
  /** By Register: physical address and tag. */
  readonly roots = new Map<Register, { paHi: number; paLo: number; tag: number }>();

  #stack: Frame[] = [];
  #attempt: Attempt | null = null;
  #skip = false;
  #skipRequested = false;
  #paHi = 0;
  #paLo = 0;
  readonly #open = new Map<number, number[]>();
  readonly #vectors = new Map<Level, Handler>();
  readonly #interruptHandlers = new Map<number, Handler>();
  readonly #streams = new Map<number, RandomStream>();

  constructor(engine: StepEngine, id: number) {
    this.engine = engine;
    this.id = id;
    this.node = engine.machine.nodeOfCpu[id]!;
    this.cpuCount = engine.machine.cpuCount;
    this.backedBytes = engine.memory.backedBytes;
  }

  // ---- driven by the engine -------------------------------------------------------------------

  start(program: Program | null): void {
    assert(this.#stack.length === 0, `cpu ${this.id} is still running`);
    if (program !== null) this.#stack.push({ program, saved: null });
  }

  get finished(): boolean {
    return this.#stack.length === 0;
  }

  get attempt(): Attempt | null {
    return this.#attempt;
  }

  /** Would picking this CPU do something? */
  runnable(): boolean {
    if (this.#interruptDue()) return true;
    if (this.finished) return false;
    const attempt = this.#attempt;
    if (attempt === null) return true;
    if (attempt.operation === 'idle') return this.wakePending || this.pendingVectors.length > 0;
    if (attempt.operation === 'cond32') return this.#conditionHolds(attempt);
    if (attempt.operation === 'cond32Until') {
      return this.#conditionHolds(attempt) || this.expired(attempt.operands[5]!);
    }
    return true;
  }

  /** Deadline that a blocked CPU waits for, or Infinity. */
  wakeTimePs(): number {
    const attempt = this.#attempt;
    return attempt?.operation === 'cond32Until' ? attempt.operands[5]! : Number.POSITIVE_INFINITY;
  }

  /** Takes an interrupt, or performs the announced attempt and runs up to the next one. */
  step(): void {
    this.clockPs = Math.max(this.clockPs, this.engine.nowPs);
    if (this.#interruptDue()) {
      this.#enterInterrupt();
    } else {
      this.granted = true;
    }
    this.#run();
    this.granted = false;
  }

  #run(): void {
    while (this.#stack.length > 0) {
      const top = this.#stack[this.#stack.length - 1]!;
      const result = top.program.next();
      if (result.done) {
        assert(this.#stack.pop() === top, 'the returning frame is not the top one');
        if (top.saved !== null) {
          this.#returnFrom(top.saved);
          return;
        }
      } else if (result.value !== undefined) {
        assert(this.#stack.length < STACK_LIMIT, `stack of cpu ${this.id} is ${STACK_LIMIT} deep`);
        this.#stack.push({ program: result.value, saved: null });
      } else if (this.#stack[this.#stack.length - 1] === top) {
        return;
      }
    }
    assert(this.#attempt === null, `cpu ${this.id} ended with a refused attempt`);
    for (const [metric, starts] of this.#open) {
      assert(starts.length === 0, `cpu ${this.id} ended inside metric ${metric}`);
    }
  }

  #interruptDue(): boolean {
    return this.interruptsEnabled && this.pendingVectors.length > 0;
  }

  #enterInterrupt(): void {
    const vector = this.pendingVectors.shift()!;
    const handler = this.#interruptHandlers.get(vector);
    assert(handler !== undefined, `cpu ${this.id} has no handler for interrupt ${vector}`);
    this.#push(handler, true);
    this.interruptsEnabled = false;
    this.spend(Cost.InterruptEntry);
  }

  #push(handler: Handler, isInterrupt: boolean): void {
    const saved: Saved = {
      attempt: this.#attempt,
      regime: this.regime,
      interrupts: this.interruptsEnabled,
      exception: this.exception,
      results: [this.hi, this.lo, this.ok, this.ret],
      isInterrupt,
    };
    this.#attempt = null;
    this.regime = Regime.Host;
    this.exception = { ...this.exception };
    this.#stack.push({ program: handler(this), saved });
  }

  #returnFrom(saved: Saved): void {
    assert(this.#attempt === null, 'a handler returned with a refused attempt');
    this.#attempt = saved.attempt;
    this.regime = saved.regime;
    this.interruptsEnabled = saved.interrupts;
    this.exception = saved.exception;
    [this.hi, this.lo, this.ok, this.ret] = saved.results;
    if (saved.isInterrupt) {
      this.spend(Cost.InterruptReturn);
      if (saved.attempt?.operation === 'idle') this.wakePending = true;
    }
    this.#skip = this.#skipRequested;
    this.#skipRequested = false;
  }

  #raise(level: Level, exception: Exception, attempt: Attempt): void {
    const handler = this.#vectors.get(level);
    assert(
      handler !== undefined,
      `cpu ${this.id}: fault ${exception.fsc.toString(2)} at ${hex(exception.farHi)}:` +
        `${hex(exception.farLo)} and no vector for level ${level}`,
    );
    this.#attempt = attempt;
    this.#push(handler, false);
    this.exception = exception;
  }

  // ---- the gate -------------------------------------------------------------------------------

  #gate(operation: string, ...operands: number[]): Gate {
    const announced = this.#attempt;
    if (announced === null) {
      this.#attempt = { operation, operands };
      return Gate.Refuse;
    }
    assert(
      announced.operation === operation && operands.every((x, i) => x === announced.operands[i]),
      `cpu ${this.id} repeats ${describe(announced)} as ${describe({ operation, operands })}`,
    );
    if (!this.granted) return Gate.Refuse;
    this.granted = false;
    this.#attempt = null;
    if (this.#skip) {
      this.#skip = false;
      this.ok = false;
      return Gate.Skip;
    }
    this.attempts++;
    return Gate.Perform;
  }

  /** Gate and translation of a data access; on Perform the physical address is in #paHi, #paLo. */
  #access(operation: string, bytes: number, write: boolean, ...operands: number[]): Gate {
    const announced = this.#attempt;
    const gate = this.#gate(operation, ...operands);
    if (gate !== Gate.Perform) return gate;
    const aHi = operands[0]!;
    const aLo = operands[1]!;
    assert((aLo & (bytes - 1)) === 0, `${operation} at ${hex(aHi)}:${hex(aLo)} is misaligned`);
    return this.#resolve(aHi, aLo, write, false, announced!) ? Gate.Perform : Gate.Refuse;
  }

  #resolve(aHi: number, aLo: number, write: boolean, fetch: boolean, attempt: Attempt): boolean {
    const answer = this.#translateNow(aHi, aLo, write, fetch);
    if (answer.ok) {
      this.#paHi = answer.paHi;
      this.#paLo = answer.paLo;
      return true;
    }
    const { level, fsc, ipaHi, ipaLo } = answer;
    const stage1Walk = answer.stage1Walk ?? false;
    this.#raise(
      level,
      { fsc, write, instruction: fetch, stage1Walk, farHi: aHi, farLo: aLo, ipaHi, ipaLo },
      attempt,
    );
    return false;
  }

  #translateNow(aHi: number, aLo: number, write: boolean, fetch: boolean): Translation {
    const { translateGuest, translateHost } = this.engine.hooks;
    if (this.regime === Regime.Guest) {
      assert(translateGuest !== undefined, 'guest access and no translateGuest hook');
      return translateGuest(this, aHi, aLo, write, fetch);
    }
    if ((aHi & LINEAR_MAP_HI) === LINEAR_MAP_HI) return { ok: true, paHi: aHi & 0xffff, paLo: aLo };
    assert(translateHost !== undefined, `host access to ${hex(aHi)}:${hex(aLo)}, no translateHost`);
    return translateHost(this, aHi, aLo, write, fetch);
  }

  #peek(): number {
    return this.engine.memory.peek32(this.#paHi, this.#paLo & ~3);
  }

  #poke(value: number): void {
    this.engine.memory.poke32(this.#paHi, this.#paLo & ~3, value);
  }

  /** Reads the naturally aligned pair into (hi, lo). */
  #peekPair(): void {
    this.lo = this.engine.memory.peek32(this.#paHi, this.#paLo);
    this.hi = this.engine.memory.peek32(this.#paHi, this.#paLo + 4);
  }

  #pokePair(vHi: number, vLo: number): void {
    this.engine.memory.poke32(this.#paHi, this.#paLo, vLo);
    this.engine.memory.poke32(this.#paHi, this.#paLo + 4, vHi);
  }

  #conditionHolds(attempt: Attempt): boolean {
    const [aHi, aLo, kind, mask, operand] = attempt.operands as [
      number,
      number,
      Condition,
      number,
      number,
    ];
    if (this.regime === Regime.Guest || (aHi & LINEAR_MAP_HI) !== LINEAR_MAP_HI) return true;
    return holds(this.engine.memory.peek32(aHi & 0xffff, aLo), kind, mask, operand);
  }

  // ---- memory ---------------------------------------------------------------------------------

  load32(aHi: number, aLo: number, order: Order): boolean {
    const gate = this.#access('load32', 4, false, aHi, aLo, order);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    this.lo = this.#peek();
    this.hi = 0;
    return true;
  }

  load64(aHi: number, aLo: number, order: Order): boolean {
    const gate = this.#access('load64', 8, false, aHi, aLo, order);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    this.#peekPair();
    return true;
  }

  store32(aHi: number, aLo: number, value: number, order: Order): boolean {
    const gate = this.#access('store32', 4, true, aHi, aLo, value, order);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    this.#poke(value);
    return true;
  }

  store64(aHi: number, aLo: number, vHi: number, vLo: number, order: Order): boolean {
    const gate = this.#access('store64', 8, true, aHi, aLo, vHi, vLo, order);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    this.#pokePair(vHi, vLo);
    return true;
  }

  cas32(aHi: number, aLo: number, expected: number, desired: number, order: Order): boolean {
    const gate = this.#access('cas32', 4, true, aHi, aLo, expected, desired, order);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    this.lo = this.#peek();
    this.hi = 0;
    this.ok = this.lo === (expected | 0);
    if (this.ok) this.#poke(desired);
    return true;
  }

  cas64(
    aHi: number,
    aLo: number,
    eHi: number,
    eLo: number,
    dHi: number,
    dLo: number,
    order: Order,
  ): boolean {
    const gate = this.#access('cas64', 8, true, aHi, aLo, eHi, eLo, dHi, dLo, order);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    this.#peekPair();
    this.ok = this.lo === (eLo | 0) && this.hi === (eHi | 0);
    if (this.ok) this.#pokePair(dHi, dLo);
    return true;
  }

  /** One 32-bit read-modify-write: stores change(old), result = old. */
  #modify(
    operation: string,
    aHi: number,
    aLo: number,
    value: number,
    order: Order,
    change: (old: number, value: number) => number,
  ): boolean {
    const gate = this.#access(operation, 4, true, aHi, aLo, value, order);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    this.lo = this.#peek();
    this.hi = 0;
    this.#poke(change(this.lo, value) | 0);
    return true;
  }

  swap32(aHi: number, aLo: number, value: number, order: Order): boolean {
    return this.#modify('swap32', aHi, aLo, value, order, (_, fresh) => fresh);
  }

  add32(aHi: number, aLo: number, value: number, order: Order): boolean {
    return this.#modify('add32', aHi, aLo, value, order, (old, more) => old + more);
  }

  set32(aHi: number, aLo: number, bits: number, order: Order): boolean {
    return this.#modify('set32', aHi, aLo, bits, order, (old, mask) => old | mask);
  }

  clear32(aHi: number, aLo: number, bits: number, order: Order): boolean {
    return this.#modify('clear32', aHi, aLo, bits, order, (old, mask) => old & ~mask);
  }

  swap64(aHi: number, aLo: number, vHi: number, vLo: number, order: Order): boolean {
    const gate = this.#access('swap64', 8, true, aHi, aLo, vHi, vLo, order);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    this.#peekPair();
    this.#pokePair(vHi, vLo);
    return true;
  }

  add64(aHi: number, aLo: number, vHi: number, vLo: number, order: Order): boolean {
    const gate = this.#access('add64', 8, true, aHi, aLo, vHi, vLo, order);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    this.#peekPair();
    const low = (this.lo >>> 0) + (vLo >>> 0);
    this.#pokePair((this.hi + vHi + (low >= 2 ** 32 ? 1 : 0)) | 0, low | 0);
    return true;
  }

  /** Stores the part of the word that `bits` wide at the address covers; returns the old part. */
  #part(bits: number, value: number): number {
    const shift = (this.#paLo & 3) * 8;
    const mask = ((1 << bits) - 1) << shift;
    const word = this.#peek();
    this.#poke((word & ~mask) | ((value << shift) & mask));
    return (word & mask) >>> shift;
  }

  load8(aHi: number, aLo: number, order: Order): boolean {
    const gate = this.#access('load8', 1, false, aHi, aLo, order);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    this.lo = (this.#peek() >>> ((aLo & 3) * 8)) & 0xff;
    this.hi = 0;
    return true;
  }

  store8(aHi: number, aLo: number, value: number, order: Order): boolean {
    const gate = this.#access('store8', 1, true, aHi, aLo, value, order);
    if (gate === Gate.Perform) this.#part(8, value);
    return gate !== Gate.Refuse;
  }

  store16(aHi: number, aLo: number, value: number, order: Order): boolean {
    const gate = this.#access('store16', 2, true, aHi, aLo, value, order);
    if (gate === Gate.Perform) this.#part(16, value);
    return gate !== Gate.Refuse;
  }

  swap16(aHi: number, aLo: number, value: number, order: Order): boolean {
    const gate = this.#access('swap16', 2, true, aHi, aLo, value, order);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    this.lo = this.#part(16, value);
    this.hi = 0;
    return true;
  }

  cond32(
    aHi: number,
    aLo: number,
    kind: Condition,
    mask: number,
    operand: number,
    order: Order,
  ): boolean {
    const announced = this.#attempt;
    const gate = this.#access('cond32', 4, false, aHi, aLo, kind, mask, operand, order);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    const value = this.#peek();
    this.ok = holds(value, kind, mask, operand);
    if (!this.ok) {
      this.#attempt = announced;
      return false;
    }
    this.lo = value;
    this.hi = 0;
    return true;
  }

  cond32Until(
    aHi: number,
    aLo: number,
    kind: Condition,
    mask: number,
    operand: number,
    deadline: number,
    order: Order,
  ): boolean {
    const announced = this.#attempt;
    const operands = [aHi, aLo, kind, mask, operand, deadline, order];
    const gate = this.#access('cond32Until', 4, false, ...operands);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    const value = this.#peek();
    this.ok = holds(value, kind, mask, operand);
    if (!this.ok && !this.expired(deadline)) {
      this.#attempt = announced;
      return false;
    }
    this.lo = value;
    this.hi = 0;
    return true;
  }

  zeroLine(aHi: number, aLo: number): boolean {
    const gate = this.#access('zeroLine', 64, true, aHi, aLo);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    for (let i = 0; i < 64; i += 4) this.engine.memory.poke32(this.#paHi, this.#paLo + i, 0);
    return true;
  }

  cleanInvalidateLine(aHi: number, aLo: number): boolean {
    return this.#access('cleanInvalidateLine', 64, false, aHi, aLo) !== Gate.Refuse;
  }

  #page(operation: string, write: boolean, aHi: number, aLo: number, ...rest: number[]): boolean {
    const gate = this.#access(operation, 64, write, aHi, aLo, ...rest);
    if (gate === Gate.Perform) {
      const backed = this.engine.memory.isBacked(this.#paHi, this.#paLo);
      assert(!backed, `${operation} of a page with bytes`);
    }
    return gate !== Gate.Refuse;
  }

  zeroPage(aHi: number, aLo: number, bytes: number): boolean {
    return this.#page('zeroPage', true, aHi, aLo, bytes);
  }

  copyPage(dHi: number, dLo: number, sHi: number, sLo: number, bytes: number): boolean {
    return this.#page('copyPage', true, dHi, dLo, sHi, sLo, bytes);
  }

  cleanInvalidatePage(aHi: number, aLo: number, bytes: number): boolean {
    return this.#page('cleanInvalidatePage', false, aHi, aLo, bytes);
  }

  fetch(aHi: number, aLo: number): boolean {
    const announced = this.#attempt;
    const gate = this.#gate('fetch', aHi, aLo);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    return this.#resolve(aHi, aLo, false, true, announced!);
  }

  fence(kind: Fence): boolean {
    return this.#gate('fence', kind) !== Gate.Refuse;
  }

  // ---- translation and system -----------------------------------------------------------------

  translate(aHi: number, aLo: number, write: boolean): boolean {
    const gate = this.#gate('translate', aHi, aLo, write ? 1 : 0);
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    const answer = this.#translateNow(aHi, aLo, write, false);
    this.ok = answer.ok;
    this.hi = answer.ok ? answer.paHi : 0;
    this.lo = answer.ok ? answer.paLo : 0;
    this.ret = answer.ok ? 0 : answer.fsc;
    return true;
  }

  tlbi(operation: Tlbi, aHi: number, aLo: number, argument: number): boolean {
    const gate = this.#gate('tlbi', operation, aHi, aLo, argument);
    if (gate === Gate.Perform) this.engine.hooks.onTlbi?.(this, operation, aHi, aLo, argument);
    return gate !== Gate.Refuse;
  }

  dsb(scope: Scope): boolean {
    const gate = this.#gate('dsb', scope);
    if (gate === Gate.Perform) this.engine.hooks.onDsb?.(this, scope);
    return gate !== Gate.Refuse;
  }

  ipi(target: number, vector: number): boolean {
    const gate = this.#gate('ipi', target, vector);
    if (gate === Gate.Perform) this.engine.cpus[target]!.pendingVectors.push(vector);
    return gate !== Gate.Refuse;
  }

  wake(target: number): boolean {
    const gate = this.#gate('wake', target);
    if (gate === Gate.Perform) this.engine.cpus[target]!.wakePending = true;
    return gate !== Gate.Refuse;
  }

  idle(): boolean {
    const announced = this.#attempt;
    const gate = this.#gate('idle');
    if (gate !== Gate.Perform) return gate === Gate.Skip;
    if (!this.wakePending && this.pendingVectors.length === 0) {
      this.#attempt = announced;
      return false;
    }
    this.wakePending = false;
    return true;
  }

  setRoot(register: Register, paHi: number, paLo: number, tag: number): boolean {
    const gate = this.#gate('setRoot', register, paHi, paLo, tag);
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
    this.#vectors.set(level, handler);
  }

  setInterrupt(vector: number, handler: Handler): void {
    this.#interruptHandlers.set(vector, handler);
  }

  skipAttempt(): void {
    this.#skipRequested = true;
  }

  spend(cost: Cost): void {
    this.spendMany(cost, 1);
  }

  spendMany(cost: Cost, count: number): void {
    this.costs.set(cost, (this.costs.get(cost) ?? 0) + count);
    this.clockPs += this.engine.machine.costsPs[cost]! * count;
  }

  compute(costPs: number): void {
    assert(costPs >= 0, `compute(${costPs})`);
    this.clockPs += costPs;
  }

  begin(metric: number): void {
    const starts = this.#open.get(metric);
    if (starts === undefined) this.#open.set(metric, [this.clockPs]);
    else starts.push(this.clockPs);
  }

  end(metric: number): void {
    const start = this.#open.get(metric)?.pop();
    assert(start !== undefined, `end of metric ${metric} without begin on cpu ${this.id}`);
    const elapsedPs = this.clockPs - start;
    const summary = this.metrics.get(metric) ?? { count: 0, sumPs: 0, maximumPs: 0 };
    summary.count++;
    summary.sumPs += elapsedPs;
    summary.maximumPs = Math.max(summary.maximumPs, elapsedPs);
    this.metrics.set(metric, summary);
  }

  cancel(metric: number): void {
    const start = this.#open.get(metric)?.pop();
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
    let generator = this.#streams.get(stream);
    if (generator === undefined) {
      generator = new RandomStream(this.engine.seed, `stream ${stream}`, this.id);
      this.#streams.set(stream, generator);
    }
    return generator.uint32();
  }

  deadline(afterPs: number): number {
    return Math.max(this.clockPs, this.engine.nowPs) + afterPs;
  }

  expired(deadline: number): boolean {
    if (this.engine.leap()) this.clockPs = Math.max(this.clockPs, deadline);
    return Math.max(this.clockPs, this.engine.nowPs) >= deadline;
  }

  interrupts(enabled: boolean): boolean {
    const previous = this.interruptsEnabled;
    this.interruptsEnabled = enabled;
    return previous;
  }
}

function holds(value: number, kind: Condition, mask: number, operand: number): boolean {
  const masked = value & mask;
  switch (kind) {
    case Condition.Equal:
      return masked === (operand | 0);
    case Condition.NotEqual:
      return masked !== (operand | 0);
    case Condition.AtLeastWrapping:
      return ((masked - operand) | 0) >= 0;
    case Condition.AnyBitClear:
      return masked !== mask;
    default:
      return masked !== 0;
  }
}

export function hex(word: number): string {
  return (word >>> 0).toString(16).padStart(8, '0');
}

export function describe(attempt: Attempt): string {
  return `${attempt.operation}(${attempt.operands.map((x) => hex(x)).join(', ')})`;
}

function noException(): Exception {
  return {
    fsc: 0,
    write: false,
    instruction: false,
    stage1Walk: false,
    farHi: 0,
    farLo: 0,
    ipaHi: 0,
    ipaLo: 0,
  };
}

/** Linear-map address of a physical one plus an offset, as the pair that attempts take. */
export function linear(
  physical: { readonly hi: number; readonly lo: number },
  offset = 0,
): { readonly hi: number; readonly lo: number } {
  return toLinear(addBytes(fromLinear(physical), offset));
}
