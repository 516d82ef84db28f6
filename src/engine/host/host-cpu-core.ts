/**
 * What a CPU of the host engine stands on: the stack of programs, exceptions, interrupts, the
 * mailbox of TLBIs, abort. One worker thread runs one CPU.
 *
 * The mailbox is served at every attempt (ER-H3): TLBIs also while the CPU waits or has interrupts
 * masked, interrupts when they are enabled, by handlers on the CPU's own stack.
 */

import { assert } from '../../base/assert.ts';
import { BugError, InterruptedError } from '../../base/errors.ts';
import { RandomStream } from '../../base/random.ts';
import type { Cpu, Handler, Program } from '../../cpu/cpu.ts';
import { comesThrough, EventKind, InterruptLevel, type Regime } from '../../cpu/operations.ts';
import { Counter } from '../../metrics/definition.ts';
import { AccessLog } from './access-log.ts';
import { Abort, Block, Global, State, VECTORS } from './control.ts';
import { EventLog } from './event-log.ts';
import { GhostLocks } from './ghost-locks.ts';
import { HostMeasures } from './host-cpu-measures.ts';
import type { HostCpuResult, HostTask } from './spec.ts';
import { Trace } from './trace.ts';

const PS_PER_MS = 1_000_000_000;
const STACK_LIMIT = 1_000;
/** Attempts between two publications of the progress word. */
const PUBLISH_MASK = 0x3ff;
/** Refusals in a row without a yield. */
const REFUSALS_MAX = 500;
/** A forced loss of the core: long enough that another thread gets it. */
const NAP_MS = 0.05;
/** Longest stretch of compute() spent awake; beyond, the CPU sleeps on its bell. */
const AWAKE_MS = 0.2;

interface Frame {
  readonly program: Program;
  /** Of a handler: what its return restores. */
  readonly saved: Saved | null;
}

interface Saved {
  readonly results: readonly [number, number, boolean, number];
  readonly regime: Regime;
  readonly interruptsEnabled: boolean;
  readonly level: InterruptLevel;
  readonly isInterrupt: boolean;
}

export abstract class HostCpuCore extends HostMeasures {
  /** An interrupt was handled since idle() went to sleep. */
  protected idleInterrupted = false;
  protected interruptsEnabled = true;
  /** Of the handler that runs. */
  #level: InterruptLevel = InterruptLevel.Task;
  /** Of vectors that are not Hard. */
  readonly #levels = new Map<number, InterruptLevel>();
  /** The next attempt is performed without doing anything (skipAttempt). */
  protected skipNext = false;
  #skipRequested = false;
  readonly #stack: Frame[] = [];
  readonly #handlers = new Map<number, Handler>();
  readonly #trace: Trace;
  readonly #ghosts: GhostLocks;
  readonly #events: EventLog;
  protected readonly accesses: AccessLog;
  readonly #naps: RandomStream;
  #untilNap: number;
  #untilServed = 0;
  #attempts = 0;
  #refusals = 0;

  constructor(task: HostTask, round: number) {
    super(task, round);
    const { seed, napEvery } = task.spec;
    this.#trace = new Trace(this.words, this.block);
    this.#ghosts = new GhostLocks(this.words, this.bell.layout, this.id);
    this.#events = new EventLog(this.words, task.events);
    this.accesses = new AccessLog(this.words, task.accesses, task.spec.accessRoom, this.id);
    this.#naps = new RandomStream(seed + round, 'naps', this.id);
    this.#untilNap = napEvery === 0 ? Number.POSITIVE_INFINITY : this.#nextNap();
  }

  protected abstract get self(): Cpu;
  abstract get regime(): Regime;
  abstract setRegime(regime: Regime): void;
  /** Applies TLBIs that have come; true = some have. */
  protected abstract serveTlbis(): boolean;

  // ---- running --------------------------------------------------------------------------------

  /** Runs the program to its end, then serves the mailbox until every CPU has ended. */
  run(program: Program | null): Omit<HostCpuResult, 'pinned' | 'reached'> {
    this.setState(State.Running);
    if (program !== null) this.#stack.push({ program, saved: null });
    this.#runStack();
    this.closePhases();
    const clockPs = this.nowPs();
    this.#finish();
    return {
      id: this.id,
      counters: this.counters,
      histograms: this.recorder.snapshot(),
      phaseStartPs: this.phaseStartPs,
      phaseEndPs: this.phaseEndPs,
      phaseMarks: this.phaseMarks,
      clockPs,
      marks: this.marks,
      attempts: this.#attempts,
    };
  }

