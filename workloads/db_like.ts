/**
 * Something like a database server: transactions that read a table at random and make system calls,
 * which execute kernel text and touch kernel data. The workload behind the published +6 to +17 % of
 * kernel text replication is not named (RFC 00/17, 2023-05-30: "database-centric like workloads"),
 * nor is its machine, so shares and placement are assumed here; the report says so.
 *
 * `data`: where the table is. local is the "userspace awareness of NUMA" of the same mail: each CPU
 * reads rows of its own node; interleave: rows of all nodes; first: all rows on the first node.
 */

import { LINE_BYTES, MIB, PS_PER_S } from '../src/base/units.ts';
import type { Cpu, Program } from '../src/cpu/cpu.ts';
import { Order } from '../src/cpu/operations.ts';
import { CodePath } from '../src/kernel/code/execute.ts';
import { hasHostStage2 } from '../src/kernel/text/image.ts';
import type { BootMemory } from '../src/memory/boot.ts';
import { type Address, addBytes, toLinear } from '../src/memory/physical-address.ts';
import { Metric } from '../src/metrics/definition.ts';
import {
  bootTextRun,
  fetchTable,
  hypLines,
  LARGE_TEXT,
  linesOf,
  memoryLine,
  nodesOf,
  TEXT_RUN_BYTES,
  TEXT_STREAMS,
  TextCpu,
  type TextRunImage,
  textCpus,
} from './common/kernel-text.ts';
import { textTable } from './common/text-table.ts';
import {
  createUserSpace,
  enterUserSpace,
  mapUserPages,
  type UserSpace,
} from './common/user-space.ts';
import { nodesWithMemory, numberOf, textOf } from './common/values.ts';
import type {
  BootedKernel,
  Image,
  ReportLine,
  RunFacts,
  Workload,
  WorkloadContext,
} from './workload.ts';

const PHASE_RUN = 1;
const PHASE_END = 2;
const STREAM_ROW = TEXT_STREAMS.length;
const STREAM_OBJECT = STREAM_ROW + 1;
/** The table in user space: a part per node with memory, side by side. */
const TABLE: Address = Object.freeze({ hi: 1, lo: 0 });
const PAGE_SHIFT = 21;
const PAGE_BYTES = 2 ** PAGE_SHIFT;
/** Kernel objects that all CPUs use: page cache folios, inodes. A line each. */
const OBJECTS = 256;

interface DbImage extends TextRunImage {
  /** By node. */
  readonly spaces: readonly UserSpace[];
  readonly objects: Address;
  /** Nodes that hold a part of the table, in order. */
  readonly parts: readonly number[];
  readonly partBytes: number;
}

function boot(memory: BootMemory, context: WorkloadContext, kernel: BootedKernel): Image {
  const { machine, parameters } = context;
  const all = nodesWithMemory(machine);
  const parts = textOf(parameters, 'data') === 'first' ? all.slice(0, 1) : all;
  const bytes = numberOf(parameters, 'tableSize') / parts.length;
  const partBytes = Math.max(1, Math.round(bytes / PAGE_BYTES)) * PAGE_BYTES;
  const frames = parts.map((node) => memory.allocateUnbacked(node, partBytes, PAGE_BYTES));
  const spaces = Array.from({ length: machine.nodeCount }, (_, node) => {
    const space = createUserSpace(memory, node);
    frames.forEach((frame, part) => {
      const at = addBytes(TABLE, part * partBytes);
      mapUserPages(memory, space, at, frame, partBytes, PAGE_SHIFT);
    });
    return space;
  });
  const objects = toLinear(memory.allocateNamed('kernel objects', all[0]!, OBJECTS * LINE_BYTES));
  const common = bootTextRun(memory, context, kernel);
  return { ...common, spaces, objects, parts, partBytes } satisfies DbImage;
}

/** What of the table a CPU reads. */
function rowsOf(cpu: Cpu, { parts, partBytes }: DbImage, data: string) {
  const own = Math.max(0, parts.indexOf(cpu.node));
  const lines = partBytes / LINE_BYTES;
  return data === 'local'
    ? { first: own * lines, count: lines }
    : { first: 0, count: lines * parts.length };
}

/** A system call: its text, and objects that it takes a reference of. */
function* call(own: TextCpu, objects: Address, path: CodePath, blocks: number): Program {
  const { cpu } = own;
  yield own.run(blocks, path);
  const { hi, lo } = addBytes(objects, (cpu.random(STREAM_OBJECT) % OBJECTS) * LINE_BYTES);
  while (!cpu.add32(hi, lo, 1, Order.Relaxed)) yield;
}

