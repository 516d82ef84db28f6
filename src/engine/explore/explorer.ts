/**
 * One target under control: its CPUs, its memory, and every agent's next step. Made once, run many
 * times: `begin` puts everything back to boot and runs each program to its first attempt, `take`
 * takes one step. Who decides is outside (run-schedule.ts, exhaustive search).
 *
 * Agents by number: programs 0 ... n-1, then n each of drains, DVM deliveries, interrupts, walkers.
 */

import { UserError } from '../../base/errors.ts';
import type { Cpu, Program } from '../../cpu/cpu.ts';
import { isBroadcast, Tlbi } from '../../cpu/operations.ts';
import type { Machine } from '../../machine/machine.ts';
import type { NamedMemory } from '../../memory/boot.ts';
import { type Address, toLinear } from '../../memory/physical-address.ts';
import type { PhysicalMemory } from '../../memory/physical-memory.ts';
import { type Execution, type MemoryModel, StepKind } from './execution.ts';
import { ExploreCpu } from './explore-cpu.ts';
import { ExploreMemory } from './explore-memory.ts';
import { LockHolders } from './lock-holders.ts';
import { type ExploreTranslation, USUAL_TRANSLATION } from './mmu.ts';
import type { Observer, TlbiOperation } from './observer.ts';
import { type ExploreFinding, ScheduleEnd } from './result.ts';
import type { Strategy } from './strategy.ts';
import { TextVersions } from './text-versions.ts';
import type { Tracer } from './tracer.ts';

/** A booted target. */
export interface ExploreSetup {
  readonly machine: Machine;
  /** As boot left it; copied, never written. */
  readonly memory: PhysicalMemory;
  readonly symbols: readonly NamedMemory[];
  /** Physical address of each CPU's own area, for all CPUs of the machine. */
  readonly perCpu: readonly Address[];
  /** CPUs 0 ... cpuCount-1 take part. */
  readonly cpuCount: number;
  readonly translation?: ExploreTranslation;
  program(cpu: Cpu): Program | null;
  /** After all programs have ended; reports by `fail`. */
  finish?(): void;
}

export interface ExplorerOptions {
  readonly model: MemoryModel;
  /** Of the programs' own random numbers (Cpu.random). */
  readonly seed: number;
  readonly stepLimit: number;
  readonly observer?: Observer | null;
}

export const CPUS_MAX = 64;

export class Explorer implements Execution {
  readonly setup: ExploreSetup;
  readonly machine: Machine;
  readonly model: MemoryModel;
  readonly seed: number;
  readonly stepLimit: number;
  readonly translation: ExploreTranslation;
  readonly linearTablesFrom: number;
  readonly memory: ExploreMemory;
  /** null: no text is declared; every fetch sees memory as it is. */
  readonly text: TextVersions | null;
  readonly cpus: readonly ExploreCpu[];
  readonly perCpuHi: readonly number[];
  readonly perCpuLo: readonly number[];
  readonly cpuCount: number;
  readonly agentCount: number;
  readonly kind: Uint8Array;
  readonly hi: Int32Array;
  readonly lo: Int32Array;
  readonly bytes: Uint8Array;
  readonly enabled: Int32Array;
  enabledCount = 0;
  stepCount = 0;
  /** Agents in the order of their steps; values chosen inside of steps. */
  readonly agents: Int32Array;
  readonly values: number[] = [];
  readonly holders = new LockHolders();
  /** Of all schedules; whoever wants it by schedule clears it. */
  readonly reached = new Set<string>();
  finding: ExploreFinding | null = null;
  /** Step of the last Cpu.mark or end of a program. */
  lastProgress = 0;
  /** CPUs whose program waits for a condition. */
  waiting = 0;
  /** The CPU whose program runs. */
  running = 0;
  observer: Observer | null;
  tracer: Tracer | null = null;
  readonly #isEnabled: Uint8Array;
  #changed = false;
  /** Agents from here on were never enabled in this schedule. */
  #agentsUsed = 0;
  readonly #deliveries: TlbiOperation[][];
  /** Some delivery was queued in this schedule. */
  #delivers = false;
  #chooser: Strategy | null = null;

