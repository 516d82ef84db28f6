/**
 * Bandwidth between every pair of nodes, and latency under load: Intel MLC's --bandwidth_matrix
 * and --loaded_latency. For each (reader node, memory node) all CPUs of the reader node stream
 * through lines of their own. Then one CPU chases pointers while more and more CPUs of its node
 * load the memory it reads from.
 *
 * Deviation: an emulated CPU has one miss in flight and no prefetcher, so a few readers are bound
 * by latency (64 bytes per round trip); whole-page zeroing or copying keeps a channel busy with
 * few CPUs, and is what the loaders do unless told otherwise.
 */

import { UserError } from '../src/base/errors.ts';
import { GIB, LINE_BYTES, MIB, threeDigits } from '../src/base/units.ts';
import type { Cpu, Program } from '../src/cpu/cpu.ts';
import { Order } from '../src/cpu/operations.ts';
import type { BootMemory } from '../src/memory/boot.ts';
import { type Address, toLinear } from '../src/memory/physical-address.ts';
import { Metric } from '../src/metrics/definition.ts';
import { BARRIER_BYTES, barrier } from './common/barrier.ts';
import { FullCycle } from './common/full-cycle.ts';
import { textTable } from './common/text-table.ts';
import type { UserSpace } from './common/user-space.ts';
import { createUserSpace, enterUserSpace, mapUserPages } from './common/user-space.ts';
import { isUnset, nodesWithMemory, numberOf, textOf } from './common/values.ts';
import type { Image, ReportLine, RunFacts, Workload, WorkloadContext } from './workload.ts';

const PAGE = 4096;
const HUGE_SHIFT = 21;
const HUGE = 2 ** HUGE_SHIFT;
const STREAM_ORDER = 0;
const PHASE_WAIT = 0;
/** What the probe chases through, and a loader loads: beyond every private cache. */
const STRETCH_BYTES = 64 * MIB;
const ACCESSES = ['read', 'zero', 'copy'] as const;
type Access = (typeof ACCESSES)[number];

interface Plan {
  readonly readers: readonly number[];
  readonly memories: readonly number[];
  readonly bytesPerCpu: number;
  /** Numbers of loaders beside the probe. */
  readonly loads: readonly number[];
}

interface BandwidthImage {
  readonly spaces: readonly UserSpace[];
  readonly barrier: Address;
  /** Number of loaded steps that the probe has finished. */
  readonly done: Address;
}

function planOf(context: WorkloadContext): Plan {
  const { machine, placement, parameters } = context;
  const memories = nodesWithMemory(machine);
  const readers = [...new Set(placement.cpus.map((cpu) => machine.nodeOfCpu[cpu]!))].sort(
    (a, b) => a - b,
  );
  const lines = 600_000 / (placement.cpus.length * memories.length);
  const automatic = Math.min(4096, Math.max(256, 2 ** Math.floor(Math.log2(lines)))) * LINE_BYTES;
  const bytesPerCpu = isUnset(parameters, 'bytesPerCpu')
    ? automatic
    : numberOf(parameters, 'bytesPerCpu');
  if (bytesPerCpu % PAGE !== 0) {
    throw new UserError(`bytesPerCpu: ${bytesPerCpu} is not a multiple of 4K`);
  }
  return { readers, memories, bytesPerCpu, loads: loaderCounts(context, readers[0]!) };
}

/** 0, 1, 2, 4, ... and all CPUs of the probe's node but the probe. */
function loaderCounts(context: WorkloadContext, node: number): number[] {
  if (numberOf(context.parameters, 'probeAccesses') === 0) return [];
  const { machine, placement } = context;
  const others = placement.cpus.filter((cpu) => machine.nodeOfCpu[cpu] === node).length - 1;
  const counts = [0];
  for (let count = 1; count < others; count *= 2) counts.push(count);
  if (others > 0) counts.push(others);
  return counts;
}

function matrixPhase(plan: Plan, reader: number, memory: number): number {
  return 1 + reader * plan.memories.length + memory;
}

function loadedPhase(plan: Plan, step: number): number {
  return 1 + plan.readers.length * plan.memories.length + step;
}

function regionHi(node: number): number {
  return node << 6;
}

