/**
 * bench of tools/testing/selftests/bpf, as with trig-kprobe: producers hit a kprobe as fast as they
 * can, and every hit runs the programs that are attached to it (trace_call_bpf: the array of
 * programs under rcu_read_lock). Published of it: iTLB misses of 100 such processes with 7 programs
 * each, by allocator (S. Liu, execmem_alloc v2, 2022-11-07).
 *
 * The first CPU loads the programs, publishes them, produces hits like the others, and after the
 * last sample unpublishes them, waits for a grace period and unloads while the others still hit.
 *
 * Deviations: every CPU is a producer, there are no consumers; samples are scaled and end exactly;
 * the bench's own text is `userText` bytes of generated code; no verifier; an interpreted program
 * costs time by its size alone.
 */

import { CheckError } from '../src/base/errors.ts';
import { PS_PER_NS } from '../src/base/units.ts';
import type { Cpu, Program } from '../src/cpu/cpu.ts';
import { Order } from '../src/cpu/operations.ts';
import { rcuExitIdle, rcuQuiescent, rcuReadLock, rcuReadUnlock } from '../src/kernel/base/rcu.ts';
import { Rcu } from '../src/kernel/base/rcu-callbacks.ts';
import { type BpfText, RunResult, runBpf, textBytes } from '../src/kernel/bpf/jit.ts';
import { trapWord } from '../src/kernel/execmem/executable-memory.ts';
import { Cost } from '../src/machine/costs.ts';
import type { BootMemory } from '../src/memory/boot.ts';
import { type Address, addBytes, toLinear } from '../src/memory/physical-address.ts';
import { barrier } from './common/barrier.ts';
import { BENCH_PARAMETERS, benchReport } from './common/bench-report.ts';
import {
  type BpfMachine,
  type BpfMachineImage,
  type BpfMachineSizes,
  bootBpfMachine,
  bpfMachineBytes,
  openBpfMachine,
  runUserText,
  warmUp,
} from './common/bpf-machine.ts';
import { programSizes, sizeOfProgram } from './common/bpf-program-options.ts';
import { numberOf } from './common/values.ts';
import {
  bootResults,
  expectedOperations,
  type ResultImage,
  resultBytes,
  Sampler,
  samplePlan,
} from './common/will-it-scale.ts';
import type { BootedKernel, Workload, WorkloadContext } from './workload.ts';

/** Stream 0 is the sampler's. */
const STREAM_SIZE = 1;
const STREAM_TEXT = 2;
const PHASE_LOAD = 0;
const PHASE_WARM_UP = 1;
/** Entry of the table: address (0: not JITed), bytes (0: end of the array), id; one line. */
const Entry = { Text: 0, Bytes: 8, Id: 12, Size: 64 } as const;
/** Estimate: ___bpf_prog_run takes a few cycles per instruction, at 8 bytes of JITed code each. */
const INTERPRETED_PS_PER_BYTE = 0.25 * PS_PER_NS;

/** Plain data. */
export interface BpfBenchImage {
  readonly bpf: BpfMachineImage;
  readonly results: ResultImage;
  /** The array of programs, a linear-map address: attached ones, then an empty entry. */
  readonly table: Address;
}

function sizesOf({ parameters, placement }: WorkloadContext): BpfMachineSizes {
  return {
    loaders: 1,
    liveMax: numberOf(parameters, 'programs'),
    userTextBytes: numberOf(parameters, 'userText'),
    textCpus: placement.cpus,
    areas: 600 + 4 * numberOf(parameters, 'programs'),
    ...programSizes(parameters),
  };
}

function attachedOf({ parameters }: WorkloadContext): number {
  return Math.min(numberOf(parameters, 'attached'), numberOf(parameters, 'programs'));
}

function tableBytes(context: WorkloadContext): number {
  return (attachedOf(context) + 1) * Entry.Size;
}

function bootBench(
  boot: BootMemory,
  context: WorkloadContext,
  kernel: BootedKernel,
): BpfBenchImage {
  const results = bootResults(boot, context);
  const node = context.machine.nodeOfCpu[context.placement.cpus[0]!]!;
  const table = toLinear(boot.allocateNamed('prog_array', node, tableBytes(context)));
  const bpf = bootBpfMachine(boot, context, kernel, sizesOf(context));
  return { bpf, results, table };
}

/** Loads all, publishes the first ones. Returns what is loaded. */
function* loadAll(
  cpu: Cpu,
  { table }: BpfBenchImage,
  context: WorkloadContext,
  { jit }: BpfMachine,
): Generator<Program | undefined, BpfText[], undefined> {
  const { parameters } = context;
  const attached = attachedOf(context);
  const loaded: BpfText[] = [];
  for (let program = 0; program < numberOf(parameters, 'programs'); program++) {
    const id = 2 + program;
    const code = sizeOfProgram(parameters, cpu.random(STREAM_SIZE));
    const bytes = textBytes(code);
    cpu.spend(Cost.Syscall);
    yield jit.load(cpu, id, code);
    cpu.mark();
    const text = cpu.ret === 0 ? { hi: cpu.hi, lo: cpu.lo, bytes, id } : null;
    if (text !== null) loaded.push(text);
    if (program >= attached) continue;
    const { hi, lo } = addBytes(table, program * Entry.Size);
    const at = text ?? { hi: 0, lo: 0 };
    while (!cpu.store64(hi, lo + Entry.Text, at.hi, at.lo, Order.Relaxed)) yield;
    while (!cpu.store32(hi, lo + Entry.Id, id, Order.Relaxed)) yield;
    while (!cpu.store32(hi, lo + Entry.Bytes, bytes, Order.Release)) yield;
  }
  return loaded;
}

