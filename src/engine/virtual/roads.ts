/**
 * The roads of one worker: how requests, grants, losses, DVM operations and interrupts get from a
 * CPU to a home or an agent and back. What stays inside the worker is a method call; what leaves
 * it is a message with its own time. Effects that take place on a window boundary wait in
 * calendars.
 */

import { assert } from '../../base/assert.ts';
import type { Home } from '../../cache/home.ts';
import type { HomePort, Source } from '../../cache/line-service.ts';
import type { LossKind, RequestKind } from '../../cache/line-state.ts';
import type { DvmAgent, DvmPort } from '../../translation/dvm-agent.ts';
import { Calendar } from './calendar.ts';
import { DomainRoads } from './domain-roads.ts';
import type { Fabric } from './fabric.ts';
import { MessageKind, type Post } from './mailbox.ts';
import type { EngineSpec } from './spec.ts';
import type { VirtualCpu } from './virtual-cpu.ts';

const NO_POST: Post = {
  send: (worker, kind) => assert(false, `a message of kind ${kind} to worker ${worker}`),
};

export class Roads implements Fabric, HomePort, DvmPort {
  readonly spec: EngineSpec;
  readonly domains: DomainRoads;
  /** For what leaves the worker; alone, it has none. */
  outbox: Post;
  /** CPUs of this worker, in order of number unless shuffled. */
  readonly cpus: VirtualCpu[] = [];
  marks = 0;
  lastProgressPs = 0;
  /** The window being run, or the one after it while homes serve: no effect may be before it. */
  window = 0;
  /** The CPU that runs alone in a lengthened window. */
  solo: VirtualCpu | null = null;
  readonly #cpuById: (VirtualCpu | null)[];
  readonly #homeByNode: (Home | null)[];
  readonly #agentByNode: (DvmAgent | null)[];
  readonly #losses = new Calendar();
  readonly #dvms = new Calendar();
  readonly #grid: number;
  /** Workers that have CPUs of a node, this one left out. */
  readonly #otherWorkersOfNode: number[][];

  constructor(spec: EngineSpec, index: number) {
    const { machine } = spec;
    this.spec = spec;
    this.domains = new DomainRoads(this);
    this.#grid = machine.gridPs;
    this.outbox = NO_POST;
    this.#cpuById = new Array(machine.cpuCount).fill(null);
    this.#homeByNode = new Array(machine.nodeCount).fill(null);
    this.#agentByNode = new Array(machine.nodeCount).fill(null);
    this.#otherWorkersOfNode = Array.from({ length: machine.nodeCount }, (_, node) => {
      const workers = spec.activeCpus
        .filter((cpu) => machine.nodeOfCpu[cpu] === node)
        .map((cpu) => spec.workerOfCpu[cpu]!);
      return [...new Set(workers)].filter((worker) => worker !== index).sort((a, b) => a - b);
    });
  }

  addCpu(cpu: VirtualCpu): void {
    this.#cpuById[cpu.id] = cpu;
    this.cpus.push(cpu);
  }

  addHome(home: Home): void {
    this.#homeByNode[home.node] = home;
  }

  addAgent(agent: DvmAgent): void {
    this.#agentByNode[agent.node] = agent;
  }

  /** When the earliest effect that waits in a calendar is due. */
  earliestEffectPs(): number {
    return Math.min(this.#losses.first, this.#dvms.first) * this.#grid;
  }

  /** Applies the effects of a window's boundary, before any CPU runs. True if there were any. */
  applyEffects(window: number): boolean {
    const effectPs = window * this.#grid;
    const dvms = this.#dvms;
    const losses = this.#losses;
    if (dvms.first > window && losses.first > window) return false;
    let entry = dvms.first > window ? -1 : dvms.take(window);
    while (entry >= 0) {
      const next = dvms.next(entry);
      this.#applyDvm(entry, effectPs);
      dvms.release(entry);
      entry = next;
    }
    entry = losses.first > window ? -1 : losses.take(window);
    while (entry >= 0) {
      const next = losses.next(entry);
      const cpu = this.#cpuById[losses.cpu[entry]!]!;
      const kind = losses.a[entry]! as LossKind;
      cpu.lose(effectPs, losses.hi[entry]!, losses.lo[entry]!, kind, losses.time[entry]!);
      losses.release(entry);
      entry = next;
    }
    return true;
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

  /** A message leaves a CPU at its clock: a lengthened window ends with the grid step of it. */
  messageSent(): void {
    if (this.solo !== null) this.#endSoloWindow(this.solo);
  }

  #endSoloWindow(solo: VirtualCpu): void {
    const end = (this.window + 1) * this.#grid;
    const { clock } = solo;
    solo.endWindowBy(clock < end ? end : (Math.floor(clock / this.#grid) + 1) * this.#grid);
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
    this.messageSent();
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
    this.messageSent();
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
    this.messageSent();
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
    this.messageSent();
    const cpu = this.#cpuById[target];
    if (cpu != null) cpu.interruptArrives(arrivalPs, vector);
    else this.#sendToCpu(target, MessageKind.Interrupt, arrivalPs, 0, 0, vector, 0, 0);
  }

  wake(target: number, arrivalPs: number): void {
    this.messageSent();
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
    assert(window >= this.window, 'a loss in the past');
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
    this.addDvm(node, effectPs, issuer, operation, context, hi, lo, pages);
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

  addDvm(
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
    assert(window >= this.window, 'a DVM operation in the past');
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

  // ---- who is here, for messages of other workers (deliver.ts) ---------------------------------

  cpu(id: number): VirtualCpu {
    return this.#cpuById[id]!;
  }

  home(node: number): Home {
    return this.#homeByNode[node]!;
  }

  agent(node: number): DvmAgent {
    return this.#agentByNode[node]!;
  }
}
