/**
 * Parallel loading and unloading of BPF programs with bystanders, as test_kmod does with modules
 * (tools/testing/selftests/bpf/test_kmod.sh) and as reviewers of executable memory asked for:
 * numbers of an idle system say little about instruction TLBs, so the other CPUs execute text of
 * their own meanwhile. Loaders draw sizes from the published distribution, run each program a few
 * times and keep some loaded; bystanders run until the last loader has finished.
 *
 * Deviations: no verifier, no system call beyond its cost; a loader runs its own programs only.
 */

import { CheckError } from '../src/base/errors.ts';
import { PS_PER_MS, PS_PER_NS } from '../src/base/units.ts';
import type { Cpu, Program } from '../src/cpu/cpu.ts';
import { Order } from '../src/cpu/operations.ts';
import { rcuExitIdle, rcuQuiescent } from '../src/kernel/base/rcu.ts';
import { Rcu } from '../src/kernel/base/rcu-callbacks.ts';
import { type BpfText, RunResult, runBpf, textBytes } from '../src/kernel/bpf/jit.ts';
import { programBytes } from '../src/kernel/bpf/program-size.ts';
import { trapWord } from '../src/kernel/execmem/executable-memory.ts';
import { execmemReport } from '../src/kernel/execmem/report.ts';
import { Cost } from '../src/machine/costs.ts';
import { Metric } from '../src/metrics/definition.ts';
import {
  type BpfMachine,
  type BpfMachineImage,
  type BpfMachineSizes,
  bootBpfMachine,
  bpfMachineBytes,
  openBpfMachine,
  runKernelText,
  runUserText,
  warmUp,
} from './common/bpf-machine.ts';
import { numberOf } from './common/values.ts';
import type { Image, ReportLine, RunFacts, Workload, WorkloadContext } from './workload.ts';

const STREAM_SIZE = 0;
const STREAM_TEXT = 1;
const STREAM_START = 2;
const STREAM_KERNEL = 3;
const PHASE_WARM_UP = 0;
const PHASE_STORM = 1;
const PHASE_FINISHED = 2;
/** Blocks of user text between two looks at the stop word. */
const BLOCKS_PER_ROUND = 200;
/** A CPU that waits answers an interrupt within so long. */
const PAUSE_SLICE_PS = 500 * PS_PER_NS;

function loadersOf({ parameters, placement }: WorkloadContext): number {
  const given = numberOf(parameters, 'loaders');
  return given === 0 ? Math.max(1, placement.cpus.length >> 1) : given;
}

function sizesOf(context: WorkloadContext): BpfMachineSizes {
  const { parameters, placement } = context;
  const loaders = Math.min(loadersOf(context), placement.cpus.length);
  return {
    loaders,
    liveMax: numberOf(parameters, 'live'),
    userTextBytes: loaders === placement.cpus.length ? 0 : numberOf(parameters, 'userText'),
  };
}

function* loader(
  cpu: Cpu,
  image: BpfMachineImage,
  context: WorkloadContext,
  machine: BpfMachine,
): Program {
  const { parameters } = context;
  const live: BpfText[] = [];
  const intervalPs = numberOf(parameters, 'interval');
  yield* pause(cpu, cpu.random(STREAM_START) % (intervalPs + 1));
  for (let program = 0; program < numberOf(parameters, 'programs'); program++) {
    const id = cpu.id * 65536 + program;
    const bytes = programBytes(cpu.random(STREAM_SIZE));
    cpu.spend(Cost.Syscall);
    yield runKernelText(cpu, image, STREAM_KERNEL, numberOf(parameters, 'kernelBlocks'));
    yield machine.jit.load(cpu, id, bytes);
    cpu.mark();
    if (cpu.ret === 0) live.push({ hi: cpu.hi, lo: cpu.lo, bytes: textBytes(bytes), id });
    for (let run = 0; run < numberOf(parameters, 'runs'); run++) {
      for (const text of live) yield* runChecked(cpu, text, context);
    }
    if (live.length >= numberOf(parameters, 'live')) {
      yield* unload(cpu, machine, live.shift()!);
    }
    yield* pause(cpu, intervalPs);
  }
  for (const text of live) yield* unload(cpu, machine, text);
  const { finished, stop } = image;
  while (!cpu.add32(finished.hi, finished.lo, 1, Order.AcquireRelease)) yield;
  if (cpu.lo !== sizesOf(context).loaders - 1) return;
  while (!cpu.store32(stop.hi, stop.lo, 1, Order.Release)) yield;
}

/** Time between loads: in slices, as interrupts are taken between operations only. */
function* pause(cpu: Cpu, timePs: number): Program {
  for (let leftPs = timePs; ; leftPs -= PAUSE_SLICE_PS) {
    while (!rcuQuiescent(cpu)) yield;
    if (leftPs <= 0) return;
    cpu.compute(Math.min(leftPs, PAUSE_SLICE_PS));
  }
}

/** What a CPU executes must be what was loaded: anything else is freed or stale text. */
function* runChecked(cpu: Cpu, text: BpfText, { machine }: WorkloadContext): Program {
  yield* runBpf(cpu, text, trapWord(machine));
  if (cpu.ret === RunResult.Right) return;
  const what = cpu.ret === RunResult.Trap ? 'trap filler' : 'something else';
  throw new CheckError(`cpu ${cpu.id} executes ${what} where program ${text.id} is loaded`);
}

