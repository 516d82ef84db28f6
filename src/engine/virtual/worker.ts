/**
 * One worker of a run: its CPUs, the homes and DVM agents of its nodes, and the roads between them.
 * What stays inside the worker is a method call; what leaves it is a message with its own time.
 *
 * This class moves things and runs one window; when windows run is decided in run-worker.ts.
 */

import { assert } from '../../base/assert.ts';
import { Home } from '../../cache/home.ts';
import type { HomePort, Source } from '../../cache/line-service.ts';
import type { LossKind, RequestKind } from '../../cache/line-state.ts';
import type { Cpu, Program } from '../../cpu/cpu.ts';
import { lineOf, nodeOf } from '../../memory/physical-address.ts';
import { PhysicalMemory } from '../../memory/physical-memory.ts';
import { Counter } from '../../metrics/definition.ts';
import { Recorder } from '../../metrics/recorder.ts';
import { DvmAgent, type DvmPort } from '../../translation/dvm-agent.ts';
import { Calendar } from './calendar.ts';
import { NEVER } from './cpu-state.ts';
import type { Fabric } from './fabric.ts';
import { MessageKind, Outbox } from './mailbox.ts';
import { OrderWitness } from './order-witness.ts';
import { Shuffle } from './shuffle.ts';
import type { EngineSpec } from './spec.ts';
import { VirtualCpu } from './virtual-cpu.ts';

/** A lone CPU may run this many windows in one go. */
const SOLO_WINDOWS = 1024;

export class Worker implements Fabric, HomePort, DvmPort {
  readonly index: number;
  readonly spec: EngineSpec;
  readonly recorder: Recorder;
  readonly outbox: Outbox;
  /** CPUs of this worker, in order of number. */
  readonly cpus: VirtualCpu[] = [];
  readonly homes: Home[] = [];
  readonly agents: DvmAgent[] = [];
  windows = 0;
  marks = 0;
  lastProgressPs = 0;
  /** In order of slot, never shuffled. */
  readonly #cpuBySlot: VirtualCpu[] = [];
  readonly #cpuById: (VirtualCpu | null)[];
  readonly #homeByNode: (Home | null)[];
  readonly #agentByNode: (DvmAgent | null)[];
  /** By slot of the CPU; NEVER beyond the last. */
  readonly #nextTimes: Float64Array;
  readonly #losses = new Calendar();
  readonly #dvms = new Calendar();
  readonly #grid: number;
  readonly #shuffle: Shuffle | null;
  /** Workers that have CPUs of a node, this one left out. */
  readonly #otherWorkersOfNode: number[][];
  #window = 0;
  /** Of the last earliest(): the CPU that is first, and when anything else is due. */
  #firstSlot = -1;
  #othersPs = 0;
  #solo: VirtualCpu | null = null;

