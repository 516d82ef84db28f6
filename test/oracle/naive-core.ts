/**
 * A CPU of the naive engine as an actor on the heap: what it is doing, its stack of programs, its
 * interrupts, and the attempt under way. An attempt is a small program of its own that is suspended
 * where it must wait and thrown away when an interrupt or a handler comes between.
 *
 * An attempt's steps happen at the moment (event time) that the CPU's clock shows, never earlier:
 * so the heap alone orders what CPUs do to each other.
 */

import { assert } from '../../src/base/assert.ts';
import type { Cpu, Handler, Program } from '../../src/cpu/cpu.ts';
import { Regime } from '../../src/cpu/operations.ts';
import { Cost } from '../../src/machine/costs.ts';
import { Counter } from '../../src/metrics/definition.ts';
import { When } from './event-heap.ts';
import { NaiveMeasures } from './naive-measures.ts';
import type { Micro, Wait } from './naive-walk.ts';

export type State =
  | 'run'
  | 'line'
  | 'granted'
  | 'parked'
  | 'waking'
  | 'idle'
  | 'acknowledgements'
  | 'done';

interface Frame {
  readonly kind: 'program' | 'exception' | 'interrupt';
  readonly program: Program;
  readonly regime: Regime;
  readonly ret: number;
  readonly enabled: boolean;
}

interface Interrupt {
  readonly arrival: number;
  readonly vector: number;
}

const NEVER = Number.POSITIVE_INFINITY;

export abstract class NaiveCore extends NaiveMeasures {
  state: State = 'run';
  /** When DVM operations that came while the CPU waited let it go on. */
  stallUntil = 0;
  regime: Regime = Regime.Host;
  protected skip = false;
  protected parkDeadline = NEVER;
  readonly #stack: Frame[] = [];
  readonly #handlers = new Map<number, Handler>();
  #interrupts: Interrupt[] = [];
  #enabled = true;
  #wakes: number[] = [];
  #idleInterrupted = false;
  #skipRequested = false;
  #attempt: Micro<boolean> | null = null;
  #waitsFor: Wait | null = null;
  #ticket = 0;
  #dueAt = NEVER;

  start(program: Program | null): void {
    if (program === null) {
      this.state = 'done';
      return;
    }
    this.#call(program);
    this.schedule(0);
  }

