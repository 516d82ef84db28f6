/**
 * What a CPU of the host engine stands on: the stack of programs, interrupts, TLBI mailbox, abort,
 * wall clock, measurements. One worker thread runs one CPU.
 *
 * The mailbox is served at every attempt (ER-H3): TLBIs also while the CPU waits or has interrupts
 * masked, interrupts when they are enabled, by handlers on the CPU's own stack.
 */

import { assert } from '../../base/assert.ts';
import { BugError, InterruptedError } from '../../base/errors.ts';
import { RandomStream } from '../../base/random.ts';
import type { Cpu, Handler, Program } from '../../cpu/cpu.ts';
import { Abort, Block, blockOf, Global, State, VECTORS } from './control.ts';
import { Doorbell } from './doorbell.ts';
import type { HostCpuResult, HostMetric, HostTask } from './spec.ts';

const PS_PER_MS = 1_000_000_000;
const NS_PER_MS = 1_000_000;
const STACK_LIMIT = 1_000;
/** Attempts between two publications of the progress word. */
const PUBLISH_MASK = 0x3ff;

interface Frame {
  readonly program: Program;
  /** Of an interrupt handler: what its return restores. */
  readonly saved: readonly [number, number, boolean, number] | null;
}

export abstract class HostCpuCore {
  readonly id: number;
  readonly node: number;
  readonly cpuCount: number;
  lo = 0;
  hi = 0;
  ok = false;
  ret = 0;

  protected readonly task: HostTask;
  protected readonly bell: Doorbell;
  protected readonly words: Int32Array<SharedArrayBuffer>;
  protected readonly block: number;
  /** An interrupt was handled since idle() went to sleep. */
  protected idleInterrupted = false;
  protected interruptsEnabled = true;
  readonly #stack: Frame[] = [];
  readonly #handlers = new Map<number, Handler>();
  readonly #open = new Map<number, number[]>();
  readonly #metrics: { count: number; sumNs: number; maximumNs: number }[] = [];
  readonly #counters: Float64Array;
  readonly #streams: RandomStream[];
  #attempts = 0;
  #marks = 0;
  #tlbiServed = 0;

  constructor(task: HostTask) {
    const { spec, cpu } = task;
    this.task = task;
    this.id = cpu;
    this.node = spec.machine.nodeOfCpu[cpu]!;
    this.cpuCount = spec.machine.cpuCount;
    this.bell = new Doorbell(task.control, this.cpuCount, cpu);
    this.words = this.bell.words;
    this.block = blockOf(this.bell.layout, cpu);
    this.#counters = new Float64Array(spec.counterCount);
    this.#streams = spec.streams.map((name) => new RandomStream(spec.seed, name, cpu));
  }

  protected abstract get self(): Cpu;

  // ---- running --------------------------------------------------------------------------------

  /** Runs the program to its end, then serves the mailbox until every CPU has ended. */
  run(program: Program | null): HostCpuResult {
    if (program !== null) this.#stack.push({ program, saved: null });
    this.#runStack();
    this.#finish();
    return {
      id: this.id,
      counters: this.#counters,
      metrics: Array.from({ length: this.task.spec.metricCount }, (_, i) => this.#metric(i)),
      marks: this.#marks,
      attempts: this.#attempts,
    };
  }

  #metric(index: number): HostMetric | null {
    return this.#metrics[index] ?? null;
  }

  #runStack(): void {
    while (this.#stack.length > 0) {
      this.#takeInterrupt();
      const top = this.#stack[this.#stack.length - 1]!;
      const result = top.program.next();
      if (result.done) {
        this.#stack.pop();
        if (top.saved !== null) this.#returnFromInterrupt(top.saved);
      } else if (result.value !== undefined) {
        assert(this.#stack.length < STACK_LIMIT, `stack of cpu ${this.id} is ${STACK_LIMIT} deep`);
        this.#stack.push({ program: result.value, saved: null });
      }
    }
  }

  /** A finished CPU is idle, not gone: it takes interrupts and acknowledges TLBIs (ER-I6). */
  #finish(): void {
    this.publish();
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

  // ---- mailbox --------------------------------------------------------------------------------