/** Every CPU has a stretch of its own on every node, at the same virtual address per node. */
function boot(memory: BootMemory, context: WorkloadContext): Image {
  const plan = planOf(context);
  const { machine, placement } = context;
  const stretch = Math.ceil(Math.max(plan.bytesPerCpu, STRETCH_BYTES) / HUGE) * HUGE;
  const spaces = placement.cpus.map((cpu) => {
    const space = createUserSpace(memory, machine.nodeOfCpu[cpu]!);
    for (const node of plan.memories) {
      const physical = memory.allocateUnbacked(node, stretch, HUGE);
      mapUserPages(memory, space, { hi: regionHi(node), lo: 0 }, physical, stretch, HUGE_SHIFT);
    }
    return space;
  });
  const first = machine.nodeOfCpu[placement.cpus[0]!]!;
  return {
    spaces,
    barrier: toLinear(memory.allocateNamed('barrier', first, BARRIER_BYTES, BARRIER_BYTES)),
    done: toLinear(memory.allocateNamed('probe done', first, LINE_BYTES)),
  } satisfies BandwidthImage;
}

/** Reads, zeroes or copies [start, start + bytes) of a stretch. */
function* pass(cpu: Cpu, access: Access, hi: number, start: number, bytes: number): Program {
  if (access === 'read') {
    for (let lo = start; lo < start + bytes; lo += LINE_BYTES) {
      cpu.begin(Metric.MemoryRead);
      while (!cpu.load64(hi, lo, Order.Relaxed)) yield;
      cpu.end(Metric.MemoryRead);
      cpu.mark();
    }
    return;
  }
  for (let lo = start; lo < start + bytes; lo += PAGE) {
    if (access === 'zero') while (!cpu.zeroPage(hi, lo, PAGE)) yield;
    else while (!cpu.copyPage(hi, lo, hi, lo ^ PAGE, PAGE)) yield;
    for (let line = 0; line < PAGE; line += LINE_BYTES) cpu.mark();
  }
}

/** Loads the memory page by page until the probe has finished this step. */
function* load(cpu: Cpu, image: BandwidthImage, access: Access, hi: number, step: number): Program {
  for (let lo = 0; ; lo = (lo + PAGE) % STRETCH_BYTES) {
    while (!cpu.load32(image.done.hi, image.done.lo, Order.Relaxed)) yield;
    if (cpu.lo !== step) return;
    yield* pass(cpu, access, hi, lo, PAGE);
  }
}

function* probe(cpu: Cpu, image: BandwidthImage, context: WorkloadContext, node: number): Program {
  const cycle = new FullCycle(STRETCH_BYTES / LINE_BYTES, cpu.random(STREAM_ORDER));
  const loads = numberOf(context.parameters, 'probeAccesses');
  const baseHi = regionHi(node);
  for (let i = 0; i < loads; i++) {
    const lo = cycle.next() << 6;
    cpu.begin(Metric.MemoryRead);
    while (!cpu.load64(baseHi, lo, Order.Relaxed)) yield;
    cpu.end(Metric.MemoryRead);
    cpu.mark();
  }
  while (!cpu.add32(image.done.hi, image.done.lo, 1, Order.Release)) yield;
}

function* runner(cpu: Cpu, image: BandwidthImage, context: WorkloadContext): Program {
  const plan = planOf(context);
  const { machine, placement, parameters } = context;
  const role = placement.cpus.indexOf(cpu.id);
  const all = placement.cpus.length;
  yield* enterUserSpace(cpu, image.spaces[role]!);
  for (let reader = 0; reader < plan.readers.length; reader++) {
    for (let memory = 0; memory < plan.memories.length; memory++) {
      yield barrier(cpu, image.barrier.hi, image.barrier.lo, all);
      if (cpu.node === plan.readers[reader]) {
        cpu.phase(matrixPhase(plan, reader, memory));
        const hi = regionHi(plan.memories[memory]!);
        yield pass(cpu, textOf(parameters, 'access') as Access, hi, 0, plan.bytesPerCpu);
        cpu.phase(PHASE_WAIT);
      }
    }
  }
  const peers = placement.cpus.filter((id) => machine.nodeOfCpu[id] === plan.readers[0]);
  const rank = peers.indexOf(cpu.id);
  const target = plan.memories[0]!;
  for (let step = 0; step < plan.loads.length; step++) {
    yield barrier(cpu, image.barrier.hi, image.barrier.lo, all);
    if (rank < 0 || rank > plan.loads[step]!) continue;
    cpu.phase(loadedPhase(plan, step));
    if (rank === 0) yield probe(cpu, image, context, target);
    else yield load(cpu, image, textOf(parameters, 'load') as Access, regionHi(target), step);
    cpu.phase(PHASE_WAIT);
  }
}

