/**
 * Decides when windows run. A worker that shares no node runs every window that ends before
 * anything from elsewhere can reach it (exchange.ts), and waits only when there is none; workers
 * that share nodes meet twice per window, between CPU and home phase.
 *
 * The result depends on emulated times alone: never on when workers hear of each other or how many
 * there are.
 */

import { availableParallelism } from 'node:os';
import { assert } from '../../base/assert.ts';
import { InterruptedError, placeOf } from '../../base/errors.ts';
import type { Cpu, Program } from '../../cpu/cpu.ts';
import { AbortedError, checkAbort, Published, raiseAbort } from './control.ts';
import { NEVER } from './cpu-state.ts';
import { deliver } from './deliver.ts';
import { Exchange } from './exchange.ts';
import { Outbox, readOutbox } from './mailbox.ts';
import { Meeting } from './meeting.ts';
import { Shuffle } from './shuffle.ts';
import type { CpuResult, Ending, EngineSpec, WorkerResult } from './spec.ts';
import { Worker } from './worker.ts';

/** Windows between two looks at the abort word. */
const ABORT_CHECK_WINDOWS = 256;

/**
 * Hears now and then how far a worker is, for displays and for choosing the number of workers:
 * latest progress, operations and memory accesses so far.
 */
export type Observer = (emulatedPs: number, marks: number, accesses: number) => void;

/** Wall clock that other CPUs get to reach the emulated time of a failure. */
const FAILURE_GRACE_MS = 500;

/** Looks at the clock between two calls of the observer. */
const SHOW_EVERY = 64;
const SHOW_INTERVAL_MS = 50;

/** Runs one worker to the end. Synchronous: call it inside a worker thread (or a test). */
export function runWorker(
  spec: EngineSpec,
  index: number,
  makeProgram: (cpu: Cpu) => Program | null,
  observe: Observer = () => {},
): WorkerResult {
  const run = new WorkerRun(spec, index, observe);
  try {
    return run.run(makeProgram);
  } catch (error) {
    // The failing thread itself raises the abort word, or the others would wait in the barrier.
    raiseAbort(spec.buffers.control);
    throw error instanceof InterruptedError ? error : (run.failure ?? error);
  }
}

class WorkerRun {
  readonly #spec: EngineSpec;
  readonly #worker: Worker;
  readonly #meeting: Meeting;
  readonly #control: Int32Array<SharedArrayBuffer>;
  readonly #published: Float64Array;
  readonly #outbox: Outbox;
  readonly #outboxes: Float64Array[];
  readonly #overflows: Float64Array[];
  readonly #deliver: (words: Float64Array, at: number) => void;
  readonly #observe: Observer;
  readonly #shuffle: Shuffle | null;
  /** In the order in which their messages are read. */
  readonly #everyWorker: number[];
  /** Emulated time of the first failure anywhere that this worker knows of. */
  #failurePs = NEVER;
  #failedAtMs = 0;
  #shown = 0;
  #shownAtMs = 0;
  #parity = 0;
  #meetings = 0;
  #progressPs = 0;
  /** The progress that #stopAtPs was computed from. */
  #stopOfProgressPs = -1;
  #stopAtPs = 0;
  #ending: Ending = { kind: 'finished' };

