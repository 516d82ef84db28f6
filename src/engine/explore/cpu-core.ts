/**
 * What a CPU of the explore engine stands on: the gate that refuses an attempt once, which
 * announces it, and lets its repeat pass when the scheduler has picked the CPU; the stack of
 * programs and handlers; the program agent's row in the execution.
 *
 * One step resumes the program once: it performs the granted attempt, runs to the next one and is
 * refused. What breaks the interface's one rule (an attempt that changes after a refusal, or is
 * repeated without yielding) is a finding about the program.
 */

import type { Cpu, Handler, Program } from '../../cpu/cpu.ts';
import { type Exception, type Level, Order, Regime } from '../../cpu/operations.ts';
import { LINEAR_MAP_HI } from '../../memory/physical-address.ts';
import { BYTES_OF, KIND_OF, OPERATION_NAMES, Op } from './attempts.ts';
import { StepKind } from './execution.ts';
import type { ExploreMemory } from './explore-memory.ts';
import type { Explorer } from './explorer.ts';
import { ProgramFault } from './result.ts';
import { StoreBuffer } from './store-buffer.ts';

export const Phase = { Free: 0, Announced: 1, Granted: 2, Skipped: 3 } as const;
export type Phase = (typeof Phase)[keyof typeof Phase];

export const Gate = { Refuse: 0, Perform: 1, Skip: 2 } as const;
export type Gate = (typeof Gate)[keyof typeof Gate];

/** What a handler's return restores. */
interface Saved {
  readonly op: Op;
  readonly operands: readonly number[];
  readonly regime: Regime;
  readonly interrupts: boolean;
  readonly exception: Exception;
  readonly results: readonly [number, number, boolean, number];
  readonly isInterrupt: boolean;
}

const STACK_LIMIT = 200;

export abstract class ExploreCpuCore {
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

  // The attempt that is announced.
  gatePhase: Phase = Phase.Free;
  op: Op = Op.None;
  aHi = 0;
  aLo = 0;
  x0 = 0;
  x1 = 0;
  x2 = 0;
  x3 = 0;
  order = 0;
  /** Its word in memory, if it accesses memory. */
  word = 0;
  /** A translation for it is being walked. */
  walking = false;
  /** It goes through a translation, not the linear map. */
  translated = false;
  skipRequested = false;
  protected skipNext = false;

  wakePending = false;
  interruptsEnabled = true;
  readonly vectors: number[] = [];
  /** TLBIs of this CPU that some receiver has not applied. */
  owed = 0;
  readonly buffer = new StoreBuffer();
  /** Word of the last atomic update: the lock that a queue's waiter is after. */
  lastUpdate = -1;
  marks = 0;

  readonly world: Explorer;
  readonly memory: ExploreMemory;
  readonly tso: boolean;
  protected depth = 0;
  readonly #programs: Program[] = [];
  readonly #saved: (Saved | null)[] = [];
  protected readonly exceptionVectors: (Handler | null)[] = [null, null, null];
  protected readonly interruptHandlers = new Map<number, Handler>();

  constructor(world: Explorer, id: number) {
    this.world = world;
    this.id = id;
    this.memory = world.memory;
    this.tso = world.model === 'tso';
    this.node = world.machine.nodeOfCpu[id]!;
    this.cpuCount = world.machine.cpuCount;
    this.backedBytes = world.memory.backedBytes;
  }

  protected abstract get self(): Cpu;
  /** Finds the physical address of the attempt (paHi, paLo); false: a walk or an exception began. */
  protected abstract translateAttempt(): boolean;
  protected abstract abandonWalk(): void;
  protected paHi = 0;
  protected paLo = 0;

  /** As at boot. */
  reset(): void {
    this.lo = this.hi = this.ret = 0;
    this.ok = false;
    this.regime = Regime.Host;
    this.gatePhase = Phase.Free;
    this.op = Op.None;
    this.walking = this.skipRequested = this.skipNext = this.wakePending = false;
    this.interruptsEnabled = true;
    this.vectors.length = 0;
    this.owed = 0;
    this.buffer.clear();
    this.lastUpdate = -1;
    this.marks = 0;
    this.depth = 0;
    this.#programs.length = 0;
    this.exceptionVectors.fill(null);
    if (this.interruptHandlers.size > 0) this.interruptHandlers.clear();
  }

  get finished(): boolean {
    return this.depth === 0;
  }

  /** The innermost program, which makes the next attempt. */
  get program(): Program | null {
    return this.depth === 0 ? null : this.#programs[this.depth - 1]!;
  }

  start(program: Program | null): void {
    if (program !== null) this.#push(program, null);
    this.run();
  }

  // ---- the stack ------------------------------------------------------------------------------

