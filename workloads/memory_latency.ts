/**
 * Latency of dependent loads over growing working sets, in local and remote memory: what lmbench's
 * lat_mem_rd, multichase and the idle-latency part of Intel MLC measure. One CPU follows a random
 * cyclic order over the lines of the set, one load in flight.
 *
 * Each set is first walked until caches and TLB are as they stay (the warm-up): a whole cycle where
 * the set is small enough to be kept by some cache, the pages of the set where it isn't.
 * Deviation: the order comes from a full-cycle generator, not from pointers in the lines, because
 * most emulated memory has no bytes. Prefetchers and memory-level parallelism are not modelled, so
 * this is the latency of a pure chase.
 */

import { formatBytes, GIB, KIB, LINE_BYTES, MIB } from '../src/base/units.ts';
import type { Cpu, Program } from '../src/cpu/cpu.ts';
import { Order } from '../src/cpu/operations.ts';
import type { Machine } from '../src/machine/machine.ts';
import type { BootMemory } from '../src/memory/boot.ts';
import { Metric } from '../src/metrics/definition.ts';
import { FullCycle } from './common/full-cycle.ts';
import { textTable } from './common/text-table.ts';
import {
  createUserSpace,
  enterUserSpace,
  mapUserPages,
  PAGE_SIZES,
  type PageSize,
  pageBytesOf,
  pageShiftOf,
  tableBytes,
  type UserSpace,
} from './common/user-space.ts';
import {
  isUnset,
  nodesWithMemory,
  numberOf,
  parseMemoryNodes,
  parseSizes,
  textOf,
} from './common/values.ts';
import type { Image, ReportLine, RunFacts, Workload, WorkloadContext } from './workload.ts';

const STREAM_ORDER = 0;
const PHASE_WARM_UP = 0;

interface Plan {
  readonly sizes: readonly number[];
  readonly nodes: readonly number[];
  readonly pageShift: number;
  readonly pageBytes: number;
}

interface LatencyImage {
  readonly space: UserSpace;
}

function planOf(context: WorkloadContext): Plan {
  const { parameters, machine } = context;
  const sizes = isUnset(parameters, 'sizes')
    ? defaultSizes(context)
    : parseSizes('sizes', textOf(parameters, 'sizes'), LINE_BYTES, 128 * GIB);
  const pageSize = textOf(parameters, 'pageSize') as PageSize;
  return {
    sizes,
    nodes: parseMemoryNodes('nodes', textOf(parameters, 'nodes'), machine),
    pageShift: pageShiftOf(pageSize),
    pageBytes: pageBytesOf(pageSize),
  };
}

/**
 * 16K, 64K, 256K, ... Unless told, up to the first set beyond twice the caches, without the sets
 * that take long to warm up and tell nothing new: large ones that a large last level still holds.
 */
function defaultSizes(context: WorkloadContext): number[] {
  const { parameters, machine } = context;
  const automatic = isUnset(parameters, 'maximum');
  const caches = machine.l2.bytes + machine.llc.bytes;
  const enough = Math.max(256 * MIB, 2 * caches);
  const maximum = automatic ? 4 * enough - 1 : numberOf(parameters, 'maximum');
  const sizes: number[] = [];
  for (let size = Math.min(16 * KIB, maximum); size <= maximum; size *= 4) {
    if (!automatic || size <= 32 * MIB || beyondCaches(machine, size)) sizes.push(size);
  }
  return sizes;
}

function phaseIndex(plan: Plan, size: number, node: number): number {
  return 1 + node * plan.sizes.length + size;
}

/** Is the set so large that no line of it is still cached when its turn comes again? */
function beyondCaches(machine: Machine, size: number): boolean {
  return size > 1.25 * (machine.l2.bytes + machine.llc.bytes);
}

/** Loads before the measured ones: see the head of this file. */
function warmUpLoads(machine: Machine, plan: Plan, size: number): number {
  const lines = size / LINE_BYTES;
  if (!beyondCaches(machine, size)) return lines;
  const pages = Math.ceil(size / plan.pageBytes);
  return Math.min(lines, 3 * pages, 1 << 18);
}

/**
 * Bytes into the region at which each set starts. Small sets share its start; one beyond the caches
 * has memory of its own, or it would find lines that smaller sets left there.
 */
function offsetsOf(machine: Machine, plan: Plan): { offsets: number[]; bytes: number } {
  const whole = (size: number): number => Math.ceil(size / plan.pageBytes) * plan.pageBytes;
  const small = plan.sizes.filter((size) => !beyondCaches(machine, size));
  let bytes = small.length === 0 ? 0 : whole(small.at(-1)!);
  const offsets = plan.sizes.map((size) => {
    if (!beyondCaches(machine, size)) return 0;
    const start = bytes;
    bytes += whole(size);
    return start;
  });
  return { offsets, bytes };
}

/** Regions of nodes lie 256 GiB apart, as in physical memory. */
function regionHi(node: number): number {
  return node << 6;
}