  constructor(spec: EngineSpec, index: number, observe: Observer) {
    this.#spec = spec;
    this.#observe = observe;
    this.#meeting = new Meeting(spec.buffers.control, spec.workerCount, availableParallelism());
    this.#control = new Int32Array(spec.buffers.control);
    this.#worker = new Worker(spec, index);
    this.#shuffle = spec.debug.shuffle === 0 ? null : new Shuffle(spec.debug.shuffle - 1 - index);
    this.#everyWorker = Array.from({ length: spec.workerCount }, (_, worker) => worker);
    this.#published = new Float64Array(spec.buffers.minima);
    const { outboxes, overflows } = spec.buffers;
    const own = overflows.slice(2 * index, 2 * index + 2);
    this.#outbox = new Outbox(outboxes[index]!, own, spec.machine.cpuCount);
    this.#outboxes = outboxes.map((buffer) => new Float64Array(buffer));
    this.#overflows = overflows.map((buffer) => new Float64Array(buffer));
    const { gridPs } = spec.machine;
    this.#deliver = (words, at) => {
      const { roads } = this.#worker;
      assert(words[at]! >= roads.window * gridPs, 'a message is read after its window');
      deliver(roads, words, at);
    };
  }

  get failure(): Error | null {
    return this.#worker.failure;
  }

  run(makeProgram: (cpu: Cpu) => Program | null): WorkerResult {
    this.#worker.start(makeProgram);
    if (this.#spec.workerCount === 1) this.#runAlone();
    else if (sharesNodes(this.#spec)) this.#runSplit();
    else this.#runApart();
    return this.#result();
  }

  /** All CPUs and homes in one worker: no meetings. */
  #runAlone(): void {
    const worker = this.#worker;
    const grid = this.#spec.machine.gridPs;
    for (let count = 0; ; count++) {
      if (count % ABORT_CHECK_WINDOWS === 0) this.#lookAround();
      const earliest = worker.earliest();
      this.#progressPs = worker.roads.lastProgressPs;
      this.#failurePs = this.#ownFailurePs();
      if (this.#ended(earliest)) return;
      worker.runWindow(Math.floor(earliest / grid), this.#stopPs());
    }
  }

  /** Whole nodes per worker: no meetings either, but nobody runs on into the unknown. */
  #runApart(): void {
    const worker = this.#worker;
    const grid = this.#spec.machine.gridPs;
    const hop = leastHopBetweenWorkers(this.#spec);
    const { buffers, workerCount } = this.#spec;
    const cores = availableParallelism();
    const { index } = worker;
    const exchange = new Exchange(buffers, workerCount, index, hop, cores, this.#deliver);
    worker.roads.outbox = exchange;
    for (let count = 0; ; ) {
      if (this.#shuffle?.coin()) {
        this.#shuffle.apply(exchange.readingOrder);
        exchange.look();
      }
      const own = worker.earliest();
      const failure = this.#ownFailurePs();
      exchange.publish(own, worker.roads.lastProgressPs, failure);
      this.#failurePs = Math.min(failure, exchange.failurePs);
      this.#progressPs = Math.max(exchange.progressPs, worker.roads.lastProgressPs);
      const unreceived = exchange.unreceivedPs();
      const elsewhere = Math.min(exchange.othersPs, unreceived);
      if (this.#failurePs !== NEVER) this.#endAfterFailure(Math.min(own, elsewhere));
      const window = Math.floor(own / grid);
      const end = (window + 1) * grid;
      const stop = this.#stopPs();
      const horizon = Math.min(elsewhere + hop, stop);
      if (end <= horizon) {
        if (count++ % ABORT_CHECK_WINDOWS === 0) checkAbort(this.#control);
        this.#show();
        worker.runWindow(window, horizon);
        continue;
      }
      if (exchange.look()) continue;
      this.#meetings = exchange.looks;
      if (this.#ended(Math.min(own, elsewhere))) return;
      // While others have yet to take a message of this worker, all that they report matters.
      exchange.wait(unreceived + hop < end ? 0 : Math.min(end - hop, stop));
    }
  }

  /** Nodes split over workers: a meeting before each CPU phase and one before each home phase. */
  #runSplit(): void {
    const worker = this.#worker;
    const grid = this.#spec.machine.gridPs;
    worker.roads.outbox = this.#outbox;
    this.#outbox.open(this.#parity);
    for (;;) {
      const earliest = this.#meet();
      if (this.#ended(earliest)) return;
      const window = Math.floor(earliest / grid);
      worker.runCpus(window, 0);
      this.#meet();
      worker.runHomes((window + 1) * grid);
    }
  }

  /** Publishes, waits for all, reads what the others sent. Returns the earliest time anywhere. */
  #meet(): number {
    const worker = this.#worker;
    const { machine } = this.#spec;
    const published = this.#published;
    const parity = this.#parity;
    const mine = worker.index * Published.Doubles + parity * Published.Parity;
    published[mine + Published.Earliest] = Math.min(worker.earliest(), this.#outbox.earliestPs);
    published[mine + Published.Progress] = worker.roads.lastProgressPs;
    published[mine + Published.Failure] = this.#ownFailurePs();
    if (this.#meetings++ % ABORT_CHECK_WINDOWS === 0) checkAbort(this.#control);
    this.#show();
    this.#outbox.close();
    this.#meeting.wait();
    let earliest = NEVER;
    this.#shuffle?.apply(this.#everyWorker);
    for (const other of this.#everyWorker) {
      const at = other * Published.Doubles + parity * Published.Parity;
      earliest = Math.min(earliest, published[at + Published.Earliest]!);
      this.#progressPs = Math.max(this.#progressPs, published[at + Published.Progress]!);
      this.#failurePs = Math.min(this.#failurePs, published[at + Published.Failure]!);
      if (other === worker.index) continue;
      const overflow = this.#overflows[2 * other + parity]!;
      const { cpuCount } = machine;
      readOutbox(this.#outboxes[other]!, overflow, parity, cpuCount, worker.index, this.#deliver);
    }
    this.#parity = 1 - parity;
    this.#outbox.open(this.#parity);
    return earliest;
  }

  #lookAround(): void {
    checkAbort(this.#control);
    this.#show();
  }

  /** Live progress: wall clock, never part of a result. */
  #show(): void {
    if (++this.#shown % SHOW_EVERY !== 0) return;
    const now = performance.now();
    if (now - this.#shownAtMs < SHOW_INTERVAL_MS) return;
    this.#shownAtMs = now;
    const worker = this.#worker;
    this.#observe(worker.roads.lastProgressPs, worker.roads.marks, worker.accesses());
  }

  /** No window that starts here or later runs unless an operation completes before. */
  #stopPs(): number {
    if (this.#stopOfProgressPs !== this.#progressPs) {
      const grid = this.#spec.machine.gridPs;
      this.#stopOfProgressPs = this.#progressPs;
      this.#stopAtPs =
        (Math.floor((this.#progressPs + this.#spec.progressLimitPs) / grid) + 1) * grid;
    }
    return this.#stopAtPs;
  }

  /** Of this worker; it throws when the others have had their time to get there. */
  #ownFailurePs(): number {
    const { failure } = this.#worker;
    if (failure === null) return NEVER;
    const now = performance.now();
    if (this.#failedAtMs === 0) this.#failedAtMs = now;
    if (now - this.#failedAtMs > FAILURE_GRACE_MS) throw failure;
    return placeOf(failure)!.atPs;
  }

  /**
   * Once every CPU has passed the first failure, none can come up that is earlier: all workers end
   * then, and the result is the same for any number of them (ER-B5).
   */
  #endAfterFailure(earliest: number): void {
    if (earliest <= this.#failurePs) return;
    throw this.#worker.failure ?? new AbortedError('another worker failed');
  }

  #ended(earliest: number): boolean {
    if (this.#failurePs !== NEVER) this.#endAfterFailure(earliest);
    if (earliest === NEVER) {
      const unfinished = this.#worker.cpus.some((cpu) => !cpu.done);
      if (unfinished)
        this.#ending = { kind: 'deadlock', atPs: this.#latestPs(), report: this.#report() };
      return true;
    }
    if (earliest < this.#stopPs()) return false;
    this.#ending = { kind: 'no-progress', atPs: this.#stopPs(), report: this.#report() };
    return true;
  }

  #latestPs(): number {
    return this.#worker.cpus.reduce((latest, cpu) => Math.max(latest, cpu.clock), 0);
  }

  #report(): string[] {
    return this.#worker.cpus
      .filter((cpu) => !cpu.done)
      .sort((a, b) => a.id - b.id)
      .map((cpu) => `CPU ${cpu.id} (node ${cpu.node}) at ${cpu.clock} ps: ${cpu.describe()}`);
  }

  #result(): WorkerResult {
    const worker = this.#worker;
    const cpus = [...worker.cpus].sort((a, b) => a.id - b.id);
    const homes = [...worker.homes].sort((a, b) => a.node - b.node);
    for (const cpu of cpus) cpu.closePhases();
    return {
      worker: worker.index,
      cpus: cpus.map(
        (cpu): CpuResult => ({
          id: cpu.id,
          clockPs: cpu.clock,
          counters: cpu.counters,
          grantHash: cpu.grantHash,
          phaseStartPs: cpu.phaseStartPs,
          phaseEndPs: cpu.phaseEndPs,
          phaseMarks: cpu.phaseMarks,
          costUses: cpu.costUses,
          state: cpu.describe(),
        }),
      ),
      histograms: worker.recorder.snapshot(),
      symbols: this.#spec.symbols.map((symbol, index) => ({
        name: symbol.name,
        local: homes.reduce((sum, home) => sum + (home.lines.traffic[2 * index] ?? 0), 0),
        remote: homes.reduce((sum, home) => sum + (home.lines.traffic[2 * index + 1] ?? 0), 0),
      })),
      ending: this.#ending,
      logs: cpus.flatMap(({ watch }) => (watch === null ? [] : [watch.log()])),
      windows: worker.windows,
      meetings: this.#meetings,
      transactions: homes.reduce((sum, home) => sum + home.lines.transactions, 0),
      ties: homes.reduce((sum, home) => sum + home.queue.ties, 0),
    };
  }
}

function sharesNodes(spec: EngineSpec): boolean {
  return spec.activeCpus.some(
    (cpu) => spec.workerOfCpu[cpu] !== spec.workerOfNode[spec.machine.nodeOfCpu[cpu]!],
  );
}

/** Least hop between nodes of different workers: the lookahead between meetings. */
function leastHopBetweenWorkers(spec: EngineSpec): number {
  const { machine } = spec;
  let least = NEVER;
  for (let a = 0; a < machine.nodeCount; a++) {
    for (let b = 0; b < machine.nodeCount; b++) {
      if (spec.workerOfNode[a] === spec.workerOfNode[b]) continue;
      least = Math.min(least, machine.hopPs[a * machine.nodeCount + b]!);
    }
  }
  assert(least >= machine.gridPs, 'workers share no node but are closer than a grid step');
  return least;
}