  #call(program: Program): void {
    const { regime, ret } = this;
    this.#stack.push({ kind: 'program', program, regime, ret, enabled: this.#enabled });
  }

  /** The CPU's next event, instead of any that was planned. */
  protected schedule(time: number): void {
    const ticket = ++this.#ticket;
    this.#dueAt = time;
    if (time === NEVER) return;
    this.run.heap.push(time, [When.Cpu, this.id], () => {
      if (ticket === this.#ticket) this.#act();
    });
  }

  protected scheduleNotAfter(time: number): void {
    if (time < this.#dueAt) this.schedule(time);
  }

  protected get now(): number {
    return this.run.now;
  }

  // ---- events ---------------------------------------------------------------------------------

  #act(): void {
    this.#dueAt = NEVER;
    switch (this.state) {
      case 'granted':
        this.clock = this.now;
        this.state = 'run';
        this.takeGrant();
        break;
      case 'waking':
        // The engine asks for the line again; the program isn't involved.
        this.clock = Math.max(this.clock, this.now);
        this.#advance();
        assert((this.state as State) === 'line', 'a woken condition asks for its line');
        return;
      case 'parked':
        this.#leavePark();
        break;
      case 'acknowledgements':
        this.clock = this.now;
        this.state = 'run';
        break;
      case 'idle':
      case 'done':
        this.clock = Math.max(this.clock, this.now, this.stallUntil);
        if (this.#due() <= this.clock && this.state === 'idle') this.#idleInterrupted = true;
        this.state = 'run';
        break;
      default:
    }
    this.#proceed();
  }

  protected abstract takeGrant(): void;
  /** A context synchronisation event. */
  protected abstract synchronise(): void;

  #leavePark(): void {
    const due = this.#due();
    if (due < this.parkDeadline) {
      // An interrupt: the condition is forgotten and attempted again later.
      this.clock = Math.max(this.clock, due);
      this.dropAttempt();
    } else {
      this.clock = Math.max(this.clock, this.parkDeadline);
    }
    this.state = 'run';
  }

  #proceed(): void {
    for (let idle = 0; ; idle++) {
      assert(idle < 10_000, `CPU ${this.id} doesn't get on at ${this.now}`);
      if (this.clock > this.now) {
        this.schedule(this.clock);
        return;
      }
      if (this.#mayInterrupt() && this.#due() <= this.clock) {
        this.#takeInterrupt();
        continue;
      }
      const top = this.#stack.at(-1);
      if (top === undefined) {
        this.state = 'done';
        this.schedule(this.#due());
        return;
      }
      const step = top.program.next();
      if (step.done === true) this.#return();
      else if (step.value !== undefined) {
        this.#call(step.value);
      }
      if (this.state !== 'run') return;
    }
  }

  // ---- attempts -------------------------------------------------------------------------------

  /** Starts the attempt, or goes on with it; true when it is performed. */
  protected attempt(make: () => Micro<boolean>): boolean {
    this.#attempt ??= make();
    return this.#advance();
  }

  #advance(): boolean {
    const step = this.#attempt!.next();
    if (step.done !== true) {
      this.#waitsFor = step.value;
      return false;
    }
    this.#attempt = null;
    this.#waitsFor = null;
    return step.value;
  }

  protected dropAttempt(): void {
    this.#attempt = null;
    this.#waitsFor = null;
  }

  /** Waits until the CPU's moment has come and no interrupt comes first. */
  protected *moment(): Micro<void> {
    while (this.clock !== this.now || this.#due() <= this.clock) yield 'moment';
  }

  /** As the first wait of an attempt: false = a handler said to skip the attempt. */
  protected takeSkip(): boolean {
    if (!this.skip) return false;
    this.skip = false;
    return true;
  }

  // ---- exceptions and interrupts --------------------------------------------------------------

  protected enter(kind: 'exception' | 'interrupt', handler: Handler): void {
    const { regime, ret } = this;
    if (regime === Regime.Guest) this.spend(Cost.GuestExit);
    else this.spend(kind === 'exception' ? Cost.ExceptionEntry : Cost.InterruptEntry);
    this.regime = Regime.Host;
    this.synchronise();
    const program = handler(this as unknown as Cpu);
    this.#stack.push({ kind, program, regime, ret, enabled: this.#enabled });
    if (kind === 'interrupt') this.#enabled = false;
  }

  #return(): void {
    const { kind, regime, ret, enabled } = this.#stack.pop()!;
    if (kind === 'program') return;
    this.synchronise();
    this.ret = ret;
    this.#enabled = enabled;
    this.regime = regime;
    if (regime === Regime.Guest) this.spend(Cost.GuestEntry);
    else this.spend(kind === 'exception' ? Cost.ExceptionReturn : Cost.InterruptReturn);
    if (kind === 'exception' && this.#skipRequested) {
      this.#skipRequested = false;
      this.skip = true;
    }
  }

  skipAttempt(): void {
    this.#skipRequested = true;
  }

  setInterrupt(vector: number, handler: Handler): void {
    this.#handlers.set(vector, handler);
  }

  interrupts(enabled: boolean): boolean {
    const before = this.#enabled;
    this.#enabled = enabled;
    return before;
  }

  #due(): number {
    return this.#enabled ? (this.#interrupts[0]?.arrival ?? NEVER) : NEVER;
  }

  #mayInterrupt(): boolean {
    if (this.skip) return false;
    return this.#attempt === null || this.#waitsFor === 'moment';
  }

  #takeInterrupt(): void {
    const { vector } = this.#interrupts.shift()!;
    const handler = this.#handlers.get(vector);
    assert(handler !== undefined, `no handler for interrupt ${vector}`);
    this.dropAttempt();
    this.count(Counter.IpiTaken, 1);
    this.enter('interrupt', handler);
  }

  interruptArrives(arrival: number, vector: number): void {
    this.#interrupts.push({ arrival, vector });
    this.#interrupts.sort((a, b) => a.arrival - b.arrival || a.vector - b.vector);
    const waits = this.state === 'parked' || this.state === 'idle' || this.state === 'done';
    if (waits && this.#enabled) this.scheduleNotAfter(Math.max(arrival, this.clock));
  }

  // ---- parking, idling ------------------------------------------------------------------------

  /** Parks until the deadline, an interrupt or the loss of the line. */
  protected park(deadline: number): void {
    this.state = 'parked';
    this.parkDeadline = deadline;
    this.schedule(Math.min(deadline, Math.max(this.clock, this.#due())));
  }

  wakeArrives(arrival: number): void {
    this.#wakes.push(arrival);
    if (this.state === 'idle') this.scheduleNotAfter(Math.max(arrival, this.clock));
  }

  idle(): boolean {
    return this.attempt(() => this.#idle());
  }

  *#idle(): Micro<boolean> {
    for (;;) {
      yield* this.moment();
      const kept = this.#wakes.filter((arrival) => arrival > this.clock);
      if (kept.length < this.#wakes.length || this.#idleInterrupted) {
        this.#wakes = kept;
        this.#idleInterrupted = false;
        this.clock += 1;
        return true;
      }
      this.state = 'idle';
      const next = Math.min(this.#due(), ...this.#wakes);
      this.schedule(Math.max(this.clock, next));
      yield 'moment';
    }
  }
}
