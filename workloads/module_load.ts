/**
 * Loading and unloading kernel modules from several CPUs at once, as test_kmod does
 * (tools/testing/selftests/kmod): every loader loads modules of realistic sizes, executes what it
 * has loaded, keeps some and unloads the oldest. common/module-loader.ts has the steps.
 *
 * Deviation: each loader has modules of its own; nobody loads the same one twice.
 */

import type { Cpu, Program } from '../src/cpu/cpu.ts';
import { rcuExitIdle, rcuQuiescent } from '../src/kernel/base/rcu.ts';
import { Rcu } from '../src/kernel/base/rcu-callbacks.ts';
import { execmemReport } from '../src/kernel/execmem/report.ts';
import type { BootMemory } from '../src/memory/boot.ts';
import { type Address, toLinear } from '../src/memory/physical-address.ts';
import { Metric } from '../src/metrics/definition.ts';
import { makeMutex } from '../src/sync/mutex.ts';
import { barrier } from './common/barrier.ts';
import {
  type BpfMachineImage,
  type BpfMachineSizes,
  bootBpfMachine,
  bpfMachineBytes,
  openBpfMachine,
} from './common/bpf-machine.ts';
import { makeModule, moduleBytesMax, TEXT_MAX_BYTES } from './common/module-image.ts';
import {
  type LoadedModule,
  type LoaderParts,
  loadModule,
  runModule,
  unloadModule,
} from './common/module-loader.ts';
import { makeModuleMemory } from './common/module-memory.ts';
import { isUnset, numberOf } from './common/values.ts';
import type { BootedKernel, ReportLine, RunFacts, Workload, WorkloadContext } from './workload.ts';

const STREAM_SIZE = 0;
const PHASE_LOAD = 1;
const PHASE_FINISHED = 2;
const MUTEX_BYTES = Math.max(64, makeMutex().bytes);

/** Plain data. */
export interface ModuleLoadImage {
  readonly kernel: BpfMachineImage;
  readonly mutex: Address;
}

function textSizeOf({ parameters }: WorkloadContext): number {
  return isUnset(parameters, 'textSize') ? 0 : numberOf(parameters, 'textSize');
}

function sizesOf(context: WorkloadContext): BpfMachineSizes {
  const { placement, parameters } = context;
  const live = numberOf(parameters, 'live') + 1;
  return {
    loaders: placement.cpus.length,
    liveMax: live,
    userTextBytes: 0,
    programBytesMax: moduleBytesMax(textSizeOf(context) || TEXT_MAX_BYTES),
    areas: placement.cpus.length * (600 + 8 * live),
  };
}

function bootModules(
  boot: BootMemory,
  context: WorkloadContext,
  kernel: BootedKernel,
): ModuleLoadImage {
  const node = context.machine.nodeOfCpu[context.placement.cpus[0]!]!;
  const mutex = boot.allocateNamed('module_mutex', node, MUTEX_BYTES);
  makeMutex().init?.(boot, mutex);
  const machine = bootBpfMachine(boot, context, kernel, sizesOf(context));
  return { kernel: machine, mutex: toLinear(mutex) };
}

function* loader(cpu: Cpu, parts: LoaderParts, context: WorkloadContext): Program {
  const { parameters } = context;
  const live: LoadedModule[] = [];
  for (let module = 0; module < numberOf(parameters, 'modules'); module++) {
    const image = makeModule(cpu.id * 65536 + module, cpu.random(STREAM_SIZE), textSizeOf(context));
    live.push(yield* loadModule(cpu, parts, image));
    cpu.mark();
    for (let run = 0; run < numberOf(parameters, 'runs'); run++) {
      for (const loaded of live) yield* runModule(cpu, loaded, 'TEXT');
    }
    if (live.length > numberOf(parameters, 'live')) {
      yield unloadModule(cpu, parts, live.shift()!);
    }
    while (!rcuQuiescent(cpu)) yield;
  }
  for (const loaded of live) yield unloadModule(cpu, parts, loaded);
}

