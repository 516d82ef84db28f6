/**
 * What every CPU of the step engine stands on: the stack of programs, handlers and their frames,
 * the gate that refuses an attempt once and performs it when the scheduler picks the CPU,
 * translation.
 */

import { assert } from '../../src/base/assert.ts';
import type { RandomStream } from '../../src/base/random.ts';
import type { Cpu, Handler, Program } from '../../src/cpu/cpu.ts';
import {
  Condition,
  type Exception,
  type Level,
  Regime,
  type Register,
} from '../../src/cpu/operations.ts';
import { Cost } from '../../src/machine/costs.ts';
import { LINEAR_MAP_HI } from '../../src/memory/physical-address.ts';
import type { StepCpu } from './step-cpu.ts';
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

export const Gate = { Refuse: 0, Perform: 1, Skip: 2 } as const;
export type Gate = (typeof Gate)[keyof typeof Gate];

const STACK_LIMIT = 200;

export abstract class StepCpuCore {
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
  protected pending: Attempt | null = null;
  #skip = false;
  protected skipRequested = false;
  protected paHi = 0;
  protected paLo = 0;
  protected readonly open = new Map<number, number[]>();
  protected readonly vectors = new Map<Level, Handler>();
  protected readonly interruptHandlers = new Map<number, Handler>();
  protected readonly streams = new Map<number, RandomStream>();

  constructor(engine: StepEngine, id: number) {
    this.engine = engine;
    this.id = id;
    this.node = engine.machine.nodeOfCpu[id]!;
    this.cpuCount = engine.machine.cpuCount;
    this.backedBytes = engine.memory.backedBytes;
  }

  /** The whole CPU, as handlers and hooks see it. */
  protected abstract get self(): StepCpu & Cpu;

  // ---- driven by the engine -------------------------------------------------------------------

  start(program: Program | null): void {
    assert(this.#stack.length === 0, `cpu ${this.id} is still running`);
    if (program !== null) this.#stack.push({ program, saved: null });
  }

  get finished(): boolean {
    return this.#stack.length === 0;
  }

  get attempt(): Attempt | null {
    return this.pending;
  }

  /** Would picking this CPU do something? */
  runnable(): boolean {
    if (this.#interruptDue()) return true;
    if (this.finished) return false;
    const attempt = this.pending;
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
    const attempt = this.pending;
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
    assert(this.pending === null, `cpu ${this.id} ended with a refused attempt`);
    for (const [metric, starts] of this.open) {
      assert(starts.length === 0, `cpu ${this.id} ended inside metric ${metric}`);
    }
  }

  #interruptDue(): boolean {
    return this.interruptsEnabled && this.pendingVectors.length > 0;
  }

  #enterInterrupt(): void {
    const vector = this.pendingVectors.shift()!;
    const handler = this.interruptHandlers.get(vector);
    assert(handler !== undefined, `cpu ${this.id} has no handler for interrupt ${vector}`);
    this.#push(handler, true);
    this.interruptsEnabled = false;
    this.spend(Cost.InterruptEntry);
  }