  constructor(spec: EngineSpec, index: number) {
    const { machine } = spec;
    this.spec = spec;
    this.index = index;
    this.#grid = machine.gridPs;
    this.recorder = new Recorder({
      metrics: spec.metricCount,
      nodes: machine.nodeCount,
      phases: Math.max(1, spec.phaseCount),
    });
    this.outbox = new Outbox(spec.buffers.outboxes[index]!, machine.cpuCount);
    this.#shuffle = spec.debug.shuffle === 0 ? null : new Shuffle(spec.debug.shuffle + index);
    this.#cpuById = new Array(machine.cpuCount).fill(null);
    this.#homeByNode = new Array(machine.nodeCount).fill(null);
    this.#agentByNode = new Array(machine.nodeCount).fill(null);
    this.#otherWorkersOfNode = Array.from({ length: machine.nodeCount }, (_, node) => {
      const workers = spec.activeCpus
        .filter((cpu) => machine.nodeOfCpu[cpu] === node)
        .map((cpu) => spec.workerOfCpu[cpu]!);
      return [...new Set(workers)].filter((worker) => worker !== index).sort((a, b) => a - b);
    });
    const owned = spec.activeCpus.filter((cpu) => spec.workerOfCpu[cpu] === index);
    this.#nextTimes = new Float64Array(owned.length);
    this.#buildNodes();
    this.#buildCpus();
  }

  /** Data accesses performed so far by all CPUs of this worker. */
  accesses(): number {
    let sum = 0;
    for (const { counters } of this.cpus) {
      sum += counters[Counter.L1Hits]! + counters[Counter.L2Hits]! + counters[Counter.Misses]!;
    }
    return sum;
  }

  #buildNodes(): void {
    const { spec } = this;
    const { machine } = spec;
    const activeNodes = [...new Set(spec.activeCpus.map((cpu) => machine.nodeOfCpu[cpu]!))];
    activeNodes.sort((a, b) => a - b);
    for (let node = 0; node < machine.nodeCount; node++) {
      if (spec.workerOfNode[node] !== this.index) continue;
      const home = new Home(node, machine, spec.seed, this);
      home.lines.nameLines(symbolLines(spec, node), spec.symbols.length);
      this.#homeByNode[node] = home;
      this.homes.push(home);
      if (!activeNodes.includes(node)) continue;
      const agent = new DvmAgent(node, machine, spec.seed, activeNodes, this);
      this.#agentByNode[node] = agent;
      this.agents.push(agent);
    }
  }

  #buildCpus(): void {
    const { spec } = this;
    const { machine } = spec;
    const nodes = new Set(spec.activeCpus.map((cpu) => machine.nodeOfCpu[cpu]!));
    const environment = {
      spec,
      machine,
      memory: new PhysicalMemory(spec.memory),
      fabric: this,
      recorder: this.recorder,
      nextTimes: this.#nextTimes,
      witness: witnessOf(spec),
      tableMarks: spec.debug.translations
        ? spec.buffers.tableMarks.map((buffer) => new Uint8Array(buffer))
        : null,
    };
    for (const id of spec.activeCpus) {
      if (spec.workerOfCpu[id] !== this.index) continue;
      const cpu = new VirtualCpu(id, this.cpus.length, environment, nodes.size);
      this.#cpuById[id] = cpu;
      this.#cpuBySlot.push(cpu);
      this.cpus.push(cpu);
    }
  }

  start(makeProgram: (cpu: Cpu) => Program | null): void {
    for (const cpu of this.cpus) cpu.start(makeProgram(cpu));
  }

  // ---- windows --------------------------------------------------------------------------------

  /**
   * Earliest pending time of this worker: the one list of all sources of events (ER-T10). Notes on
   * the way which CPU is first and when anything else is due, for runs of a lone CPU.
   */
  earliest(): number {
    let first = NEVER;
    let others = NEVER;
    let slot = -1;
    const next = this.#nextTimes;
    for (let i = 0; i < next.length; i++) {
      const due = next[i]!;
      if (due >= others) continue;
      if (due < first) {
        others = first;
        first = due;
        slot = i;
      } else {
        others = due;
      }
    }
    for (const home of this.homes) others = Math.min(others, home.queue.earliest());
    for (const agent of this.agents) others = Math.min(others, agent.queue.earliest());
    if (this.#losses.count > 0) {
      others = Math.min(others, this.#losses.earliest(this.#window) * this.#grid);
    }
    if (this.#dvms.count > 0) {
      others = Math.min(others, this.#dvms.earliest(this.#window) * this.#grid);
    }
    this.#firstSlot = slot;
    this.#othersPs = others;
    return Math.min(first, others);
  }

  /** Runs window `window`; may run on to `horizonPs` when a single CPU has anything to do. */
  runWindow(window: number, horizonPs: number): void {
    const end = this.runCpus(window, horizonPs);
    this.runHomes(end);
  }

  /**
   * The CPU phase: boundary effects, then every CPU up to the boundary. Returns the window's end.
   */
  runCpus(window: number, horizonPs: number): number {
    this.windows++;
    this.#window = window;
    const end = (window + 1) * this.#grid;
    if (this.#applyEffects(window) && horizonPs > end) this.earliest();
    const next = this.#nextTimes;
    const first = this.#firstSlot;
    if (horizonPs > end && this.#othersPs >= end && first >= 0 && next[first]! < end) {
      return this.#runAlone(this.#cpuBySlot[first]!, end, horizonPs);
    }
    const { cpus } = this;
    this.#shuffle?.apply(cpus);
    const bySlot = this.#shuffle === null ? this.#cpuBySlot : cpus;
    for (let i = 0; i < bySlot.length; i++) {
      // In order of slot `next` tells at once who sleeps; a shuffled order asks the CPU.
      if (bySlot !== cpus && next[i]! >= end) continue;
      const cpu = bySlot[i]!;
      if (cpu.nextPs < end) cpu.run(end);
    }
    return end;
  }

  /**
   * One CPU alone has something to do: it runs on until anything else can act (ER-T13), or until a
   * message of its own ends the window (endWindowBy).
   */
  #runAlone(cpu: VirtualCpu, end: number, horizonPs: number): number {
    const others = Math.min(this.#othersPs, horizonPs);
    const grid = this.#grid;
    const farthest = Math.min(Math.floor(others / grid) * grid, end + SOLO_WINDOWS * grid);
    this.#solo = cpu;
    cpu.run(farthest);
    this.#solo = null;
    return cpu.windowEnd;
  }

  /** A message leaves a CPU at its clock: a lengthened window ends with the grid step of it. */
  #messageSent(): void {
    const solo = this.#solo;
    if (solo === null) return;
    solo.endWindowBy((Math.floor(solo.clock / this.#grid) + 1) * this.#grid);
  }

  /** The home phase: homes and agents serve what is due. */
  runHomes(end: number): void {
    this.#window = Math.round(end / this.#grid);
    this.#shuffle?.apply(this.homes);
    for (const home of this.homes) home.serve(end);
    for (const agent of this.agents) agent.serve(end);
  }

  /** True if there were any. */
  #applyEffects(window: number): boolean {
    const effectPs = window * this.#grid;
    const dvms = this.#dvms;
    const before = dvms.count + this.#losses.count;
    let entry = dvms.count === 0 ? -1 : dvms.take(window);
    while (entry >= 0) {
      const next = dvms.next(entry);
      this.#applyDvm(entry, effectPs);
      dvms.release(entry);
      entry = next;
    }
    const losses = this.#losses;
    entry = losses.count === 0 ? -1 : losses.take(window);
    while (entry >= 0) {
      const next = losses.next(entry);
      const cpu = this.#cpuById[losses.cpu[entry]!]!;
      const kind = losses.a[entry]! as LossKind;
      cpu.lose(effectPs, losses.hi[entry]!, losses.lo[entry]!, kind, losses.time[entry]!);
      losses.release(entry);
      entry = next;
    }
    return dvms.count + losses.count !== before;
  }

  #applyDvm(entry: number, effectPs: number): void {
    const dvms = this.#dvms;
    const node = dvms.time[entry]!;
    for (const cpu of this.cpus) {
      if (cpu.node !== node || cpu.id === dvms.cpu[entry]) continue;
      cpu.dvmArrives(
        effectPs,
        dvms.cpu[entry]!,
        dvms.a[entry]!,
        dvms.b[entry]!,
        dvms.hi[entry]!,
        dvms.lo[entry]!,
        dvms.c[entry]!,
      );
    }
  }

  // ---- Fabric: from CPUs ----------------------------------------------------------------------

  request(
    cpu: number,
    node: number,
    arrivalPs: number,
    paHi: number,
    paLo: number,
    kind: RequestKind,
    hadCopy: boolean,
    bytes: number,
  ): void {
    this.#messageSent();
    const home = this.#homeByNode[node];
    if (home != null) {
      home.request(cpu, arrivalPs, paHi, paLo, kind, hadCopy, bytes);
      return;
    }
    const worker = this.spec.workerOfNode[node];
    assert(worker !== undefined, `address of node ${node}, which the machine does not have`);
    const had = hadCopy ? 1 : 0;
    this.outbox.send(
      worker,
      MessageKind.Request,
      arrivalPs,
      node,
      cpu,
      paHi,
      paLo,
      kind,
      had,
      bytes,
    );
  }

  writeBack(
    cpu: number,
    node: number,
    arrivalPs: number,
    paHi: number,
    paLo: number,
    dirty: boolean,
  ): void {
    this.#messageSent();
    const home = this.#homeByNode[node];
    if (home != null) {
      home.writeBack(cpu, arrivalPs, paHi, paLo, dirty);
      return;
    }
    const worker = this.spec.workerOfNode[node]!;
    this.outbox.send(
      worker,
      MessageKind.WriteBack,
      arrivalPs,
      node,
      cpu,
      paHi,
      paLo,
      dirty ? 1 : 0,
      0,
      0,
    );
  }

  dvm(
    cpu: number,
    node: number,
    atPs: number,
    operation: number,
    context: number,
    hi: number,
    lo: number,
    pages: number,
  ): void {
    this.#messageSent();
    const agent = this.#agentByNode[node];
    if (agent != null) {
      agent.issue(cpu, atPs, operation, context, hi, lo, pages);
      return;
    }
    const worker = this.spec.workerOfNode[node]!;
    this.outbox.send(
      worker,
      MessageKind.DvmIssue,
      atPs,
      node,
      cpu,
      hi,
      lo,
      operation,
      context,
      pages,
    );
  }

  interrupt(target: number, arrivalPs: number, vector: number): void {
    this.#messageSent();
    const cpu = this.#cpuById[target];
    if (cpu != null) cpu.interruptArrives(arrivalPs, vector);
    else this.#sendToCpu(target, MessageKind.Interrupt, arrivalPs, 0, 0, vector, 0, 0);
  }

  wake(target: number, arrivalPs: number): void {
    this.#messageSent();
    const cpu = this.#cpuById[target];
    if (cpu != null) cpu.wakeArrives(arrivalPs);
    else this.#sendToCpu(target, MessageKind.Wake, arrivalPs, 0, 0, 0, 0, 0);
  }

  progress(timePs: number): void {
    this.marks++;
    if (timePs > this.lastProgressPs) this.lastProgressPs = timePs;
  }

  #sendToCpu(
    cpu: number,
    kind: MessageKind,
    timePs: number,
    hi: number,
    lo: number,
    a: number,
    b: number,
    c: number,
  ): void {
    const worker = this.spec.workerOfCpu[cpu];
    assert(
      worker !== undefined && this.spec.activeCpus.includes(cpu),
      `message to CPU ${cpu}, which takes no part in this run`,
    );
    this.outbox.send(worker, kind, timePs, cpu, cpu, hi, lo, a, b, c);
  }

  // ---- HomePort -------------------------------------------------------------------------------

  grant(cpu: number, timePs: number, state: number, source: Source, fromNode: number): void {
    const local = this.#cpuById[cpu];
    if (local != null) local.granted(timePs, state, source, fromNode);
    else this.#sendToCpu(cpu, MessageKind.Grant, timePs, 0, 0, state, source, fromNode);
  }

  lose(
    cpu: number,
    effectPs: number,
    paHi: number,
    paLo: number,
    kind: LossKind,
    wakePs: number,
  ): void {
    if (this.#cpuById[cpu] == null) {
      this.#sendToCpu(cpu, MessageKind.Loss, effectPs, paHi, paLo, kind, 0, wakePs);
      return;
    }
    const losses = this.#losses;
    const window = Math.round(effectPs / this.#grid);
    assert(window >= this.#window, 'a loss in the past');
    const entry = losses.add(window);
    losses.cpu[entry] = cpu;
    losses.hi[entry] = paHi;
    losses.lo[entry] = paLo;
    losses.a[entry] = kind;
    losses.time[entry] = wakePs;
  }

  // ---- DvmPort --------------------------------------------------------------------------------

  forward(
    node: number,
    atPs: number,
    issuer: number,
    operation: number,
    context: number,
    hi: number,
    lo: number,
    pages: number,
  ): void {
    const agent = this.#agentByNode[node];
    if (agent != null) {
      agent.receive(issuer, atPs, operation, context, hi, lo, pages);
      return;
    }
    const worker = this.spec.workerOfNode[node]!;
    this.outbox.send(
      worker,
      MessageKind.DvmForward,
      atPs,
      node,
      issuer,
      hi,
      lo,
      operation,
      context,
      pages,
    );
  }

  apply(
    node: number,
    effectPs: number,
    issuer: number,
    operation: number,
    context: number,
    hi: number,
    lo: number,
    pages: number,
  ): void {
    this.#addDvm(node, effectPs, issuer, operation, context, hi, lo, pages);
    for (const worker of this.#otherWorkersOfNode[node]!) {
      this.outbox.send(
        worker,
        MessageKind.DvmApply,
        effectPs,
        node,
        issuer,
        hi,
        lo,
        operation,
        context,
        pages,
      );
    }
  }

  #addDvm(
    node: number,
    effectPs: number,
    issuer: number,
    operation: number,
    context: number,
    hi: number,
    lo: number,
    pages: number,
  ): void {
    const dvms = this.#dvms;
    const window = Math.round(effectPs / this.#grid);
    assert(window >= this.#window, 'a DVM operation in the past');
    const entry = dvms.add(window);
    dvms.cpu[entry] = issuer;
    dvms.hi[entry] = hi;
    dvms.lo[entry] = lo;
    dvms.a[entry] = operation;
    dvms.b[entry] = context;
    dvms.c[entry] = pages;
    dvms.time[entry] = node;
  }

  acknowledge(issuer: number, atPs: number): void {
    const cpu = this.#cpuById[issuer];
    if (cpu != null) cpu.acknowledged(atPs);
    else this.#sendToCpu(issuer, MessageKind.DvmAck, atPs, 0, 0, 0, 0, 0);
  }

  // ---- messages of other workers --------------------------------------------------------------

  /** Delivers one message read from another worker's outbox. */
  deliver(w: Float64Array, at: number): void {
    const time = w[at + 2]!;
    const target = w[at + 3]!;
    const cpu = w[at + 4]!;
    const hi = w[at + 5]!;
    const lo = w[at + 6]!;
    const a = w[at + 7]!;
    const b = w[at + 8]!;
    const c = w[at + 9]!;
    switch (w[at + 1]) {
      case MessageKind.Request:
        this.#homeByNode[target]!.request(cpu, time, hi, lo, a as RequestKind, b === 1, c);
        break;
      case MessageKind.WriteBack:
        this.#homeByNode[target]!.writeBack(cpu, time, hi, lo, a === 1);
        break;
      case MessageKind.Grant:
        this.#cpuById[target]!.granted(time, a, b, c);
        break;
      case MessageKind.Loss:
        this.lose(target, time, hi, lo, a as LossKind, c);
        break;
      case MessageKind.DvmIssue:
        this.#agentByNode[target]!.issue(cpu, time, a, b, hi, lo, c);
        break;
      case MessageKind.DvmForward:
        this.#agentByNode[target]!.receive(cpu, time, a, b, hi, lo, c);
        break;
      case MessageKind.DvmApply:
        this.#addDvm(target, time, cpu, a, b, hi, lo, c);
        break;
      case MessageKind.DvmAck:
        this.#cpuById[target]!.acknowledged(time);
        break;
      case MessageKind.Interrupt:
        this.#cpuById[target]!.interruptArrives(time, a);
        break;
      default:
        this.#cpuById[target]!.wakeArrives(time);
    }
  }
}

/** For each backed line of a node: symbol index + 1, 0 = no name. */
function symbolLines(spec: EngineSpec, node: number): Int16Array {
  const table = new Int16Array(spec.memory.backedBytes / 64);
  spec.symbols.forEach((symbol, index) => {
    if (nodeOf(symbol.address.hi) !== node) return;
    const first = lineOf(symbol.address.hi, symbol.address.lo);
    const last = lineOf(symbol.address.hi, symbol.address.lo + symbol.bytes - 1);
    for (let line = first; line <= last; line++) {
      if (table[line] === 0) table[line] = index + 1;
    }
  });
  return table;
}

/** Checkers see accesses through the witness; alone, they need one that remembers nothing. */
function witnessOf(spec: EngineSpec): OrderWitness | null {
  if (spec.debug.witness) return new OrderWitness(spec.buffers.witness);
  return spec.debug.translations ? new OrderWitness([]) : null;
}