/** perf_event_detach_bpf_prog for all, synchronize_rcu, bpf_prog_free. */
function* unloadAll(
  cpu: Cpu,
  image: BpfBenchImage,
  { jit }: BpfMachine,
  rcu: Rcu,
  loaded: readonly BpfText[],
): Program {
  const { hi, lo } = image.table;
  while (!cpu.store32(hi, lo + Entry.Bytes, 0, Order.Release)) yield;
  yield rcu.synchronize(cpu);
  // Last one first: without a grace period, whoever is in the middle of the array would meet it.
  for (const text of loaded.toReversed()) {
    yield jit.free(cpu, text);
    cpu.mark();
  }
  const { stop } = image.bpf;
  while (!cpu.store32(stop.hi, stop.lo, 1, Order.Release)) yield;
}

/** getpgid() with a kprobe on it: exception, all attached programs, return. */
function* hit(cpu: Cpu, { table }: BpfBenchImage, context: WorkloadContext): Program {
  cpu.spend(Cost.Syscall);
  cpu.spend(Cost.ExceptionEntry);
  yield* rcuReadLock(cpu);
  const attached = attachedOf(context);
  for (let program = 0; program < attached; program++) {
    const { hi, lo } = addBytes(table, program * Entry.Size);
    while (!cpu.load32(hi, lo + Entry.Bytes, Order.Acquire)) yield;
    const bytes = cpu.lo;
    if (bytes === 0) break;
    while (!cpu.load32(hi, lo + Entry.Id, Order.Relaxed)) yield;
    const id = cpu.lo;
    while (!cpu.load64(hi, lo + Entry.Text, Order.Relaxed)) yield;
    if ((cpu.hi | cpu.lo) === 0) cpu.compute(bytes * INTERPRETED_PS_PER_BYTE);
    else yield* runChecked(cpu, { hi: cpu.hi, lo: cpu.lo, bytes, id }, context);
  }
  yield* rcuReadUnlock(cpu);
  cpu.spend(Cost.ExceptionReturn);
  while (!rcuQuiescent(cpu)) yield;
}

/** What a CPU executes must be what was loaded: anything else is freed or stale text. */
function* runChecked(cpu: Cpu, text: BpfText, { machine }: WorkloadContext): Program {
  yield* runBpf(cpu, text, trapWord(machine));
  if (cpu.ret === RunResult.Right) return;
  const what = cpu.ret === RunResult.Trap ? 'trap filler' : 'something else';
  throw new CheckError(`cpu ${cpu.id} executes ${what} where program ${text.id} is loaded`);
}

function* iterate(cpu: Cpu, image: BpfBenchImage, context: WorkloadContext): Program {
  yield* hit(cpu, image, context);
  yield* runUserText(cpu, image.bpf, STREAM_TEXT, numberOf(context.parameters, 'userBlocks'));
}

function* producer(cpu: Cpu, image: BpfBenchImage, context: WorkloadContext): Program {
  const { cpus } = context.placement;
  const task = cpus.indexOf(cpu.id);
  const machine = openBpfMachine(cpu, context, image.bpf);
  const rcu = new Rcu(image.bpf.rcu, []);
  while (!rcuExitIdle(cpu)) yield;
  cpu.phase(PHASE_LOAD);
  const anchor = yield* warmUp(cpu, context, image.bpf, machine);
  const loaded = task === 0 ? yield* loadAll(cpu, image, context, machine) : [];
  const { start } = image.bpf;
  yield barrier(cpu, start.hi, start.lo, cpus.length);
  const sampler = new Sampler(samplePlan(context), image.results, task, PHASE_WARM_UP);
  yield* sampler.start(cpu, image.results, cpus.length);
  while (!sampler.isOver) {
    yield* iterate(cpu, image, context);
    yield* sampler.count(cpu);
  }
  if (task === 0) yield unloadAll(cpu, image, machine, rcu, loaded);
  const { stop } = image.bpf;
  for (;;) {
    while (!cpu.load32(stop.hi, stop.lo, Order.Acquire)) yield;
    if (cpu.lo !== 0) break;
    // Without user text: what misses the iTLB from here on are programs, as long as there are any.
    yield* hit(cpu, image, context);
  }
  if (anchor !== null) yield machine.jit.free(cpu, anchor);
  yield rcu.finish(cpu);
  yield machine.parts.smp.calls.leave(cpu);
}

export const bpfBench: Workload = {
  name: 'bpf_bench',
  description: 'BPF programs attached to a kprobe that all CPUs hit, as bench trig-kprobe',
  source: 'selftests/bpf/bench.c, benchs/bench_trigger.c; S. Liu, execmem_alloc v2 (2022-11-07)',
  parameters: BENCH_PARAMETERS,
  kernelOptions: ['execmem'],
  seedMoves: ['sizes of programs', 'start of each producer', 'branches of user text'],
  phases: [
    { name: 'load', warmUp: true },
    { name: 'warm-up', warmUp: true },
    { name: 'measurement' },
    { name: 'unload', warmUp: true },
  ],
  streams: ['start', 'size', 'text'],
  defaultMachine: 'xeon_skylake_6140_2p',
  defaultCpus: () => 4,
  helperCpus: () => 0,
  runsOnX86: true,
  minimumCpus: 1,
  backedBytes: (context) =>
    bpfMachineBytes(context, sizesOf(context)) + resultBytes(context) + tableBytes(context),
  operations: (context) => expectedOperations(context, 5000 * PS_PER_NS),
  boot: bootBench,
  program: (cpu, image, context) =>
    context.placement.cpus.includes(cpu.id) ? producer(cpu, image as BpfBenchImage, context) : null,
  report: (facts, image, context) =>
    benchReport(facts, (image as BpfBenchImage).results, context, PHASE_LOAD),
};