function* participant(cpu: Cpu, image: DbImage, context: WorkloadContext): Program {
  const { parameters } = context;
  const own = new TextCpu(cpu, image, context);
  const space = image.spaces[cpu.node]!;
  const path = new CodePath(own.text.code.layout);
  const rows = rowsOf(cpu, image, textOf(parameters, 'data'));
  const reads = numberOf(parameters, 'reads');
  const calls = numberOf(parameters, 'systemCalls');
  const blocks = numberOf(parameters, 'blocks');
  const warmUp = numberOf(parameters, 'warmup');
  const total = warmUp + numberOf(parameters, 'transactions');
  if (hasHostStage2(own.text)) yield* own.start(space.table.root);
  else yield* enterUserSpace(cpu, space);
  yield* own.meet();
  yield* own.warm();
  for (let done = 0; done < total; done++) {
    if (done === warmUp) cpu.phase(PHASE_RUN);
    cpu.begin(Metric.DbTransaction);
    for (let step = 0; step < calls; step++) {
      yield own.systemCall(call(own, image.objects, path, blocks));
      for (let read = 0; read < reads; read++) {
        const line = rows.first + (cpu.random(STREAM_ROW) % rows.count);
        const { hi, lo } = addBytes(TABLE, line * LINE_BYTES);
        while (!cpu.load64(hi, lo, Order.Relaxed)) yield;
      }
      cpu.compute(numberOf(parameters, 'work'));
    }
    cpu.end(Metric.DbTransaction);
    cpu.mark();
  }
  cpu.phase(PHASE_END);
  yield* own.leave();
}

function report(facts: RunFacts, image: Image, context: WorkloadContext): readonly ReportLine[] {
  const { text } = (image as DbImage).patching;
  const { machine, placement, parameters } = context;
  const rows = nodesOf(context).map((node) => {
    const latency = facts.latency(Metric.DbTransaction, node, PHASE_RUN);
    const cpus = placement.cpus.filter((cpu) => machine.nodeOfCpu[cpu] === node).length;
    const perSecond = latency === null ? null : (cpus * 1e9) / latency.meanNs;
    const cells = [latency?.meanNs ?? null, latency?.p99Ns ?? null, perSecond];
    return { name: `node ${node}`, cells };
  });
  const total = rows.reduce((sum, { cells }) => sum + (cells[2] ?? 0), 0);
  return linesOf([
    memoryLine(text),
    `assumed, as the published workload is not named: table data=${textOf(parameters, 'data')}, ` +
      'shares of user and kernel time, CPUs on all nodes',
    ...textTable('', ['transaction avg ns', 'p99 ns', 'per second'], rows),
    `all nodes: ${Math.round(total)} transactions per second`,
    ...fetchTable(facts, context, text, PHASE_RUN),
    ...hypLines(facts),
  ]);
}

export const dbLike: Workload = {
  name: 'db_like',
  description: 'transactions of table reads, system calls and kernel text; placement assumed',
  source: 'RFC 00/17 arm64 kernel text replication (2023-05-30): figures without a named workload',
  parameters: [
    {
      name: 'transactions',
      alias: 'i',
      kind: 'count',
      default: '30',
      minimum: 1,
      maximum: 10_000_000,
      description: 'measured transactions per CPU',
    },
    {
      name: 'warmup',
      kind: 'count',
      default: '5',
      minimum: 0,
      maximum: 1_000_000,
      description: 'transactions before',
    },
    {
      name: 'systemCalls',
      kind: 'count',
      default: '8',
      minimum: 1,
      maximum: 10_000,
      description: 'system calls per transaction',
    },
    {
      name: 'blocks',
      kind: 'count',
      default: '60',
      minimum: 1,
      maximum: 1_000_000,
      description: 'basic blocks of kernel text per system call',
    },
    {
      name: 'reads',
      kind: 'count',
      default: '40',
      minimum: 0,
      maximum: 1_000_000,
      description: 'rows read between two system calls',
    },
    {
      name: 'work',
      kind: 'time',
      unit: 'ns',
      default: '4us',
      minimum: 0,
      maximum: PS_PER_S,
      description: 'computing of the user between two system calls',
    },
    {
      name: 'tableSize',
      kind: 'size',
      default: '256M',
      minimum: PAGE_BYTES,
      maximum: 2 ** 36,
      description: 'the table, over all nodes that hold a part',
    },
    {
      name: 'data',
      kind: 'choice',
      values: ['interleave', 'local', 'first'],
      default: 'interleave',
      description: 'where the table is and which rows a CPU reads',
    },
  ],
  kernelOptions: ['text'],
  kernelDefaults: LARGE_TEXT,
  seedMoves: ['the layout of the text', 'branches, rows and kernel objects of each CPU'],
  phases: [{ name: 'warm-up', warmUp: true }, { name: 'run' }, { name: 'end', warmUp: true }],
  streams: [...TEXT_STREAMS, 'row', 'object'],
  defaultMachine: 'graviton4_2p',
  defaultPlacement: 'spread',
  defaultCpus: textCpus,
  helperCpus: () => 0,
  runsOnX86: true,
  minimumCpus: 1,
  backedBytes: ({ machine }) => TEXT_RUN_BYTES + MIB + machine.nodeCount * 64 * 4096,
  operations: ({ placement, parameters }) =>
    placement.cpus.length * (numberOf(parameters, 'transactions') + numberOf(parameters, 'warmup')),
  boot,
  program: (cpu, image, context) =>
    context.placement.cpus.includes(cpu.id) ? participant(cpu, image as DbImage, context) : null,
  report,
};