  #runStack(): void {
    while (this.#stack.length > 0) {
      this.#takeInterrupt();
      const depth = this.#stack.length;
      const top = this.#stack[depth - 1]!;
      this.#refusals = 0;
      const result = top.program.next();
      const moved = this.#stack.length !== depth;
      if (result.done !== true && result.value === undefined) continue;
      if (moved) throw new BugError(`cpu ${this.id} goes on after a fault without a repeat`);
      if (result.done === true) {
        this.#stack.pop();
        if (top.saved !== null) this.#return(top.saved);
      } else {
        this.#push(result.value as Program, null);
      }
    }
  }

  #push(program: Program, saved: Saved | null): void {
    assert(this.#stack.length < STACK_LIMIT, `stack of cpu ${this.id} is ${STACK_LIMIT} deep`);
    this.#stack.push({ program, saved });
  }

  /** A finished CPU is idle, not gone: it takes interrupts and acknowledges TLBIs (ER-I6). */
  #finish(): void {
    this.accesses.close();
    this.publish();
    this.interruptsEnabled = true;
    Atomics.add(this.words, Global.Finished, 1);
    for (;;) {
      this.setState(State.Finished);
      this.bell.listen();
      this.serveMailbox();
      if (this.interruptDue()) {
        this.#takeInterrupt();
        this.#runStack();
        continue;
      }
      const finished = Atomics.load(this.words, Global.Finished);
      const inFlight = Atomics.load(this.words, Global.InFlight);
      if (finished === this.task.spec.activeCpus.length && inFlight === 0) break;
      this.bell.sleep();
    }
    this.ringEverybody();
  }

  protected ringEverybody(): void {
    for (const cpu of this.task.spec.activeCpus) this.bell.ring(cpu);
  }

  // ---- attempts and mailbox ---------------------------------------------------------------------

  /** First thing in every attempt; false = the attempt is not made now: return refused(). */
  protected serve(operation: number, aHi: number, aLo: number): boolean {
    this.accesses.close();
    this.#attempts++;
    this.#trace.attempt(operation, aHi, aLo);
    if ((this.#attempts & PUBLISH_MASK) === 0) this.publish();
    if (--this.#untilNap <= 0) this.#nap();
    this.#checkAbort();
    if (--this.#untilServed < 0) this.#serveNow();
    return !this.skipNext && !this.interruptDue();
  }

  /** What an attempt returns that is not made: true if its handler has skipped it. */
  protected refused(): boolean {
    if (this.skipNext) {
      this.skipNext = false;
      this.lo = this.hi = 0;
      this.ok = false;
      return true;
    }
    if (++this.#refusals > REFUSALS_MAX) {
      throw new BugError(`cpu ${this.id} repeats an attempt without yielding`);
    }
    return false;
  }

  #nextNap(): number {
    return 1 + (this.#naps.uint32() % (2 * this.task.spec.napEvery));
  }

  /** Leaves the core at a point of the program's own, not only where the host's clock ticks. */
  #nap(): void {
    this.#untilNap = this.#nextNap();
    this.bell.listen();
    this.bell.sleep(NAP_MS);
  }

  protected publish(): void {
    Atomics.store(this.words, this.block + Block.Performed, this.#attempts | 0);
  }

  /** Abort and TLBIs; true = a TLBI has come. */
  protected serveMailbox(): boolean {
    this.#checkAbort();
    return this.#serveNow();
  }

  #checkAbort(): void {
    if (Atomics.load(this.words, Global.Abort) !== Abort.None) {
      throw new InterruptedError('another thread ended the run');
    }
  }

  /** With a lag, the next time comes some attempts later: a DSB left out then shows. */
  #serveNow(): boolean {
    const { tlbiLag } = this.task.spec;
    this.#untilServed = tlbiLag === 0 ? 0 : this.#naps.uint32() % (tlbiLag + 1);
    return this.serveTlbis();
  }

  // ---- exceptions and interrupts ----------------------------------------------------------------

  protected enter(handler: Handler, isInterrupt: boolean): void {
    const saved = {
      results: [this.hi, this.lo, this.ok, this.ret] as const,
      regime: this.regime,
      interruptsEnabled: this.interruptsEnabled,
      level: this.#level,
      isInterrupt,
    };
    this.setRegime(0);
    this.#push(handler(this.self), saved);
  }

  #return({ results, regime, interruptsEnabled, level, isInterrupt }: Saved): void {
    [this.hi, this.lo, this.ok, this.ret] = results;
    this.interruptsEnabled = interruptsEnabled;
    this.#level = level;
    this.setRegime(regime);
    if (!isInterrupt) {
      this.skipNext = this.#skipRequested;
      this.#skipRequested = false;
      return;
    }
    this.idleInterrupted = true;
    if (Atomics.sub(this.words, Global.InFlight, 1) === 1) this.ringEverybody();
  }

  skipAttempt(): void {
    this.#skipRequested = true;
  }

  protected interruptDue(): boolean {
    if (this.skipNext) return false;
    return Atomics.load(this.words, this.block + Block.Pending) > 0 && this.#dueVector() >= 0;
  }

  /** Of the pending vectors that are let through: the highest level, then the lowest number. */
  #dueVector(): number {
    if (this.#levels.size === 0 && !this.interruptsEnabled) return -1;
    let best = -1;
    let bestLevel: InterruptLevel = InterruptLevel.Task;
    for (let vector = 0; vector < VECTORS; vector++) {
      if (Atomics.load(this.words, this.block + Block.Vectors + vector) === 0) continue;
      const level = this.#levelOf(vector);
      if (level <= bestLevel || !comesThrough(level, this.#level, this.interruptsEnabled)) continue;
      best = vector;
      bestLevel = level;
    }
    return best;
  }

  #levelOf(vector: number): InterruptLevel {
    return this.#levels.get(vector) ?? InterruptLevel.Hard;
  }

  #takeInterrupt(): void {
    if (!this.interruptDue()) return;
    const vector = this.#dueVector();
    Atomics.sub(this.words, this.block + Block.Vectors + vector, 1);
    Atomics.sub(this.words, this.block + Block.Pending, 1);
    const handler = this.#handlers.get(vector);
    assert(handler !== undefined, `cpu ${this.id} has no handler for interrupt ${vector}`);
    this.count(Counter.IpiTaken, 1);
    this.setState(State.Running);
    this.enter(handler, true);
    this.#level = this.#levelOf(vector);
    // PSTATE.I is set on entry; Linux unmasks at once for synchronous exceptions, not for IRQs.
    if (this.#level > InterruptLevel.Soft) this.interruptsEnabled = false;
  }

  protected setState(state: number): void {
    Atomics.store(this.words, this.block + Block.State, state);
  }

  setInterrupt(vector: number, handler: Handler, level?: InterruptLevel): void {
    if (vector < 0 || vector >= VECTORS) throw new BugError(`interrupt vector ${vector}`);
    this.#handlers.set(vector, handler);
    if (level !== undefined) this.#levels.set(vector, level);
  }

  interrupts(enabled: boolean): boolean {
    const previous = this.interruptsEnabled;
    this.interruptsEnabled = enabled;
    return previous;
  }

  // ---- work and events --------------------------------------------------------------------------

  /** Work takes its time, during which the CPU still answers TLBIs. */
  compute(costPs: number): void {
    if (!this.task.spec.computes || costPs === 0) return;
    const endPs = this.nowPs() + costPs;
    for (;;) {
      const leftMs = (endPs - this.nowPs()) / PS_PER_MS;
      if (leftMs <= 0) return;
      if (leftMs < AWAKE_MS) continue;
      this.setState(State.Idle);
      this.bell.listen();
      if (!this.serveMailbox()) this.bell.sleep(leftMs - AWAKE_MS / 2);
      this.setState(State.Running);
    }
  }

  /** Oracles here are ghost words, and a log for those that look at a whole round. */
  event(kind: number, aHi: number, aLo: number): void {
    if (kind === EventKind.BranchPassed) return;
    this.accesses.close();
    if (kind === EventKind.LockAcquired) this.words[this.block + Block.Writes]!++;
    else if (kind === EventKind.ReadLockAcquired) this.words[this.block + Block.Reads]!++;
    this.#events.add(this.id, kind, aHi, aLo, this.interruptsEnabled);
    this.#ghosts.event(kind, aHi, aLo);
  }
}