function* participant(cpu: Cpu, image: ModuleLoadImage, context: WorkloadContext): Program {
  const { parts } = openBpfMachine(cpu, context, image.kernel);
  const rcu = new Rcu(image.kernel.rcu, []);
  while (!rcuExitIdle(cpu)) yield;
  cpu.phase(0);
  const { start } = image.kernel;
  yield barrier(cpu, start.hi, start.lo, context.placement.cpus.length);
  cpu.phase(PHASE_LOAD);
  const memory = makeModuleMemory(parts);
  const { vmalloc } = parts;
  const mutex = makeMutex();
  yield loader(cpu, { memory, vmalloc, rcu, mutex, mutexAt: image.mutex }, context);
  cpu.phase(PHASE_FINISHED);
  yield rcu.finish(cpu);
  yield parts.smp.calls.leave(cpu);
}

function report(facts: RunFacts, image: unknown, context: WorkloadContext): ReportLine[] {
  const { execmem } = (image as ModuleLoadImage).kernel;
  const { counters } = facts;
  const { allocator } = execmem.options;
  const loads = facts.latency(Metric.ModuleLoad, null, PHASE_LOAD);
  const phase = facts.phases[PHASE_LOAD];
  const seconds = phase === null || phase === undefined ? 1 : (phase.endNs - phase.startNs) / 1e9;
  const count = loads?.count ?? 0;
  const lines = [
    `${count} modules loaded by ${context.placement.cpus.length} CPUs, ` +
      `${(count / seconds).toFixed(0)} per second`,
    `flush_tlb_kernel_range: ${counters['flush_tlb_kernel_range'] ?? 0}, IPIs sent: ` +
      `${counters['ipi.sent'] ?? 0}, DVM operations received: ${counters['dvm.received'] ?? 0}`,
    ...execmemReport(facts.peek32, context.machine, execmem),
  ];
  if (allocator === 'prog_pack' || allocator === 'execmem-posted') {
    lines.push(`allocator=${allocator} is for BPF programs alone: modules use module_alloc`);
  }
  return lines.map((text) => ({ text }));
}

export const moduleLoad: Workload = {
  name: 'module_load',
  description: 'kernel modules loaded and unloaded by all CPUs at once',
  source: 'selftests/kmod/kmod.sh; kernel/module/main.c, v6.13',
  parameters: [
    {
      name: 'modules',
      alias: 'i',
      kind: 'count',
      default: '6',
      minimum: 1,
      maximum: 65535,
      description: 'modules that each CPU loads',
    },
    {
      name: 'live',
      kind: 'count',
      default: '2',
      minimum: 0,
      maximum: 1000,
      description: 'modules that a CPU keeps loaded',
    },
    {
      name: 'textSize',
      kind: 'size',
      default: '',
      minimum: 64,
      maximum: 2 ** 22,
      description: 'text of every module; default: 4K to 128K, half of them up to 16K',
    },
    {
      name: 'runs',
      kind: 'count',
      default: '1',
      minimum: 0,
      maximum: 1_000_000,
      description: 'runs of the text of every loaded module after a load',
    },
  ],
  kernelOptions: ['execmem'],
  seedMoves: ['sizes of modules'],
  phases: [{ name: 'start', warmUp: true }, { name: 'load' }, { name: 'finished', warmUp: true }],
  streams: ['size'],
  defaultMachine: 'xeon_skylake_6140_2p',
  defaultCpus: () => 4,
  helperCpus: () => 0,
  runsOnX86: true,
  minimumCpus: 1,
  backedBytes: (context) => bpfMachineBytes(context, sizesOf(context)) + MUTEX_BYTES,
  operations: ({ placement, parameters }) =>
    placement.cpus.length * numberOf(parameters, 'modules'),
  boot: bootModules,
  program: (cpu, image, context) =>
    context.placement.cpus.includes(cpu.id)
      ? participant(cpu, image as ModuleLoadImage, context)
      : null,
  report,
};