  constructor(setup: ExploreSetup, options: ExplorerOptions) {
    const { machine, cpuCount } = setup;
    if (cpuCount < 1 || cpuCount > Math.min(machine.cpuCount, CPUS_MAX)) {
      throw new UserError(
        `${cpuCount} CPUs: the machine of this target has ${machine.cpuCount}, ` +
          `and the explore engine takes 1 to ${CPUS_MAX}`,
      );
    }
    this.setup = setup;
    this.machine = machine;
    this.model = options.model;
    this.seed = options.seed;
    this.stepLimit = options.stepLimit;
    this.observer = options.observer ?? null;
    this.translation = setup.translation ?? USUAL_TRANSLATION;
    this.linearTablesFrom = this.translation.linearTablesFrom ?? Number.POSITIVE_INFINITY;
    this.memory = new ExploreMemory(setup.memory);
    const linear = setup.perCpu.map(toLinear);
    this.perCpuHi = linear.map(({ hi }) => hi);
    this.perCpuLo = linear.map(({ lo }) => lo);
    this.cpuCount = cpuCount;
    this.text = TextVersions.of(this.memory, machine, setup.symbols, cpuCount);
    this.agentCount = cpuCount * 5;
    this.kind = new Uint8Array(this.agentCount);
    this.hi = new Int32Array(this.agentCount);
    this.lo = new Int32Array(this.agentCount);
    this.bytes = new Uint8Array(this.agentCount);
    this.enabled = new Int32Array(this.agentCount);
    this.#isEnabled = new Uint8Array(this.agentCount);
    this.agents = new Int32Array(options.stepLimit + 1);
    this.#deliveries = Array.from({ length: cpuCount }, () => []);
    this.cpus = Array.from({ length: cpuCount }, (_, id) => new ExploreCpu(this, id));
  }

  // ---- for schedulers -------------------------------------------------------------------------

  /** Everything as at boot, then each program runs to its first attempt. */
  begin(chooser: Strategy): void {
    this.#chooser = chooser;
    this.memory.restore();
    this.text?.begin();
    this.kind.fill(StepKind.None);
    this.#isEnabled.fill(0);
    this.#changed = true;
    this.#agentsUsed = 0;
    this.stepCount = this.lastProgress = 0;
    this.waiting = 0;
    if (this.values.length > 0) this.values.length = 0;
    this.holders.count = 0;
    this.finding = null;
    if (this.#delivers) for (const queue of this.#deliveries) queue.length = 0;
    this.#delivers = false;
    for (const cpu of this.cpus) cpu.reset();
    this.observer?.begin?.();
    this.tracer?.begin();
    for (const cpu of this.cpus) {
      this.running = cpu.id;
      cpu.start(this.setup.program(cpu));
    }
    this.#rebuild();
  }

  take(agent: number): void {
    const { cpuCount, memory } = this;
    this.agents[this.stepCount++] = agent;
    if (this.tracer !== null) this.tracer.step(agent);
    memory.writtenEnd = 0;
    if (agent < cpuCount) this.cpus[agent]!.grant();
    else this.#takeOther((agent / cpuCount) | 0, agent % cpuCount);
    if (memory.writtenEnd !== 0) {
      if (this.text !== null) this.text.written(memory.writtenFrom);
      if (this.waiting !== 0) this.#wakeWaiters();
    }
    if (this.#changed) this.#rebuild();
  }

  /** Have all programs returned? Drains and deliveries may be left. */
  get finished(): boolean {
    for (const cpu of this.cpus) if (!cpu.finished) return false;
    return true;
  }

  isEnabled(agent: number): boolean {
    return this.#isEnabled[agent] === 1;
  }

  /** Has this CPU's program an attempt that can't be performed yet? */
  isBlocked(cpu: number): boolean {
    return !this.cpus[cpu]!.finished && this.#isEnabled[cpu] === 0;
  }

  /** Does the CPU take interrupts? */
  interrupts(cpu: number): boolean {
    return this.cpus[cpu]!.interruptsEnabled;
  }

  /** A goal of the target is reached. */
  reach(goal: string): void {
    this.reached.add(goal);
  }

  /** Steps so far that are of another CPU than the one before. */
  get contextSwitches(): number {
    const { agents, cpuCount } = this;
    let count = 0;
    for (let i = 1; i < this.stepCount; i++) {
      if (agents[i]! % cpuCount !== agents[i - 1]! % cpuCount) count++;
    }
    return count;
  }

  /** Number of the newest content of a line of declared text (physical address); 0: as booted. */
  newestText(hi: number, lo: number): number {
    const word = this.memory.indexOf(hi, lo);
    return this.text?.holds(word) === true ? this.text.newest(word) : 0;
  }

  /** CPU that an agent belongs to. */
  cpuOf(agent: number): number {
    return agent % this.cpuCount;
  }

  // ---- for the CPUs ---------------------------------------------------------------------------

  setEnabled(agent: number, enabled: number): void {
    if (this.#isEnabled[agent] === enabled) return;
    this.#isEnabled[agent] = enabled;
    this.#changed = true;
    if (agent >= this.#agentsUsed) this.#agentsUsed = agent + 1;
  }

  #rebuild(): void {
    let count = 0;
    const flags = this.#isEnabled;
    for (let agent = 0; agent < this.#agentsUsed; agent++) {
      if (flags[agent] === 1) this.enabled[count++] = agent;
    }
    this.enabledCount = count;
    this.#changed = false;
  }

  #wakeWaiters(): void {
    const { writtenFrom, writtenEnd } = this.memory;
    for (let id = 0; id < this.cpuCount; id++) {
      const kind = this.kind[id];
      if (kind !== StepKind.Await && kind !== StepKind.Expire) continue;
      const cpu = this.cpus[id]!;
      if (cpu.word >= writtenFrom && cpu.word < writtenEnd) cpu.refresh();
    }
  }

  chooseValue(count: number): number {
    const value = this.#chooser!.chooseValue(count, this);
    this.values.push(value);
    this.tracer?.value(value);
    return value;
  }

  progress(): void {
    this.lastProgress = this.stepCount;
  }

  event(cpu: number, kind: number, hi: number, lo: number): void {
    this.holders.event(cpu, kind, hi, lo);
    if (this.observer !== null) this.observer.event?.(cpu, kind, hi, lo);
  }

  /** A rule is broken: the schedule ends here. */
  fail(finding: ExploreFinding): never {
    this.finding ??= finding;
    throw new ScheduleEnd(finding.text);
  }

  // ---- other agents ---------------------------------------------------------------------------

  #takeOther(block: number, id: number): void {
    const cpu = this.cpus[id]!;
    switch (block) {
      case 1:
        this.#drain(cpu);
        break;
      case 2:
        this.#deliver(cpu);
        break;
      case 3: {
        const vector = cpu.takeInterrupt();
        this.updateInterrupt(id);
        this.observer?.interrupt?.(id, vector);
        break;
      }
      default:
        cpu.stepWalk();
    }
  }

  #drain(cpu: ExploreCpu): void {
    const { buffer } = cpu;
    const { words } = this.memory;
    const word = buffer.oldestWord;
    const { oldestHi, oldestLo, oldestBytes } = buffer;
    const oldLo = words[word]!;
    const oldHi = oldestBytes === 8 ? words[word + 1]! : 0;
    buffer.drain(this.memory);
    this.updateDrain(cpu.id);
    this.observer?.wrote?.(cpu.id, oldestHi, oldestLo, oldestBytes, oldLo, oldHi);
    cpu.refresh();
  }

