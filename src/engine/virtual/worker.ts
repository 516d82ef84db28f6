/**
 * One worker of a run: its CPUs, the homes and DVM agents of its nodes, and the roads between them
 * (roads.ts). It builds them and runs one window; when windows run is decided in run-worker.ts.
 */

import { earliestError, placeError } from '../../base/errors.ts';
import { DomainAgent } from '../../cache/domain-agent.ts';
import { EventQueue } from '../../cache/event-queue.ts';
import { Home } from '../../cache/home.ts';
import type { Cpu, Program } from '../../cpu/cpu.ts';
import { lineOf, nodeOf } from '../../memory/physical-address.ts';
import { PhysicalMemory } from '../../memory/physical-memory.ts';
import { Counter } from '../../metrics/definition.ts';
import { Recorder } from '../../metrics/recorder.ts';
import { DvmAgent } from '../../translation/dvm-agent.ts';
import { NextTimes } from './next-times.ts';
import { OrderWitness } from './order-witness.ts';
import { Roads } from './roads.ts';
import { Shuffle } from './shuffle.ts';
import type { EngineSpec } from './spec.ts';
import { VirtualCpu } from './virtual-cpu.ts';

/** A lone CPU may run this many windows in one go. */
const SOLO_WINDOWS = 1024;

export class Worker {
  readonly index: number;
  readonly spec: EngineSpec;
  readonly recorder: Recorder;
  readonly roads: Roads;
  readonly homes: Home[] = [];
  readonly agents: DvmAgent[] = [];
  readonly domainAgents: DomainAgent[] = [];
  windows = 0;
  /** Of the programs that threw, the first in emulated time (ER-B5). */
  failure: Error | null = null;
  /** In order of slot, never shuffled. */
  readonly #cpuBySlot: VirtualCpu[] = [];
  /** By slot of the CPU; NEVER beyond the last. */
  readonly #nextTimes: NextTimes;
  readonly #grid: number;
  readonly #shuffle: Shuffle | null;
  /** Earliest message of each home and agent of this worker. */
  readonly #queuesPs: Float64Array;
  #queueCount = 0;
  /** The CPU that was alone in the last window, or -1: it may be alone for longer. */
  #loneSlot = -1;

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
    this.roads = new Roads(spec, index);
    this.#shuffle = spec.debug.shuffle === 0 ? null : new Shuffle(spec.debug.shuffle + index);
    const owned = spec.activeCpus.filter((cpu) => spec.workerOfCpu[cpu] === index);
    this.#nextTimes = new NextTimes(owned.length);
    const domainCount = this.roads.domains.domains?.count ?? 0;
    this.#queuesPs = new Float64Array(2 * machine.nodeCount + domainCount);
    this.#buildNodes();
    this.#buildDomains();
    this.#buildCpus();
  }

  /** CPUs of this worker, in order of number unless shuffled. */
  get cpus(): VirtualCpu[] {
    return this.roads.cpus;
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
      const { domains } = this.roads;
      const home = new Home(node, machine, spec.seed, this.roads, this.#makeQueue(), domains);
      home.lines.nameLines(symbolLines(spec, node), spec.symbols.length);
      this.roads.addHome(home);
      this.homes.push(home);
      if (!activeNodes.includes(node)) continue;
      const queue = this.#makeQueue();
      const agent = new DvmAgent(node, machine, spec.seed, activeNodes, this.roads, queue);
      this.roads.addAgent(agent);
      this.agents.push(agent);
    }
  }

  #buildDomains(): void {
    const { spec } = this;
    const { domains } = this.roads.domains;
    for (let domain = 0; domain < (domains?.count ?? 0); domain++) {
      if (spec.workerOfNode[domains!.nodeOf[domain]!] !== this.index) continue;
      const port = this.roads.domains;
      const queue = this.#makeQueue();
      const agent = new DomainAgent(domain, domains!, spec.machine, spec.seed, port, queue);
      this.roads.domains.add(agent);
      this.domainAgents.push(agent);
    }
  }

  /** A queue that keeps its earliest time where earliest() finds all of them side by side. */
  #makeQueue(): EventQueue {
    return new EventQueue(this.#queuesPs, this.#queueCount++);
  }

  #buildCpus(): void {
    const { spec } = this;
    const { machine } = spec;
    const nodes = new Set(spec.activeCpus.map((cpu) => machine.nodeOfCpu[cpu]!));
    const environment = {
      spec,
      machine,
      memory: new PhysicalMemory(spec.memory),
      fabric: this.roads,
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
      this.#cpuBySlot.push(cpu);
      this.roads.addCpu(cpu);
    }
  }

  start(makeProgram: (cpu: Cpu) => Program | null): void {
    for (const cpu of this.cpus) cpu.start(makeProgram(cpu));
  }

  // ---- windows --------------------------------------------------------------------------------

  /** Earliest pending time of this worker: the one list of all sources of events (ER-T10). */
  earliest(): number {
    return Math.min(this.#nextTimes.earliest(), this.#earliestBesideCpus());
  }

  #earliestBesideCpus(): number {
    let first = this.roads.earliestEffectPs();
    const queues = this.#queuesPs;
    for (let queue = 0; queue < this.#queueCount; queue++) {
      if (queues[queue]! < first) first = queues[queue]!;
    }
    return first;
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
    this.roads.window = window;
    const end = (window + 1) * this.#grid;
    this.roads.applyEffects(window);
    const next = this.#nextTimes;
    if (this.#shuffle !== null) {
      this.#runShuffled(this.#shuffle, end);
      return end;
    }
    const lone = this.#loneSlot;
    if (lone >= 0 && horizonPs > end && next.times[lone]! < end) {
      const others = Math.min(next.earliestBeside(lone), this.#earliestBesideCpus(), horizonPs);
      if (others >= end) return this.#runAlone(this.#cpuBySlot[lone]!, end, others);
    }
    let last = -1;
    let ran = 0;
    for (let slot = next.dueFrom(0, end); slot >= 0; slot = next.dueFrom(slot + 1, end)) {
      this.#runCpu(this.#cpuBySlot[slot]!, end);
      last = slot;
      ran++;
    }
    this.#loneSlot = ran === 1 ? last : -1;
    return end;
  }

  /** Debug: the CPUs of a window in any order. */
  #runShuffled(shuffle: Shuffle, end: number): void {
    const { cpus } = this;
    shuffle.apply(cpus);
    for (const cpu of cpus) {
      if (cpu.nextPs < end) this.#runCpu(cpu, end);
    }
  }

  /** A program that throws ends the run later: others may yet throw earlier in emulated time. */
  #runCpu(cpu: VirtualCpu, end: number): void {
    try {
      cpu.run(end);
    } catch (error) {
      const failure = placeError(error, { atPs: cpu.clock, cpu: cpu.id });
      const failures = this.failure === null ? [failure] : [this.failure, failure];
      this.failure = earliestError(failures) ?? failure;
      cpu.fail();
    }
  }

  /**
   * One CPU alone has something to do: it runs on until anything else can act (ER-T13), or until a
   * message of its own ends the window (endWindowBy).
   */
  #runAlone(cpu: VirtualCpu, end: number, others: number): number {
    const grid = this.#grid;
    const farthest = Math.min(Math.floor(others / grid) * grid, end + SOLO_WINDOWS * grid);
    this.roads.solo = cpu;
    this.#runCpu(cpu, farthest);
    this.roads.solo = null;
    return cpu.windowEnd;
  }

  /** The home phase: homes and agents serve what is due. */
  runHomes(end: number): void {
    this.roads.window = Math.round(end / this.#grid);
    this.#shuffle?.apply(this.homes);
    for (let i = 0; i < this.homes.length; i++) {
      const home = this.homes[i]!;
      if (home.queue.earliest() < end) home.serve(end);
    }
    for (let i = 0; i < this.agents.length; i++) {
      const agent = this.agents[i]!;
      if (agent.queue.earliest() < end) agent.serve(end);
    }
    for (let i = 0; i < this.domainAgents.length; i++) {
      const agent = this.domainAgents[i]!;
      if (agent.queue.earliest() < end) agent.serve(end);
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