function* unload(cpu: Cpu, { jit }: BpfMachine, text: BpfText): Program {
  cpu.spend(Cost.Syscall);
  yield jit.free(cpu, text);
}

function* bystander(cpu: Cpu, image: BpfMachineImage): Program {
  const { hi, lo } = image.stop;
  for (;;) {
    while (!cpu.load32(hi, lo, Order.Relaxed)) yield;
    if (cpu.lo !== 0) return;
    cpu.begin(Metric.TextRun);
    yield* runUserText(cpu, image, STREAM_TEXT, BLOCKS_PER_ROUND);
    cpu.end(Metric.TextRun);
    while (!rcuQuiescent(cpu)) yield;
  }
}

function* participant(cpu: Cpu, image: BpfMachineImage, context: WorkloadContext): Program {
  const machine = openBpfMachine(cpu, context, image);
  const rcu = new Rcu(image.rcu, []);
  while (!rcuExitIdle(cpu)) yield;
  cpu.phase(PHASE_WARM_UP);
  const anchor = yield* warmUp(cpu, context, image, machine);
  cpu.phase(PHASE_STORM);
  const isLoader = context.placement.cpus.indexOf(cpu.id) < sizesOf(context).loaders;
  if (isLoader) yield loader(cpu, image, context, machine);
  else yield bystander(cpu, image);
  cpu.phase(PHASE_FINISHED);
  if (anchor !== null) yield machine.jit.free(cpu, anchor);
  yield rcu.finish(cpu);
  yield machine.parts.smp.calls.leave(cpu);
}

function report(facts: RunFacts, image: Image, context: WorkloadContext): readonly ReportLine[] {
  const { execmem } = image as BpfMachineImage;
  const storm = facts.phases[PHASE_STORM];
  const seconds = storm === null || storm === undefined ? 1 : (storm.endNs - storm.startNs) / 1e9;
  const { counters } = facts;
  const loads = facts.latency(Metric.BpfLoad, null, PHASE_STORM)?.count ?? 0;
  const fetched = counters['instructions.fetched'] ?? 0;
  const misses = counters['iTLB-load-misses'] ?? 0;
  const lines = [
    `${loads} programs loaded by ${sizesOf(context).loaders} CPUs, ` +
      `${(loads / seconds).toFixed(0)} per second; ${counters['bpf.fallbacks'] ?? 0} interpreted`,
    `iTLB-load-misses: ${misses} of ${fetched} lines fetched, ` +
      `${(misses / seconds / 1000).toFixed(0)} k/s`,
    `flush_tlb_kernel_range: ${counters['flush_tlb_kernel_range'] ?? 0}, IPIs sent: ` +
      `${counters['ipi.sent'] ?? 0}, DVM operations received: ${counters['dvm.received'] ?? 0}`,
    ...execmemReport(facts.peek32, context.machine, execmem),
  ];
  return lines.map((text) => ({ text }));
}

export const bpfLoadStorm: Workload = {
  name: 'bpf_load_storm',
  description: 'parallel loads of BPF programs while other CPUs execute text of their own',
  source: 'selftests/bpf/test_kmod.sh; asked for in review of execmem_alloc v2 (2022-11)',
  parameters: [
    {
      name: 'loaders',
      kind: 'count',
      default: '0',
      minimum: 0,
      maximum: 4096,
      description: 'CPUs that load programs; 0: half of them',
    },
    {
      name: 'programs',
      alias: 'i',
      kind: 'count',
      default: '12',
      minimum: 1,
      maximum: 65535,
      description: 'programs that each loader loads',
    },
    {
      name: 'live',
      kind: 'count',
      default: '4',
      minimum: 1,
      maximum: 10_000,
      description: 'programs that a loader keeps loaded',
    },
    {
      name: 'runs',
      kind: 'count',
      default: '2',
      minimum: 0,
      maximum: 1_000_000,
      description: 'runs of every loaded program between two loads',
    },
    {
      name: 'interval',
      kind: 'time',
      default: '10us',
      unit: 'us',
      maximum: 10_000 * PS_PER_MS,
      description: 'time between two loads of a loader',
    },
    {
      name: 'kernelBlocks',
      kind: 'count',
      default: '400',
      minimum: 1,
      maximum: 1_000_000,
      description: 'basic blocks of kernel text per load, in profiles that have a kernel text',
    },
    {
      name: 'userText',
      kind: 'size',
      default: '512K',
      minimum: 4096,
      maximum: 2 ** 26,
      description: 'text that bystanders execute, in pages of 4K: what fills the iTLB',
    },
  ],
  kernelOptions: ['execmem'],
  seedMoves: ['sizes of programs', 'start of each loader', 'branches of user text'],
  phases: [
    { name: 'warm-up', warmUp: true },
    { name: 'storm' },
    { name: 'finished', warmUp: true },
  ],
  streams: ['size', 'text', 'start', 'kernel text'],
  defaultMachine: 'graviton4_2p',
  defaultCpus: () => 8,
  helperCpus: () => 0,
  runsOnX86: true,
  minimumCpus: 1,
  backedBytes: (context) => bpfMachineBytes(context, sizesOf(context)),
  operations: (context) => sizesOf(context).loaders * numberOf(context.parameters, 'programs'),
  boot: (boot, context, kernel) => bootBpfMachine(boot, context, kernel, sizesOf(context)),
  program: (cpu, image, context) =>
    context.placement.cpus.includes(cpu.id)
      ? participant(cpu, image as BpfMachineImage, context)
      : null,
  report,
};