  /** The oldest store of the CPU's buffer is the drain agent's step. */
  updateDrain(id: number): void {
    const { buffer } = this.cpus[id]!;
    const agent = this.cpuCount + id;
    if (buffer.count === 0) {
      this.kind[agent] = StepKind.None;
      this.setEnabled(agent, 0);
      return;
    }
    this.kind[agent] = StepKind.Drain;
    this.hi[agent] = buffer.oldestHi;
    this.lo[agent] = buffer.oldestLo;
    this.bytes[agent] = buffer.oldestBytes;
    this.setEnabled(agent, 1);
  }

  walkerOf(id: number): number {
    return this.cpuCount * 4 + id;
  }

  /** To every CPU that has translated anything; to the others it makes no difference. */
  postTlbi(operation: TlbiOperation): void {
    this.observer?.tlbi?.(operation);
    const { issuer } = operation;
    const ofText = operation.operation === Tlbi.IcIalluIs || operation.operation === Tlbi.IcIvau;
    for (const cpu of this.cpus) {
      if (cpu.id !== issuer && !isBroadcast(operation.operation)) continue;
      if (ofText ? this.text !== null : cpu.translates) {
        this.#delivers = true;
        this.#deliveries[cpu.id]!.push(operation);
        this.cpus[issuer]!.owed++;
        this.#updateDelivery(cpu.id);
      } else {
        this.observer?.delivered?.(operation, cpu.id);
      }
    }
  }

  #updateDelivery(id: number): void {
    const agent = this.cpuCount * 2 + id;
    const first = this.#deliveries[id]![0];
    this.kind[agent] = first === undefined ? StepKind.None : StepKind.Deliver;
    this.hi[agent] = first?.hi ?? 0;
    this.lo[agent] = first?.lo ?? 0;
    this.setEnabled(agent, first === undefined ? 0 : 1);
  }

  /** The operation that a delivery agent brings next. */
  nextDelivery(id: number): TlbiOperation | undefined {
    return this.#deliveries[id]![0];
  }

  #deliver(cpu: ExploreCpu): void {
    const operation = this.#deliveries[cpu.id]!.shift()!;
    this.#updateDelivery(cpu.id);
    cpu.apply(operation);
    this.observer?.delivered?.(operation, cpu.id);
    const issuer = this.cpus[operation.issuer]!;
    issuer.owed--;
    issuer.refresh();
  }

  postInterrupt(target: number, vector: number): void {
    const cpu = this.cpus[target];
    if (cpu === undefined) {
      this.cpus[this.running]!.fault(`interrupts CPU ${target}, which takes no part`);
    }
    cpu!.vectors.push(vector);
    this.updateInterrupt(target);
    cpu!.refresh();
  }

  updateInterrupt(id: number): void {
    const cpu = this.cpus[id]!;
    const agent = this.cpuCount * 3 + id;
    const pending = cpu.vectors.length > 0;
    const due = pending ? cpu.dueVector() : -1;
    this.kind[agent] = pending ? StepKind.Interrupt : StepKind.None;
    this.lo[agent] = pending ? cpu.vectors[Math.max(due, 0)]! : 0;
    this.setEnabled(agent, due >= 0 ? 1 : 0);
  }

  postWake(target: number): void {
    const cpu = this.cpus[target];
    if (cpu === undefined) return;
    cpu.wakePending = true;
    cpu.refresh();
  }
}
