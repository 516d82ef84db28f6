/**
 * Runs recorded memory accesses: each CPU of a trace (valgrind lackey or din, src/trace) becomes a
 * CPU of the run that performs its records in order, one at a time. Loads and stores access the
 * line at their address (a record over several lines all of them), a modify is a load and a store,
 * an instruction is a fetch of its lines.
 *
 * The trace is of what a program touches, not when: between two records no time passes, and CPUs
 * are not held together at the places where the recorded threads waited for each other.
 */

import { UserError } from '../src/base/errors.ts';
import { MIB } from '../src/base/units.ts';
import type { Cpu, Program } from '../src/cpu/cpu.ts';
import { Level, Order } from '../src/cpu/operations.ts';
import type { BootMemory } from '../src/memory/boot.ts';
import { Metric } from '../src/metrics/definition.ts';
import { KIND_MASK, Kind, LAST } from '../src/trace/record.ts';
import { RingReader } from '../src/trace/ring.ts';
import { fileOfCpu, recordsOf, type ScannedTrace } from '../src/trace/scanned-trace.ts';
import { mapTrace, refuseMissingCpus, traceTableBytes } from './common/trace-memory.ts';
import {
  enterUserSpace,
  PAGE_SIZES,
  type PageSize,
  pageShiftOf,
  type UserSpace,
} from './common/user-space.ts';
import { numberOf, textOf } from './common/values.ts';
import type { Image, ReportLine, RunFacts, Workload, WorkloadContext } from './workload.ts';

const TAIL = 'numalab run trace input=workloads/traces/kernels.lackey.gz';

const description =
  "trace files, 'a' with a CPU column or of one CPU, or 'a,b,...' of one CPU each; " +
  'lackey or din, plain or gzip';

/** The workload of one scanned trace; null: none was given yet. */
function workloadOf(trace: ScannedTrace | null): Workload {
  const given = (): ScannedTrace => {
    if (trace !== null) return trace;
    throw new UserError(`trace needs a trace and runs alone; write ${TAIL}`);
  };
  return {
    name: 'trace',
    description: 'recorded memory accesses: valgrind lackey or din, one CPU or many',
    source: 'valgrind --tool=lackey --trace-mem=yes; Dinero IV (din)',
    parameters: [
      { name: 'input', kind: 'text', default: '', description },
      {
        name: 'passes',
        kind: 'count',
        default: '1',
        minimum: 1,
        maximum: 1_000_000,
        description: 'how often the whole trace is run, one after the other',
      },
      {
        name: 'space',
        kind: 'choice',
        values: ['shared', 'own'],
        default: 'shared',
        description: 'CPUs of the trace share their addresses (threads) or not (processes)',
      },
      {
        name: 'pageSize',
        kind: 'choice',
        values: PAGE_SIZES,
        default: '4K',
        description: 'page size of the mapping',
      },
    ],
    kernelOptions: [],
    seedMoves: ['ties of requests at the homes'],
    phases: [{ name: 'trace' }],
    streams: [],
    defaultMachine: 'graviton4_2p',
    defaultCpus: (machine) => Math.min(machine.cpuCount, given().recordsOfCpu.length),
    helperCpus: () => 0,
    runsOnX86: true,
    minimumCpus: 1,
    backedBytes: (context) => MIB + traceTableBytes(given().pages, pageShift(context)),
    operations: (context) => recordsOf(given()) * numberOf(context.parameters, 'passes'),
    withTrace: (scanned) => workloadOf(scanned),
    boot: (boot, context) => bootTrace(boot, context, given()),
    program: (cpu, image, context) => programOf(cpu, image as TraceImage, context, given()),
    report: (facts, _image, context) => report(facts, context, given()),
  };
}

export const trace = workloadOf(null);

interface TraceImage {
  readonly spaces: readonly UserSpace[];
}

function pageShift({ parameters }: WorkloadContext): number {
  return pageShiftOf(textOf(parameters, 'pageSize') as PageSize);
}

function bootTrace(boot: BootMemory, context: WorkloadContext, trace: ScannedTrace): Image {
  const { pages, recordsOfCpu, ownSpaces, highestCpuAt } = trace;
  refuseMissingCpus(context, recordsOfCpu.length, highestCpuAt);
  const cpus = recordsOfCpu.length;
  const spaces = mapTrace(boot, context, pages, pageShift(context), cpus, ownSpaces);
  return { spaces } satisfies TraceImage;
}

function programOf(
  cpu: Cpu,
  { spaces }: TraceImage,
  { placement, feed }: WorkloadContext,
  trace: ScannedTrace,
): Program | null {
  const traceCpu = placement.cpus.indexOf(cpu.id);
  if (traceCpu < 0 || traceCpu >= trace.recordsOfCpu.length) return null;
  const ring = feed?.rings[traceCpu] ?? null;
  if (ring === null) return null;
  const { file } = fileOfCpu(trace, traceCpu);
  const space = spaces[trace.ownSpaces ? traceCpu : 0]!;
  return replay(cpu, new RingReader(ring, file), space, file);
}

function* replay(cpu: Cpu, ring: RingReader, space: UserSpace, file: string): Program {
  cpu.setVector(Level.Host, () => unmapped(file));
  yield* enterUserSpace(cpu, space);
  // A record over several lines is one access to its kind's histogram: begun once, ended once.
  let isOpen = false;
  while (ring.next()) {
    const { hi, lo } = ring;
    const kind = lo & KIND_MASK;
    const isLast = (lo & LAST) !== 0;
    const metric = METRIC_OF_KIND[kind]!;
    const address = lo & ~7;
    if (!isOpen) cpu.begin(metric);
    if (kind === Kind.Fetch) while (!cpu.fetch(hi, address)) yield;
    else if (kind === Kind.Store) while (!cpu.store64(hi, address, 0, 0, Order.Relaxed)) yield;
    else while (!cpu.load64(hi, address, Order.Relaxed)) yield;
    isOpen = !isLast;
    if (isOpen) continue;
    cpu.end(metric);
    if (kind !== Kind.ModifyLoad) cpu.mark();
  }
}

const METRIC_OF_KIND: readonly number[] = [
  Metric.TraceLoad,
  Metric.TraceStore,
  Metric.TraceFetch,
  Metric.TraceLoad,
];

/** Every page of the trace as it was scanned is mapped. */
// biome-ignore lint/correctness/useYield: it refuses at once
function* unmapped(file: string): Program {
  throw new UserError(`${file}: changed while it was run; expected the same contents to the end`);
}

function report(
  facts: RunFacts,
  { parameters }: WorkloadContext,
  trace: ScannedTrace,
): readonly ReportLine[] {
  const { counters } = facts;
  const count = (name: string): number => counters[name] ?? 0;
  const [l1, l2, misses] = [count('l1.hits'), count('l2.hits'), count('cache.misses')];
  const data = Math.max(1, l1 + l2 + misses);
  const percent = (part: number): string => `${((100 * part) / data).toFixed(2)} %`;
  const cpus = trace.recordsOfCpu.filter((records) => records > 0).length;
  const passes = numberOf(parameters, 'passes');
  return [
    `${count('operations')} records by ${cpus} CPU${cpus === 1 ? '' : 's'}` +
      `${passes === 1 ? '' : ` in ${passes} passes`}, ${trace.pages.count} pages of 4K touched`,
    `${data} data accesses: ${percent(l1)} hit the L1D, ${percent(l2)} the L2, ` +
      `${percent(misses)} left the private caches`,
  ].map((text) => ({ text }));
}