  #push(handler: Handler, isInterrupt: boolean): void {
    const saved: Saved = {
      attempt: this.pending,
      regime: this.regime,
      interrupts: this.interruptsEnabled,
      exception: this.exception,
      results: [this.hi, this.lo, this.ok, this.ret],
      isInterrupt,
    };
    this.pending = null;
    this.regime = Regime.Host;
    this.exception = { ...this.exception };
    this.#stack.push({ program: handler(this.self), saved });
  }

  #returnFrom(saved: Saved): void {
    assert(this.pending === null, 'a handler returned with a refused attempt');
    this.pending = saved.attempt;
    this.regime = saved.regime;
    this.interruptsEnabled = saved.interrupts;
    this.exception = saved.exception;
    [this.hi, this.lo, this.ok, this.ret] = saved.results;
    if (saved.isInterrupt) {
      this.spend(Cost.InterruptReturn);
      if (saved.attempt?.operation === 'idle') this.wakePending = true;
    }
    this.#skip = this.skipRequested;
    this.skipRequested = false;
  }

  #raise(level: Level, exception: Exception, attempt: Attempt): void {
    const handler = this.vectors.get(level);
    assert(
      handler !== undefined,
      `cpu ${this.id}: fault ${exception.fsc.toString(2)} at ${hex(exception.farHi)}:` +
        `${hex(exception.farLo)} and no vector for level ${level}`,
    );
    this.pending = attempt;
    this.#push(handler, false);
    this.exception = exception;
  }

  // ---- the gate -------------------------------------------------------------------------------

  protected gate(operation: string, ...operands: number[]): Gate {
    const announced = this.pending;
    if (announced === null) {
      this.pending = { operation, operands };
      return Gate.Refuse;
    }
    assert(
      announced.operation === operation && operands.every((x, i) => x === announced.operands[i]),
      `cpu ${this.id} repeats ${describe(announced)} as ${describe({ operation, operands })}`,
    );
    if (!this.granted) return Gate.Refuse;
    this.granted = false;
    this.pending = null;
    if (this.#skip) {
      this.#skip = false;
      this.ok = false;
      return Gate.Skip;
    }
    this.attempts++;
    return Gate.Perform;
  }

  /** Gate and translation of a data access; on Perform the physical address is in #paHi, #paLo. */
  protected access(operation: string, bytes: number, write: boolean, ...operands: number[]): Gate {
    const announced = this.pending;
    const gate = this.gate(operation, ...operands);
    if (gate !== Gate.Perform) return gate;
    const aHi = operands[0]!;
    const aLo = operands[1]!;
    assert((aLo & (bytes - 1)) === 0, `${operation} at ${hex(aHi)}:${hex(aLo)} is misaligned`);
    return this.resolve(aHi, aLo, write, false, announced!) ? Gate.Perform : Gate.Refuse;
  }

  protected resolve(
    aHi: number,
    aLo: number,
    write: boolean,
    fetch: boolean,
    attempt: Attempt,
  ): boolean {
    const answer = this.translateNow(aHi, aLo, write, fetch);
    if (answer.ok) {
      this.paHi = answer.paHi;
      this.paLo = answer.paLo;
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

  protected translateNow(aHi: number, aLo: number, write: boolean, fetch: boolean): Translation {
    const { translateGuest, translateHost } = this.engine.hooks;
    if (this.regime === Regime.Guest) {
      assert(translateGuest !== undefined, 'guest access and no translateGuest hook');
      return translateGuest(this.self, aHi, aLo, write, fetch);
    }
    if ((aHi & LINEAR_MAP_HI) === LINEAR_MAP_HI) return { ok: true, paHi: aHi & 0xffff, paLo: aLo };
    assert(translateHost !== undefined, `host access to ${hex(aHi)}:${hex(aLo)}, no translateHost`);
    return translateHost(this.self, aHi, aLo, write, fetch);
  }

  protected peekWord(): number {
    return this.engine.memory.peek32(this.paHi, this.paLo & ~3);
  }

  protected pokeWord(value: number): void {
    this.engine.memory.poke32(this.paHi, this.paLo & ~3, value);
  }

  /** Reads the naturally aligned pair into (hi, lo). */
  protected peekPair(): void {
    this.lo = this.engine.memory.peek32(this.paHi, this.paLo);
    this.hi = this.engine.memory.peek32(this.paHi, this.paLo + 4);
  }

  protected pokePair(vHi: number, vLo: number): void {
    this.engine.memory.poke32(this.paHi, this.paLo, vLo);
    this.engine.memory.poke32(this.paHi, this.paLo + 4, vHi);
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

  // ---- time ----

  spend(cost: Cost): void {
    this.spendMany(cost, 1);
  }

  spendMany(cost: Cost, count: number): void {
    this.costs.set(cost, (this.costs.get(cost) ?? 0) + count);
    this.clockPs += this.engine.machine.costsPs[cost]! * count;
  }

  expired(deadline: number): boolean {
    if (this.engine.leap()) this.clockPs = Math.max(this.clockPs, deadline);
    return Math.max(this.clockPs, this.engine.nowPs) >= deadline;
  }
}

export function holds(value: number, kind: Condition, mask: number, operand: number): boolean {
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
