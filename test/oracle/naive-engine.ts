/**
 * The naive engine: one heap of events in emulated time, one event per step of a CPU or a home, no
 * windows, no mailboxes, no threads. Written apart from src/engine/virtual and src/cache, after the
 * rules in src/engine/virtual/README.md: an error in the logic of windows, meetings or messages,
 * which all numbers of worker threads share, shows as a difference from this one (ER-G4).
 */

import { assert } from '../../src/base/assert.ts';
import type { Cpu, Program } from '../../src/cpu/cpu.ts';
import type { EngineSpec } from '../../src/engine/virtual/spec.ts';
import type { Machine } from '../../src/machine/machine.ts';
import { EventHeap, When } from './event-heap.ts';
import { NaiveCpu } from './naive-cpu.ts';
import { type DomainListener, domainsOf, NaiveDomain, type NaiveDomains } from './naive-domain.ts';
import { type DvmListener, type DvmOperation, NaiveDvmAgent } from './naive-dvm.ts';
import { NaiveHome } from './naive-home.ts';
import type { Recorded } from './naive-measures.ts';
import type { Grant, HomeListener, Request } from './naive-messages.ts';

export interface NaiveOutcome {
  readonly cpus: readonly {
    readonly id: number;
    readonly clockPs: number;
    readonly counters: readonly number[];
    readonly grantHash: number;
    readonly state: string;
  }[];
  readonly recorded: readonly Recorded[];
  /** Every 32-bit word that was written, by physical address. */
  readonly memory: ReadonlyMap<number, number>;
}

/** A run that goes on for so many events is taken for an endless one. */
const EVENTS_MAX = 50_000_000;

export class NaiveRun implements HomeListener, DomainListener, DvmListener {
  readonly machine: Machine;
  readonly seed: number;
  readonly heap = new EventHeap();
  readonly homes: NaiveHome[];
  readonly activeNodes: number[];
  readonly backedBytes: number;
  readonly counterCount: number;
  readonly streams: readonly string[];
  readonly perCpuHi: readonly number[];
  readonly perCpuLo: readonly number[];
  readonly kernelRoots: readonly number[];
  readonly userRoots: readonly number[];
  readonly ipaBits: number;
  now = 0;
  readonly #domains: NaiveDomains | null;
  readonly #domainAgents: NaiveDomain[];
  readonly #memory = new Map<number, number>();
  readonly #zones: readonly Int32Array[];
  readonly #cpus = new Map<number, NaiveCpu>();
  readonly #agents = new Map<number, NaiveDvmAgent>();

