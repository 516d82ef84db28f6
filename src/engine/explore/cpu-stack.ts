/**
 * The stack of programs and handlers of a CPU of the explore engine. One step resumes the innermost
 * program once: it performs the granted attempt, runs to the next one and is refused. What breaks
 * the rules of yielding is a finding about the program.
 */

import type { Cpu, Handler, Program } from '../../cpu/cpu.ts';
import { type Exception, InterruptLevel, type Level, Regime } from '../../cpu/operations.ts';
import { Op } from './attempts.ts';
import { ExploreCpuRow, Phase } from './cpu-row.ts';
import { StepKind } from './execution.ts';

/** What a handler's return restores. */
interface Saved {
  readonly op: Op;
  readonly operands: readonly number[];
  readonly regime: Regime;
  readonly interrupts: boolean;
  readonly level: InterruptLevel;
  readonly exception: Exception;
  readonly results: readonly [number, number, boolean, number];
  readonly isInterrupt: boolean;
}

const STACK_LIMIT = 200;

/**
 * %GeneratorPrototype%.next: programs come from many generator functions, each with a prototype of
 * its own, so that looking `next` up in each costs more than the call.
 */
const next: (this: Program) => unknown = Object.getPrototypeOf(Object.getPrototypeOf(none())).next;

function* none(): Program {}

export abstract class ExploreCpuStack extends ExploreCpuRow {
  protected depth = 0;
  readonly #programs: Program[] = [];
  readonly #saved: (Saved | null)[] = [];
  protected readonly exceptionVectors: (Handler | null)[] = [null, null, null];
  protected readonly interruptHandlers = new Map<number, Handler>();

  protected abstract get self(): Cpu;
  protected abstract abandonWalk(): void;

  override reset(): void {
    super.reset();
    this.depth = 0;
    this.exceptionVectors[0] = this.exceptionVectors[1] = this.exceptionVectors[2] = null;
    if (this.interruptHandlers.size > 0) this.interruptHandlers.clear();
    if (this.levels.size > 0) this.levels.clear();
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
    if (typeof program !== 'object' || program === null) {
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
      const result = next.call(this.#programs[depth - 1]!) as ReturnType<Program['next']>;
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
    if (this.waits) this.setWaits(false);
    this.world.progress();
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
    this.level = saved.level;
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
      level: this.level,
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

  /** The Interrupt step: the handler of the vector that is due runs to its first attempt. */
  takeInterrupt(): number {
    const [vector] = this.vectors.splice(this.dueVector(), 1) as [number];
    const handler = this.interruptHandlers.get(vector);
    if (handler === undefined) this.fault(`has no handler for interrupt ${vector}`);
    this.enter(handler!, true);
    this.level = this.levels.get(vector) ?? InterruptLevel.Hard;
    if (this.level > InterruptLevel.Soft) this.interruptsEnabled = false;
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
}

type FixedOperands = readonly [number, number, number, number, number, number, number];

function describeValue(value: unknown): string {
  if (value === null) return 'null';
  return typeof value === 'object' ? 'an object' : `${typeof value} ${String(value)}`;
}
