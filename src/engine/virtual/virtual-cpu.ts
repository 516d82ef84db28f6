/**
 * An emulated CPU of the virtual engine: the Cpu interface over caches, TLBs and clock, the stack
 * of programs, exceptions and interrupts, and the loop that runs it through a window.
 *
 * Interrupts are taken between attempts, never while a granted line waits to be used (ER-I2); a
 * parked or half-translated attempt is dropped and repeated after the handler.
 */

import { assert } from '../../base/assert.ts';
import { BugError } from '../../base/errors.ts';
import type { Cpu, Handler, Program } from '../../cpu/cpu.ts';
import { type Level, Regime, type Register } from '../../cpu/operations.ts';
import { Cost } from '../../machine/costs.ts';
import type { NamedMemory } from '../../memory/boot.ts';
import { nameAddress } from '../../memory/symbols.ts';
import { Counter } from '../../metrics/definition.ts';
import { watchAlignment } from './alignment-check.ts';
import { MaintenanceCpu } from './cpu-maintenance.ts';
import { FrameKind, NEVER, Phase, Status, WaitFor } from './cpu-state.ts';
import { HeldLocks } from './held-locks.ts';
import { InterruptQueue } from './interrupt-queue.ts';
import { watchRepeats } from './repeat-check.ts';
import { watchStores } from './store-check.ts';

const FRAMES_MAX = 64;

/**
 * Each generator function gives its generators a hidden class of their own: loading `next` from
 * whatever program is on top would be a lookup by name in every resume.
 */
const resume = (function* (): Program {})().next;

const INTERRUPT_VECTORS = 32;

export class VirtualCpu extends MaintenanceCpu implements Cpu {
  readonly #programs: Program[] = [];
  readonly #frameKinds = new Uint8Array(FRAMES_MAX);
  readonly #savedRegimes = new Uint8Array(FRAMES_MAX);
  readonly #savedReturns = new Int32Array(FRAMES_MAX);
  /** hi and lo: what a called program left may not be read yet when the interrupt comes. */
  readonly #savedResults = new Int32Array(2 * FRAMES_MAX);
  readonly #savedInterrupts = new Uint8Array(FRAMES_MAX);
  readonly #vectors: (Handler | null)[] = [null, null, null];
  readonly #interruptHandlers: (Handler | null)[] = new Array(INTERRUPT_VECTORS).fill(null);
  readonly #interrupts = new InterruptQueue();
  #interruptsEnabled = true;
  #skipRequested = false;
  readonly #held = new HeldLocks();
  /** Wakes on their way or not yet consumed. */
  readonly #wakes = new InterruptQueue();
  #idleInterrupted = false;
  /** Gives the CPU its program; before the run. */
  start(program: Program | null): void {
    if (this.watch !== null) watchStores(this, this.watch);
    if (this.environment.spec.debug.repeats) {
      watchAlignment(this);
      watchRepeats(this, () => this.#programs.length);
    }
    if (program === null) {
      this.status = Status.Done;
      this.nextPs = NEVER;
    } else {
      this.#push(program, FrameKind.Program);
    }
  }

  get done(): boolean {
    return this.status === Status.Done;
  }

  // ---- running --------------------------------------------------------------------------------

  /** Runs the CPU until its next time is not before `windowEnd` (which its own messages lower). */
  run(windowEnd: number): void {
    this.windowEnd = windowEnd;
    while (this.nextPs < this.windowEnd) this.#advance();
  }

  /** Its program has thrown: it does nothing more, while the engine still answers for it. */
  fail(): void {
    this.#programs.length = 0;
    this.status = Status.Done;
    this.nextPs = NEVER;
  }

  /**
   * A message left this CPU in a lengthened window: the rest of the machine must see it in time.
   */
  endWindowBy(windowEnd: number): void {
    if (windowEnd >= this.windowEnd) return;
    this.windowEnd = windowEnd;
    this.#refreshLimit();
  }

  #advance(): void {
    switch (this.status) {
      case Status.Granted:
        this.#useGrant();
        break;
      case Status.Waking:
        this.wakeCondition();
        break;
      case Status.Parked:
        this.#leavePark();
        break;
      case Status.WaitDsb:
        this.clock = this.nextPs;
        this.status = Status.Run;
        break;
      case Status.Idle:
      case Status.Done:
        this.#leaveIdle();
        break;
      default:
    }
    if (this.status === Status.Run) this.#runProgram();
  }