  /** The memory of `spec` is read as the start state and never written. */
  constructor(spec: EngineSpec) {
    const { machine, seed, translation } = spec;
    this.machine = machine;
    this.seed = seed;
    this.backedBytes = spec.memory.backedBytes;
    this.counterCount = spec.counterCount;
    this.streams = spec.streams;
    this.perCpuHi = spec.perCpuHi;
    this.perCpuLo = spec.perCpuLo;
    const physical = ({ hi, lo }: { hi: number; lo: number }) => hi * 2 ** 32 + (lo >>> 0);
    this.kernelRoots = translation.kernelRoots.map(physical);
    this.userRoots = translation.userRoots.map(physical);
    this.ipaBits = translation.ipaBits;
    assert(translation.hostGranuleShift === 12, 'the naive engine knows 4 KiB granules');
    this.#zones = spec.memory.zones.map((zone) => new Int32Array(zone.slice(0)));
    this.homes = Array.from(
      { length: machine.nodeCount },
      (_, node) => new NaiveHome(node, machine, seed, this.heap, this),
    );
    this.#domains = domainsOf(machine);
    this.#domainAgents = (this.#domains?.nodeOf ?? []).map(
      (_, domain) => new NaiveDomain(domain, machine, seed, this.heap, this),
    );
    const nodes = new Set(spec.activeCpus.map((cpu) => machine.nodeOfCpu[cpu]!));
    this.activeNodes = [...nodes].sort((a, b) => a - b);
    for (const node of this.activeNodes) {
      const agent = new NaiveDvmAgent(node, machine, seed, this.activeNodes, this.heap, this);
      this.#agents.set(node, agent);
    }
    for (const id of spec.activeCpus) this.#cpus.set(id, new NaiveCpu(id, this));
  }

  execute(makeProgram: (cpu: Cpu) => Program | null): NaiveOutcome {
    for (const cpu of this.#cpus.values()) cpu.start(makeProgram(cpu));
    for (let count = 0; ; count++) {
      const event = this.heap.pop();
      if (event === undefined) break;
      assert(event.time >= this.now, 'time runs backwards');
      assert(count < EVENTS_MAX, 'the naive engine runs without an end');
      this.now = event.time;
      event.act();
    }
    const cpus = [...this.#cpus.values()].sort((a, b) => a.id - b.id);
    return {
      cpus: cpus.map((cpu) => ({
        id: cpu.id,
        clockPs: cpu.clock,
        counters: cpu.counters,
        grantHash: cpu.grantHash,
        state: cpu.state,
      })),
      recorded: cpus.flatMap((cpu) => cpu.recorded),
      memory: this.#memory,
    };
  }

  cpu(id: number): NaiveCpu {
    const cpu = this.#cpus.get(id);
    assert(cpu !== undefined, `CPU ${id} takes no part`);
    return cpu;
  }

  cpus(): Iterable<NaiveCpu> {
    return this.#cpus.values();
  }

  // ---- memory with contents -------------------------------------------------------------------

  peek(pa: number): number {
    const offset = pa % 2 ** 38;
    if (offset >= this.backedBytes) return 0;
    return this.#memory.get(pa) ?? this.#zones[Math.floor(pa / 2 ** 38)]![offset / 4]!;
  }

  poke(pa: number, value: number): void {
    if (pa % 2 ** 38 < this.backedBytes) this.#memory.set(pa, value | 0);
  }

  // ---- from homes -----------------------------------------------------------------------------

  granted(cpu: number, grant: Grant): void {
    this.cpu(cpu).granted(grant);
  }

  loses(
    cpu: number,
    effect: number,
    line: number,
    kind: 'downgrade' | 'invalidate',
    wake: number,
  ): void {
    const loser = this.cpu(cpu);
    this.heap.push(effect, [When.Loss], () => loser.loses(line, kind, wake));
  }

  // ---- last-level domains ---------------------------------------------------------------------

  /** The agent that a CPU asks for lines of a home, if any. */
  domainOf(cpu: number, home: number): NaiveDomain | null {
    if (this.#domains === null || this.machine.nodeOfCpu[cpu] === home) return null;
    return this.#domainAgents[this.#domains.ofCpu[cpu]!]!;
  }

  domainGets(cpu: number, time: number, line: number): void {
    this.#domainAgents[this.#domains!.ofCpu[cpu]!]!.gets(time, line);
  }

  domainLoses(domain: number, time: number, line: number, except: number): void {
    this.#domainAgents[domain]!.loses(time, line, except);
  }

  toHome(time: number, request: Request): void {
    this.homes[Math.floor(request.line / 2 ** 38)]!.request(time, request);
  }

  leaves(time: number, domain: number, line: number): void {
    this.homes[Math.floor(line / 2 ** 38)]!.domainLeaves(time, domain, line);
  }

  // ---- DVM ------------------------------------------------------------------------------------

  dvm(time: number, operation: DvmOperation): void {
    const node = this.machine.nodeOfCpu[operation.issuer]!;
    this.#agents.get(node)!.arrive(time, operation, true);
  }

  forward(node: number, time: number, operation: DvmOperation): void {
    this.#agents.get(node)!.arrive(time, operation, false);
  }

  apply(node: number, effect: number, operation: DvmOperation): void {
    this.heap.push(effect, [When.DvmEffect], () => {
      for (const cpu of this.#cpus.values()) {
        if (cpu.node === node && cpu.id !== operation.issuer) cpu.dvmArrives(effect, operation);
      }
    });
  }

  acknowledge(issuer: number, time: number): void {
    const cpu = this.cpu(issuer);
    // Known now, counts from `time`: the CPU compares with its own clock.
    cpu.acknowledged(time);
  }
}