  #push(program: Program, saved: Saved | null): void {
    if (typeof (program as Partial<Program> | undefined)?.next !== 'function') {
      this.fault(`yields ${describeValue(program)}: a program yields nothing or a generator`);
    }
    if (this.depth >= STACK_LIMIT) this.fault(`calls programs ${STACK_LIMIT} deep`);
    this.#programs[this.depth] = program;
    this.#saved[this.depth] = saved;
    this.depth++;
  }

  /** Takes the announced step: the program performs it and runs up to its next attempt. */
  grant(): void {
    this.gatePhase = this.skipNext ? Phase.Skipped : Phase.Granted;
    this.skipNext = false;
    if (this.op === Op.Pause) this.gatePhase = Phase.Free;
    this.run();
  }

  /** Runs until an attempt is announced or all programs have returned. */
  run(): void {
    this.world.running = this.id;
    for (;;) {
      const depth = this.depth;
      if (depth === 0) break;
      const result = this.#programs[depth - 1]!.next();
      if (result.done === true) {
        if (this.#return(depth)) return;
      } else if (result.value !== undefined) {
        if (this.gatePhase !== Phase.Free)
          this.fault('calls a program while its attempt is refused');
        this.#push(result.value, null);
      } else if (this.depth === depth) {
        if (this.gatePhase === Phase.Announced) return;
        if (this.gatePhase !== Phase.Free) this.fault('does not repeat its refused attempt');
        this.#announcePause();
        return;
      }
    }
    this.world.kind[this.id] = StepKind.None;
    this.world.setEnabled(this.id, 0);
  }

  #announcePause(): void {
    this.op = Op.Pause;
    this.aHi = this.aLo = 0;
    this.gatePhase = Phase.Announced;
    this.world.tracer?.announced(this.id, this.op);
    this.publish();
  }

  /** The top program has ended; true: an attempt of the one below is announced again. */
  #return(depth: number): boolean {
    if (this.gatePhase !== Phase.Free) this.fault('ends with a refused attempt');
    this.depth = depth - 1;
    const saved = this.#saved[depth - 1]!;
    if (saved === null) return false;
    this.#saved[depth - 1] = null;
    this.regime = saved.regime;
    this.interruptsEnabled = saved.interrupts;
    this.exception = saved.exception;
    [this.hi, this.lo, this.ok, this.ret] = saved.results;
    this.switched();
    if (saved.isInterrupt) this.world.updateInterrupt(this.id);
    if (saved.isInterrupt && saved.op === Op.Idle) this.wakePending = true;
    if (saved.op === Op.None) return false;
    this.op = saved.op;
    const [aHi, aLo, x0, x1, x2, x3, order] = saved.operands as FixedOperands;
    this.aHi = aHi;
    this.aLo = aLo;
    this.x0 = x0;
    this.x1 = x1;
    this.x2 = x2;
    this.x3 = x3;
    this.order = order;
    this.skipNext = this.skipRequested;
    this.skipRequested = false;
    this.gatePhase = Phase.Announced;
    this.world.tracer?.restored(this.id);
    this.publish();
    return (this.gatePhase as Phase) === Phase.Announced;
  }

  /** The regime has changed. */
  protected switched(): void {}

  /** A handler goes on top; the attempt under way is announced again after it. */
  protected enter(handler: Handler, isInterrupt: boolean): void {
    const announced = this.gatePhase === Phase.Announced;
    if (this.walking) this.abandonWalk();
    const saved: Saved = {
      op: announced ? this.op : Op.None,
      operands: [this.aHi, this.aLo, this.x0, this.x1, this.x2, this.x3, this.order],
      regime: this.regime,
      interrupts: this.interruptsEnabled,
      exception: this.exception,
      results: [this.hi, this.lo, this.ok, this.ret],
      isInterrupt,
    };
    this.gatePhase = Phase.Free;
    this.regime = Regime.Host;
    this.exception = { ...this.exception };
    this.world.tracer?.saved(this.id);
    this.switched();
    this.#push(handler(this.self), saved);
  }

  /** The Interrupt step: the oldest pending vector's handler runs to its first attempt. */
  takeInterrupt(): number {
    const vector = this.vectors.shift()!;
    const handler = this.interruptHandlers.get(vector);
    if (handler === undefined) this.fault(`has no handler for interrupt ${vector}`);
    this.enter(handler!, true);
    this.interruptsEnabled = false;
    this.run();
    return vector;
  }

  protected raise(level: Level, exception: Exception): void {
    const handler = this.exceptionVectors[level];
    if (handler === null || handler === undefined) {
      const name = ['host', 'EL2', 'guest'][level]!;
      this.fault(`takes a fault (status ${exception.fsc}) to ${name}, which has no vector`);
    }
    this.enter(handler!, false);
    this.exception = exception;
  }

  // ---- the gate -------------------------------------------------------------------------------

  protected gate(
    op: Op,
    aHi: number,
    aLo: number,
    x0: number,
    x1: number,
    x2: number,
    x3: number,
    order: number,
  ): Gate {
    const phase = this.gatePhase;
    if (phase === Phase.Free) {
      this.op = op;
      this.aHi = aHi;
      this.aLo = aLo;
      this.x0 = x0;
      this.x1 = x1;
      this.x2 = x2;
      this.x3 = x3;
      this.order = order;
      this.gatePhase = Phase.Announced;
      if (this.world.tracer !== null) this.world.tracer.announced(this.id, op);
      this.publish();
      return Gate.Refuse;
    }
    if (
      phase === Phase.Announced ||
      op !== this.op ||
      aHi !== this.aHi ||
      aLo !== this.aLo ||
      x0 !== this.x0 ||
      x1 !== this.x1 ||
      x2 !== this.x2 ||
      x3 !== this.x3 ||
      order !== this.order
    ) {
      this.#breaksTheRule(op);
    }
    this.gatePhase = Phase.Free;
    if (phase === Phase.Granted) return Gate.Perform;
    this.ok = false;
    return Gate.Skip;
  }

  #breaksTheRule(op: Op): never {
    const [was, is] = [OPERATION_NAMES[this.op]!, OPERATION_NAMES[op]!];
    if (this.gatePhase === Phase.Announced) {
      this.fault(
        op === this.op
          ? `repeats ${was} without yielding`
          : `goes on with ${is} after ${was} was refused, without yielding`,
      );
    }
    this.fault(
      op === this.op
        ? `changes the operands of ${was} after a refusal`
        : `makes ${is} of ${was} after a refusal`,
    );
  }

  /** The program is wrong, not the engine: one clear finding. */
  fault(what: string): never {
    throw new ProgramFault(`the program of CPU ${this.id} ${what}`);
  }

  // ---- the program agent's row ----------------------------------------------------------------

  /** Shows the announced attempt to the scheduler. */
  publish(): void {
    const { id, op, world } = this;
    const bytes = this.skipNext ? 0 : BYTES_OF[op]!;
    let kind = this.skipNext ? StepKind.Other : (KIND_OF[op]! as StepKind);
    this.translated = false;
    if (bytes !== 0) {
      const { aHi, aLo } = this;
      if ((aLo & (bytes - 1)) !== 0) {
        this.fault(`makes a misaligned ${OPERATION_NAMES[op]} at 0x${hex(aHi)}${hex(aLo)}`);
      }
      if (this.regime === Regime.Host && (aHi & LINEAR_MAP_HI) === LINEAR_MAP_HI) {
        this.paHi = aHi & 0xffff;
        this.paLo = aLo;
      } else {
        this.translated = true;
        world.kind[id] = StepKind.None;
        world.setEnabled(id, 0);
        if (!this.translateAttempt()) return;
      }
      this.word = this.memory.indexOf(this.paHi, this.paLo);
      world.hi[id] = this.paHi;
      world.lo[id] = this.paLo;
      if (kind === StepKind.Write && this.tso) {
        kind = this.order === Order.SequentiallyConsistent ? StepKind.Update : StepKind.Buffer;
      }
    } else if (op === Op.Translate && !this.skipNext && !this.translateAttempt()) {
      world.kind[id] = StepKind.None;
      world.setEnabled(id, 0);
      return;
    } else {
      world.hi[id] = this.aHi;
      world.lo[id] = this.aLo;
    }
    world.bytes[id] = bytes;
    world.kind[id] = kind;
    if (kind === StepKind.Read || kind === StepKind.Write) world.setEnabled(id, 1);
    else this.refresh();
  }

  /** Can the announced step be taken as things are? Called whenever that may have changed. */
  refresh(): void {
    const { world, id } = this;
    if (this.gatePhase !== Phase.Announced || this.walking) return;
    const kind = world.kind[id] as StepKind;
    let enabled = true;
    switch (kind) {
      case StepKind.None:
        return;
      case StepKind.Await:
      case StepKind.Expire: {
        enabled = this.conditionHolds();
        if (this.op === Op.Cond32Until) {
          world.kind[id] = enabled ? StepKind.Await : StepKind.Expire;
          enabled = true;
        }
        break;
      }
      case StepKind.Update:
      // What the kernel does around them (wmb before an IPI, the full barrier of a wake-up).
      case StepKind.Ipi:
      case StepKind.Wake:
        enabled = this.buffer.count === 0;
        break;
      case StepKind.Buffer:
        enabled = !this.buffer.full;
        break;
      case StepKind.Fence:
        enabled = this.buffer.count === 0 || !this.fenceDrains();
        break;
      case StepKind.Dsb:
        enabled = this.buffer.count === 0 && this.owed === 0;
        break;
      case StepKind.Idle:
        enabled = this.wakePending || this.vectors.length > 0;
        break;
    }
    world.setEnabled(id, enabled ? 1 : 0);
  }

  protected abstract conditionHolds(): boolean;
  protected abstract fenceDrains(): boolean;
}

type FixedOperands = readonly [number, number, number, number, number, number, number];

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

export function hex(word: number): string {
  return (word >>> 0).toString(16).padStart(8, '0');
}

function describeValue(value: unknown): string {
  if (value === null) return 'null';
  return typeof value === 'object' ? 'an object' : `${typeof value} ${String(value)}`;
}