  #useGrant(): void {
    this.takeGrant();
    switch (this.waitFor) {
      case WaitFor.Condition:
        // After a TLBI the address may mean another word: the attempt starts afresh (ER-X3).
        if (this.takeMark()) this.setPhase(Phase.None);
        else this.evaluateCondition();
        break;
      case WaitFor.Walk:
        this.walkLineIsHere();
        break;
      default:
        this.setPhase(this.takeMark() ? Phase.None : Phase.Granted);
    }
    if (this.status === Status.Run) this.nextPs = this.clock;
  }

  /** A parked CPU reached its deadline or an interrupt. */
  #leavePark(): void {
    if (this.interruptDue() <= this.nextPs && this.interruptDue() < this.conditionDeadline) {
      this.clock = Math.max(this.clock, this.interruptDue());
      this.setPhase(Phase.None);
      this.status = Status.Run;
    } else {
      this.expireCondition();
    }
  }

  #leaveIdle(): void {
    this.clock = Math.max(this.clock, this.nextPs, this.stallUntil);
    if (this.interruptDue() <= this.clock) {
      this.#idleInterrupted = this.status === Status.Idle;
    } else {
      assert(this.status === Status.Idle, 'a finished CPU has nothing to wake for');
    }
    this.status = Status.Run;
  }

  #runProgram(): void {
    this.#refreshLimit();
    for (;;) {
      if (this.clock >= this.limit) {
        if (this.clock >= this.windowEnd && this.phaseOfAttempt !== Phase.Granted) break;
        if (this.#mayInterrupt()) this.#takeInterrupt();
      }
      this.refusals = 0;
      const depth = this.#programs.length - 1;
      if (depth < 0) {
        this.#finish();
        return;
      }
      const step = resume.call(this.#programs[depth]!);
      if (step.done === true) this.#pop();
      else if (step.value !== undefined) this.#push(step.value, FrameKind.Program);
      if (this.status !== Status.Run) return;
    }
    this.nextPs = this.clock;
  }

  #finish(): void {
    this.status = Status.Done;
    this.nextPs = this.interruptDue();
  }

  #push(program: Program, kind: number): void {
    const full = this.#programs.length === FRAMES_MAX;
    if (full) assert(false, `CPU ${this.id}: ${FRAMES_MAX} nested calls`);
    this.#frameKinds[this.#programs.length] = kind;
    this.#programs.push(program);
  }

  #pop(): void {
    const depth = this.#programs.length - 1;
    this.#programs.pop();
    const kind = this.#frameKinds[depth]!;
    if (kind === FrameKind.Program) return;
    this.synchroniseContext();
    const saved = this.#savedRegimes[depth] as Regime;
    this.ret = this.#savedReturns[depth]!;
    this.hi = this.#savedResults[2 * depth]!;
    this.lo = this.#savedResults[2 * depth + 1]!;
    this.interrupts(this.#savedInterrupts[depth] === 1);
    this.switchRegime(saved);
    if (saved === Regime.Guest) this.spend(Cost.GuestEntry);
    else this.spend(kind === FrameKind.Exception ? Cost.ExceptionReturn : Cost.InterruptReturn);
    if (this.#skipRequested && kind === FrameKind.Exception) {
      this.#skipRequested = false;
      this.setPhase(Phase.Skip);
    }
  }

  #enter(program: Program, kind: number): void {
    this.synchroniseContext();
    const depth = this.#programs.length;
    this.#savedRegimes[depth] = this.regime;
    this.#savedReturns[depth] = this.ret;
    this.#savedResults[2 * depth] = this.hi;
    this.#savedResults[2 * depth + 1] = this.lo;
    this.#savedInterrupts[depth] = this.#interruptsEnabled ? 1 : 0;
    // PSTATE.I is set on entry; Linux unmasks at once for synchronous exceptions, not for IRQs.
    if (kind === FrameKind.Interrupt) this.#interruptsEnabled = false;
    if (this.regime === Regime.Guest) this.spend(Cost.GuestExit);
    else this.spend(kind === FrameKind.Exception ? Cost.ExceptionEntry : Cost.InterruptEntry);
    this.switchRegime(Regime.Host);
    this.#push(program, kind);
  }

  /** A synchronous exception: the attempt stays refused until the handler has returned. */
  protected override takeException(level: Level): void {
    const handler = this.#vectors[level];
    if (handler === null || handler === undefined) {
      const { exception: e } = this;
      throw new BugError(
        `CPU ${this.id} takes an exception without a handler: FSC 0x${e.fsc.toString(16)} at ` +
          `${hex(e.farHi)}${hex(e.farLo)}${e.write ? ' (write)' : ''}, level ${level}, ` +
          `${this.clock} ps`,
      );
    }
    this.counters[Counter.Exceptions] = this.counters[Counter.Exceptions]! + 1;
    this.#enter(handler(this), FrameKind.Exception);
  }

  // ---- interrupts -----------------------------------------------------------------------------

  protected override interruptDue(): number {
    return this.#interruptsEnabled ? this.#interrupts.earliest() : NEVER;
  }

  #refreshLimit(): void {
    this.setLimit(Math.min(this.windowEnd, this.interruptDue()));
  }

  #mayInterrupt(): boolean {
    if (this.clock < this.interruptDue()) return false;
    const phase = this.phaseOfAttempt;
    return phase === Phase.None || phase === Phase.Translated || this.walkIsInterruptible();
  }

  #takeInterrupt(): void {
    const vector = this.#interrupts.take();
    const handler = this.#interruptHandlers[vector];
    assert(handler != null, `CPU ${this.id} has no handler for interrupt ${vector}`);
    this.abandonWalk();
    this.setPhase(Phase.None);
    this.counters[Counter.IpiTaken] = this.counters[Counter.IpiTaken]! + 1;
    this.#enter(handler(this), FrameKind.Interrupt);
    this.#refreshLimit();
  }

  /** An IPI of another CPU arrives at `arrivalPs`. Called by the fabric. */
  interruptArrives(arrivalPs: number, vector: number): void {
    this.#interrupts.add(arrivalPs, vector);
    if (!this.#interruptsEnabled) return;
    if (
      this.status === Status.Parked ||
      this.status === Status.Idle ||
      this.status === Status.Done
    ) {
      this.nextPs = Math.min(this.nextPs, Math.max(arrivalPs, this.clock));
    }
  }

  wakeArrives(arrivalPs: number): void {
    this.#wakes.add(arrivalPs, 0);
    if (this.status === Status.Idle) {
      this.nextPs = Math.min(this.nextPs, Math.max(arrivalPs, this.clock));
    }
  }

  // ---- system operations ----------------------------------------------------------------------

  ipi(target: number, vector: number): boolean {
    if (!this.admit()) return false;
    assert(vector >= 0 && vector < INTERRUPT_VECTORS, `interrupt vector ${vector}`);
    this.counters[Counter.IpiSent] = this.counters[Counter.IpiSent]! + 1;
    const m = this.machine;
    const hop = m.hopPs[this.node * m.nodeCount + m.nodeOfCpu[target]!]!;
    this.fabric.interrupt(target, this.clock + hop + m.ipiPs, vector);
    this.clock += this.l1LatencyPs;
    return true;
  }

  wake(target: number): boolean {
    if (!this.admit()) return false;
    const m = this.machine;
    const hop = m.hopPs[this.node * m.nodeCount + m.nodeOfCpu[target]!]!;
    this.fabric.wake(target, this.clock + hop + m.ipiPs);
    this.clock += this.l1LatencyPs;
    return true;
  }

  idle(): boolean {
    if (!this.admit()) return false;
    if (this.#wakes.earliest() <= this.clock || this.#idleInterrupted) {
      while (this.#wakes.earliest() <= this.clock) this.#wakes.take();
      this.#idleInterrupted = false;
      this.clock += 1;
      return true;
    }
    this.status = Status.Idle;
    this.nextPs = Math.max(this.clock, Math.min(this.#wakes.earliest(), this.interruptDue()));
    return this.refuse();
  }

  setRoot(register: Register, paHi: number, paLo: number, tag: number): boolean {
    if (!this.admit()) return false;
    this.writeRoot(register, paHi, paLo, tag);
    this.spend(Cost.Isb);
    this.synchroniseContext();
    return true;
  }

  setRegime(regime: Regime): void {
    if (regime === this.regime) return;
    if (regime === Regime.Guest) this.spend(Cost.GuestEntry);
    else this.spend(Cost.GuestExit);
    this.switchRegime(regime);
    this.synchroniseContext();
  }

  setVector(level: Level, handler: Handler): void {
    this.#vectors[level] = handler;
  }

  setInterrupt(vector: number, handler: Handler): void {
    assert(vector >= 0 && vector < INTERRUPT_VECTORS, `interrupt vector ${vector}`);
    this.#interruptHandlers[vector] = handler;
  }

  skipAttempt(): void {
    this.#skipRequested = true;
  }

  interrupts(enabled: boolean): boolean {
    const before = this.#interruptsEnabled;
    this.#interruptsEnabled = enabled;
    this.#refreshLimit();
    return before;
  }

  event(kind: number, aHi: number, aLo: number): void {
    this.#held.event(kind, aHi, aLo);
    this.watch?.event(kind, aHi, aLo);
  }

  /** For a report of what every CPU waits for and which locks it holds. */
  describe(): string {
    const { symbols } = this.environment.spec;
    const held = this.#held.describe((hi, lo) => nameAddress(symbols, hi & 0xffff, lo));
    return this.#doing(symbols) + (held === '' ? '' : `; holds ${held}`);
  }

  #doing(symbols: readonly NamedMemory[]): string {
    switch (this.status) {
      case Status.Done:
        return 'finished';
      case Status.Parked:
      case Status.Waking:
        return `waits for a condition on ${nameAddress(symbols, this.parkedHi, this.parkedLo)}`;
      case Status.Idle:
        return 'idle, waits for a wake-up';
      case Status.WaitDsb:
        return `waits for ${this.acksMissing} DVM acknowledgements`;
      case Status.WaitLine:
        return `waits for line ${nameAddress(symbols, this.requestHi, this.requestLo)}`;
      default: {
        const last = nameAddress(symbols, this.accessPaHi, this.accessPaLo);
        return `runs, last access to ${last}`;
      }
    }
  }
}

function hex(word: number): string {
  return (word >>> 0).toString(16).padStart(8, '0');
}