function report(facts: RunFacts, _image: Image, context: WorkloadContext): readonly ReportLine[] {
  const plan = planOf(context);
  const access = textOf(context.parameters, 'access');
  const perNode = plan.readers.map(
    (node) =>
      context.placement.cpus.filter((cpu) => context.machine.nodeOfCpu[cpu] === node).length,
  );
  const rows = plan.readers.map((node, reader) => ({
    name: `node${node} (${perNode[reader]} CPUs)`,
    cells: plan.memories.map((_, memory) => gigabytesPerSecond(facts, plan, reader, memory)),
  }));
  const columns = plan.memories.map((node) => `node${node}`);
  const lines = [
    `Bandwidth in GB/s (10^9 bytes), ${access}, one miss in flight per CPU; ` +
      'rows: CPUs, columns: memory',
    ...textTable('', columns, rows),
  ];
  if (plan.loads.length === 0) return lines.map((text) => ({ text }));
  const loaded = plan.loads.map((count, step) => loadedRow(facts, plan, count, step));
  const load = textOf(context.parameters, 'load');
  lines.push(
    `Loaded latency: one chase on node${plan.readers[0]}, memory of node${plan.memories[0]}, ` +
      `others ${load} pages`,
    ...textTable('loaders', ['latency ns', 'p99 ns', 'GB/s'], loaded),
  );
  return lines.map((text) => ({ text }));
}

function gigabytesPerSecond(facts: RunFacts, plan: Plan, reader: number, memory: number) {
  const phase = facts.phases[matrixPhase(plan, reader, memory)] ?? null;
  if (phase === null) return null;
  return (phase.operations * LINE_BYTES) / (phase.endNs - phase.startNs);
}

function loadedRow(facts: RunFacts, plan: Plan, count: number, step: number) {
  const index = loadedPhase(plan, step);
  const phase = facts.phases[index] ?? null;
  const latency = facts.latency(Metric.MemoryRead, null, index);
  if (phase === null || latency === null) return { name: `${count}`, cells: [null, null, null] };
  const rate = (phase.operations * LINE_BYTES) / (phase.endNs - phase.startNs);
  return {
    name: `${count}`,
    cells: [latency.meanNs, threeDigits(latency.p99Ns), rate],
  };
}

export const memoryBandwidth: Workload = {
  name: 'memory_bandwidth',
  description: 'node x node bandwidth matrix, and latency while other CPUs load the memory',
  source: 'Intel MLC --bandwidth_matrix and --loaded_latency',
  parameters: [
    {
      name: 'bytesPerCpu',
      alias: 'b',
      kind: 'size',
      default: '',
      minimum: PAGE,
      maximum: GIB,
      description: 'bytes that each CPU streams per pair of nodes; unset: 16K-256K by machine',
    },
    {
      name: 'access',
      kind: 'choice',
      values: ACCESSES,
      default: 'read',
      description: 'what the matrix measures: loads line by line, or whole pages zeroed or copied',
    },
    {
      name: 'load',
      kind: 'choice',
      values: ACCESSES,
      default: 'copy',
      description: 'what the loaders of the loaded latency do',
    },
    {
      name: 'probeAccesses',
      kind: 'count',
      default: '1000',
      minimum: 0,
      maximum: 10_000_000,
      description: 'loads of the probe per number of loaders; 0: no loaded latency',
    },
  ],
  kernelOptions: [],
  seedMoves: ['the order in which the probe reads under load', 'ties of requests at the homes'],
  phases: (context) => {
    const plan = planOf(context);
    const access = textOf(context.parameters, 'access');
    return [
      { name: 'wait', warmUp: true },
      ...plan.readers.flatMap((reader) =>
        plan.memories.map((memory) => ({ name: `${access}-node${reader}-node${memory}` })),
      ),
      ...plan.loads.map((count) => ({ name: `loaded-${count}` })),
    ];
  },
  streams: ['order'],
  defaultMachine: 'graviton4_2p',
  defaultCpus: (machine) => machine.cpuCount,
  helperCpus: () => 0,
  runsOnX86: true,
  minimumCpus: 1,
  backedBytes: (context) => MIB + context.placement.cpus.length * 8 * PAGE,
  operations: (context) => {
    const plan = planOf(context);
    const lines = plan.bytesPerCpu / LINE_BYTES;
    const probes = plan.loads.length * numberOf(context.parameters, 'probeAccesses');
    return context.placement.cpus.length * plan.memories.length * lines + probes;
  },
  boot,
  program: (cpu, image, context) =>
    context.placement.cpus.includes(cpu.id) ? runner(cpu, image as BandwidthImage, context) : null,
  report,
};