  /** First thing in every attempt; false = an interrupt is due, yield first. */
  protected serve(): boolean {
    this.#attempts++;
    if ((this.#attempts & PUBLISH_MASK) === 0) this.publish();
    this.serveMailbox();
    return !this.interruptDue();
  }

  protected publish(): void {
    Atomics.store(this.words, this.block + Block.Performed, this.#attempts | 0);
    Atomics.store(this.words, this.block + Block.Marks, this.#marks);
  }

  /** Abort, and TLBIs: nothing is cached, so that to serve is to acknowledge. */
  protected serveMailbox(): void {
    if (Atomics.load(this.words, Global.Abort) !== Abort.None) {
      throw new InterruptedError('another thread ended the run');
    }
    const posted = Atomics.load(this.words, this.block + Block.TlbiPosted);
    if (posted === this.#tlbiServed) return;
    this.#tlbiServed = posted;
    Atomics.store(this.words, this.block + Block.TlbiServed, posted);
    for (const cpu of this.task.spec.activeCpus) {
      const state = Atomics.load(this.words, blockOf(this.bell.layout, cpu) + Block.State);
      if (state === State.Barrier) this.bell.ring(cpu);
    }
  }

  protected interruptDue(): boolean {
    if (!this.interruptsEnabled) return false;
    return Atomics.load(this.words, this.block + Block.Pending) > 0;
  }

  #takeInterrupt(): void {
    if (!this.interruptDue()) return;
    for (let vector = 0; vector < VECTORS; vector++) {
      const word = this.block + Block.Vectors + vector;
      if (Atomics.load(this.words, word) === 0) continue;
      Atomics.sub(this.words, word, 1);
      Atomics.sub(this.words, this.block + Block.Pending, 1);
      const handler = this.#handlers.get(vector);
      assert(handler !== undefined, `cpu ${this.id} has no handler for interrupt ${vector}`);
      const saved = [this.hi, this.lo, this.ok, this.ret] as const;
      this.setState(State.Running);
      this.interruptsEnabled = false;
      this.#stack.push({ program: handler(this.self), saved });
      return;
    }
    assert(false, `cpu ${this.id} has a pending interrupt without a vector`);
  }

  #returnFromInterrupt(saved: readonly [number, number, boolean, number]): void {
    [this.hi, this.lo, this.ok, this.ret] = saved;
    this.interruptsEnabled = true;
    this.idleInterrupted = true;
    if (Atomics.sub(this.words, Global.InFlight, 1) === 1) this.ringEverybody();
  }

  protected setState(state: number): void {
    Atomics.store(this.words, this.block + Block.State, state);
  }

  // ---- never refuse ---------------------------------------------------------------------------

  nodeOfCpu(id: number): number {
    return this.task.spec.machine.nodeOfCpu[id]!;
  }

  perCpuHi(id: number): number {
    return this.task.spec.perCpuHi[id]!;
  }

  perCpuLo(id: number): number {
    return this.task.spec.perCpuLo[id]!;
  }

  setInterrupt(vector: number, handler: Handler): void {
    if (vector < 0 || vector >= VECTORS) throw new BugError(`interrupt vector ${vector}`);
    this.#handlers.set(vector, handler);
  }

  interrupts(enabled: boolean): boolean {
    const previous = this.interruptsEnabled;
    this.interruptsEnabled = enabled;
    return previous;
  }

  /** Costs and think times are of the emulated machine: here the real one takes its own time. */
  spend(): void {}

  spendMany(): void {}

  compute(): void {}

  deadline(afterPs: number): number {
    return performance.now() * PS_PER_MS + afterPs;
  }

  expired(deadline: number): boolean {
    return performance.now() * PS_PER_MS >= deadline;
  }

  begin(metric: number): void {
    const starts = this.#open.get(metric);
    if (starts === undefined) this.#open.set(metric, [performance.now()]);
    else starts.push(performance.now());
  }

  end(metric: number): void {
    const start = this.#open.get(metric)?.pop();
    assert(start !== undefined, `end of metric ${metric} without begin on cpu ${this.id}`);
    const elapsedNs = (performance.now() - start) * NS_PER_MS;
    const summary = (this.#metrics[metric] ??= { count: 0, sumNs: 0, maximumNs: 0 });
    summary.count++;
    summary.sumNs += elapsedNs;
    summary.maximumNs = Math.max(summary.maximumNs, elapsedNs);
  }

  cancel(metric: number): void {
    const start = this.#open.get(metric)?.pop();
    assert(start !== undefined, `cancel of metric ${metric} without begin on cpu ${this.id}`);
  }

  count(counter: number, amount: number): void {
    this.#counters[counter]! += amount;
  }

  mark(): void {
    this.#marks++;
  }

  /** Checkers use ghost words inside the protected region here (ER-H6), not an event log. */
  event(): void {}

  phase(): void {}

  random(stream: number): number {
    return this.#streams[stream]!.uint32();
  }
}