function boot(memory: BootMemory, context: WorkloadContext): Image {
  const plan = planOf(context);
  const cpu = context.placement.cpus[0]!;
  const space = createUserSpace(memory, context.machine.nodeOfCpu[cpu]!);
  const { bytes } = offsetsOf(context.machine, plan);
  for (const node of plan.nodes) {
    const physical = memory.allocateUnbacked(node, bytes, plan.pageBytes);
    mapUserPages(memory, space, { hi: regionHi(node), lo: 0 }, physical, bytes, plan.pageShift);
  }
  return { space } satisfies LatencyImage;
}

/** `firstLine`: where the set starts, counted in lines from the start of the region. */
function* chase(
  cpu: Cpu,
  cycle: FullCycle,
  baseHi: number,
  firstLine: number,
  loads: number,
): Program {
  for (let i = 0; i < loads; i++) {
    const line = firstLine + cycle.next();
    const hi = baseHi + (line >>> 26);
    const lo = line << 6;
    cpu.begin(Metric.MemoryRead);
    while (!cpu.load64(hi, lo, Order.Relaxed)) yield;
    cpu.end(Metric.MemoryRead);
    cpu.mark();
  }
}

function* chaser(cpu: Cpu, image: LatencyImage, context: WorkloadContext): Program {
  const plan = planOf(context);
  const loads = numberOf(context.parameters, 'accesses');
  const { offsets } = offsetsOf(context.machine, plan);
  yield* enterUserSpace(cpu, image.space);
  for (let node = 0; node < plan.nodes.length; node++) {
    for (let size = 0; size < plan.sizes.length; size++) {
      const bytes = plan.sizes[size]!;
      const cycle = new FullCycle(bytes / LINE_BYTES, cpu.random(STREAM_ORDER));
      const baseHi = regionHi(plan.nodes[node]!);
      const firstLine = offsets[size]! / LINE_BYTES;
      cpu.phase(PHASE_WARM_UP);
      yield chase(cpu, cycle, baseHi, firstLine, warmUpLoads(context.machine, plan, bytes));
      cpu.phase(phaseIndex(plan, size, node));
      yield chase(cpu, cycle, baseHi, firstLine, loads);
    }
  }
}

function report(facts: RunFacts, _image: Image, context: WorkloadContext): readonly ReportLine[] {
  const plan = planOf(context);
  const cpu = context.placement.cpus[0]!;
  const own = context.machine.nodeOfCpu[cpu]!;
  const pages = textOf(context.parameters, 'pageSize');
  const rows = plan.sizes.map((size, index) => ({
    name: formatBytes(size),
    cells: plan.nodes.map(
      (_, node) =>
        facts.latency(Metric.MemoryRead, null, phaseIndex(plan, index, node))?.meanNs ?? null,
    ),
  }));
  const columns = plan.nodes.map((node) => `node${node}${node === own ? ' (local)' : ''}`);
  return [
    { text: `Latency of a dependent load in ns, CPU ${cpu} (node ${own}), ${pages} pages` },
    ...textTable('set', columns, rows).map((text) => ({ text })),
  ];
}

export const memoryLatency: Workload = {
  name: 'memory_latency',
  description: 'pointer chase over growing working sets, local and remote memory',
  source: "lmbench lat_mem_rd, multichase; Intel MLC's idle latency matrix",
  parameters: [
    {
      name: 'maximum',
      alias: 'b',
      kind: 'size',
      default: '',
      minimum: 4 * KIB,
      maximum: 128 * GIB,
      description: 'largest working set of 16K, 64K, 256K, ...; unset: beyond twice the caches',
    },
    {
      name: 'sizes',
      kind: 'text',
      default: '',
      description: 'working sets of your own instead, growing: 32K,1M,8M',
    },
    {
      name: 'nodes',
      kind: 'text',
      default: 'all',
      description: 'memory nodes to read from: all, or a list such as 0,1',
    },
    {
      name: 'pageSize',
      kind: 'choice',
      values: PAGE_SIZES,
      default: '2M',
      description: 'page size of the mapping',
    },
    {
      name: 'accesses',
      alias: 'n',
      kind: 'count',
      default: '20000',
      minimum: 1,
      maximum: 100_000_000,
      description: 'measured loads per working set and node, after the warm-up',
    },
  ],
  kernelOptions: [],
  seedMoves: ['the order in which the lines of each working set are read'],
  phases: (context) => {
    const plan = planOf(context);
    const measured = plan.nodes.flatMap((node) =>
      plan.sizes.map((size) => ({ name: `${formatBytes(size)}-node${node}` })),
    );
    return [{ name: 'warm-up', warmUp: true }, ...measured];
  },
  streams: ['order'],
  defaultMachine: 'graviton4_2p',
  defaultCpus: () => 1,
  helperCpus: () => 0,
  runsOnX86: true,
  minimumCpus: 1,
  backedBytes: (context) => {
    const plan = planOf(context);
    const regions = nodesWithMemory(context.machine).length;
    return MIB + regions * tableBytes(offsetsOf(context.machine, plan).bytes, plan.pageShift);
  },
  operations: (context) => {
    const { sizes, nodes } = planOf(context);
    return sizes.length * nodes.length * numberOf(context.parameters, 'accesses');
  },
  boot,
  program: (cpu, image, context) =>
    cpu.id === context.placement.cpus[0] ? chaser(cpu, image as LatencyImage, context) : null,
  report,
};
