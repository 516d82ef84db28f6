/**
 * KVM's dirty_log_perf_test (tools/testing/selftests/kvm/dirty_log_perf_test.c, lib/memstress.c):
 * vCPUs populate their memory, the VMM turns dirty logging on; in each iteration all vCPUs write
 * their memory, then the VMM reads and clears the dirty log; at the end it turns logging off.
 *
 * With manual protection and an initially set bitmap (the test's default) enabling protects
 * nothing: iteration 1 takes no write-protection fault, iteration 2 pays for what clearing
 * protected and for splitting blocks, later ones only relax permissions.
 *
 * Deviations: -n (nested), -p (offset) and -c (pinning; --cpus does that) are not offered; -r is
 * --seed. Memory is scaled down by default. clearChunk splits KVM_CLEAR_DIRTY_LOG, as later
 * posted versions of the test do by -k.
 */

import { UserError } from '../src/base/errors.ts';
import { GIB, MIB } from '../src/base/units.ts';
import type { Cpu, Program } from '../src/cpu/cpu.ts';
import {
  clearDirtyLog,
  disableDirtyLog,
  enableDirtyLog,
  getDirtyLog,
} from '../src/kernel/stage2/dirty-log.ts';
import type { KvmImage, Vm } from '../src/kernel/stage2/vm.ts';
import {
  awaitCompletion,
  awaitIteration,
  bootIterations,
  completeIteration,
  type IterationWords,
  QUIT,
  RUN_ON,
  readIteration,
  startIteration,
} from './common/iterations.ts';
import { KVM_STREAMS, kvmProgram, runPass, testSlots } from './common/kvm-thread.ts';
import {
  type MemstressPlan,
  memstressHeader,
  memstressHelpers,
  memstressPlan,
  memstressTranslation,
  passOf,
} from './common/memstress.ts';
import { bootMemstress, memstressBackedBytes } from './common/memstress-vm.ts';
import {
  BACKING,
  MODE,
  OVERLAP,
  perFaultLine,
  perVcpuMemory,
  phaseNs,
  scaledNote,
  seconds,
  VCPUS,
  vcpuCpus,
} from './common/selftest.ts';
import { flagOf, numberOf } from './common/values.ts';
import type {
  Image,
  ReportLine,
  RunFacts,
  Workload,
  WorkloadContext,
  WorkloadPhase,
} from './workload.ts';

const PAGE_SHIFT = 12;

const PHASE_WAIT = 0;
const PHASE_POPULATE = 1;
const PHASE_ENABLE = 2;
const PHASE_DISABLE = 3;
const PHASE_ITERATIONS = 4;
/** Of one iteration. */
const DIRTY = 0;
const GET = 1;
const CLEAR = 2;
const PARTS = 3;

interface DirtyLogImage {
  readonly kvm: KvmImage;
  readonly words: IterationWords;
}

interface Plan extends MemstressPlan {
  readonly iterations: number;
  readonly clears: boolean;
  readonly clearChunkPages: number;
  readonly writePercent: number;
  readonly randomOrder: boolean;
  readonly runWhileDisabling: boolean;
}

function planOf(context: WorkloadContext): Plan {
  const { parameters } = context;
  const chunk = numberOf(parameters, 'clearChunk');
  if (chunk % (32 << PAGE_SHIFT) !== 0) {
    throw new UserError(`clearChunk: ${chunk} bytes are no multiple of 64 pages (256K)`);
  }
  return {
    ...memstressPlan(context, memstressHelpers(parameters)),
    iterations: numberOf(parameters, 'iterations'),
    clears: kernelContext(context).parameters['manualProtect'] !== false,
    clearChunkPages: chunk === 0 ? Number.POSITIVE_INFINITY : chunk >> PAGE_SHIFT,
    writePercent: numberOf(parameters, 'writePercent'),
    randomOrder: flagOf(parameters, 'randomAccess'),
    runWhileDisabling: flagOf(parameters, 'runWhileDisabling'),
  };
}

/** -g takes both capabilities away. */
function kernelContext(context: WorkloadContext): WorkloadContext {
  const { parameters } = context;
  if (!flagOf(parameters, 'getClears')) return context;
  return { ...context, parameters: { ...parameters, manualProtect: false, initiallySet: false } };
}

function phaseOf(iteration: number, part: number): number {
  return PHASE_ITERATIONS + (iteration - 1) * PARTS + part;
}

function phasesOf(context: WorkloadContext): readonly WorkloadPhase[] {
  const phases: WorkloadPhase[] = [
    { name: 'wait', warmUp: true },
    { name: 'populate' },
    { name: 'enable' },
    { name: 'disable' },
  ];
  for (let iteration = 1; iteration <= planOf(context).iterations; iteration++) {
    phases.push({ name: `dirty-${iteration}` });
    phases.push({ name: `get-${iteration}` });
    phases.push({ name: `clear-${iteration}` });
  }
  return phases;
}

function* mainThread(cpu: Cpu, vm: Vm, words: IterationWords, plan: Plan): Program {
  const slots = testSlots(vm, plan);
  cpu.phase(PHASE_POPULATE);
  yield awaitCompletion(cpu, words, plan.vcpus, 0);
  cpu.phase(PHASE_ENABLE);
  for (const slot of slots) yield enableDirtyLog(cpu, vm, slot);
  for (let iteration = 1; iteration <= plan.iterations; iteration++) {
    cpu.phase(phaseOf(iteration, DIRTY));
    yield* startIteration(cpu, words, iteration);
    yield awaitCompletion(cpu, words, plan.vcpus, iteration);
    cpu.phase(phaseOf(iteration, GET));
    for (const slot of slots) yield getDirtyLog(cpu, vm, slot);
    if (!plan.clears) continue;
    cpu.phase(phaseOf(iteration, CLEAR));
    for (const slot of slots) {
      for (let page = 0; page < slot.pages; page += plan.clearChunkPages) {
        const pages = Math.min(plan.clearChunkPages, slot.pages - page);
        yield clearDirtyLog(cpu, vm, slot, page, pages);
      }
    }
  }
  cpu.phase(PHASE_WAIT);
  if (plan.runWhileDisabling) yield* startIteration(cpu, words, RUN_ON);
  cpu.phase(PHASE_DISABLE);
  for (const slot of slots) yield disableDirtyLog(cpu, vm, slot);
  cpu.phase(PHASE_WAIT);
  yield* startIteration(cpu, words, QUIT);
}

function* vcpuThread(cpu: Cpu, vm: Vm, index: number, words: IterationWords, plan: Plan): Program {
  // Everything is written while populating, whatever the later passes do.
  const populate = passOf(plan, index, 100, false);
  const pass = passOf(plan, index, plan.writePercent, plan.randomOrder);
  yield* readIteration(cpu, words);
  for (let iteration = cpu.lo; iteration !== QUIT; iteration = cpu.lo) {
    if (iteration === 0) cpu.phase(PHASE_POPULATE);
    else cpu.phase(iteration === RUN_ON ? PHASE_DISABLE : phaseOf(iteration, DIRTY));
    yield runPass(cpu, vm, index, iteration === 0 ? populate : pass);
    cpu.phase(PHASE_WAIT);
    yield* completeIteration(cpu, words, index, iteration);
    if (iteration === RUN_ON) yield* readIteration(cpu, words);
    else yield* awaitIteration(cpu, words, iteration);
  }
}

function report(facts: RunFacts, _image: Image, context: WorkloadContext): readonly ReportLine[] {
  const plan = planOf(context);
  const time = (phase: number): number => phaseNs(facts, phase);
  const lines = [`Test iterations: ${plan.iterations}`, ...memstressHeader(plan)];
  lines.push(`Populate memory time: ${seconds(time(PHASE_POPULATE))}`);
  lines.push(`Enabling dirty logging time: ${seconds(time(PHASE_ENABLE))}`, '');
  let getTotal = 0;
  let clearTotal = 0;
  for (let iteration = 1; iteration <= plan.iterations; iteration++) {
    const get = time(phaseOf(iteration, GET));
    const clear = time(phaseOf(iteration, CLEAR));
    getTotal += get;
    clearTotal += clear;
    const dirty = time(phaseOf(iteration, DIRTY));
    lines.push(`Iteration ${iteration} dirty memory time: ${seconds(dirty)}`);
    lines.push(`Iteration ${iteration} get dirty log time: ${seconds(get)}`);
    if (plan.clears) lines.push(`Iteration ${iteration} clear dirty log time: ${seconds(clear)}`);
  }
  lines.push(`Disabling dirty logging time: ${seconds(time(PHASE_DISABLE))}`);
  lines.push(`Get ${totals(plan.iterations, getTotal)}`);
  if (plan.clears) lines.push(`Clear ${totals(plan.iterations, clearTotal)}`);
  lines.push('', perFaultLine(facts, plan.vcpus, 'populate', PHASE_POPULATE));
  for (let iteration = 1; iteration <= plan.iterations; iteration++) {
    const phase = phaseOf(iteration, DIRTY);
    lines.push(perFaultLine(facts, plan.vcpus, `iteration ${iteration}`, phase));
  }
  const note = scaledNote('perVcpuMemory', plan.bytesPerVcpu);
  if (note !== null) lines.push(note);
  return lines.map((text) => ({ text }));
}

function totals(iterations: number, ns: number): string {
  const average = seconds(Math.floor(ns / iterations));
  return (
    `dirty log over ${iterations} iterations took ${seconds(ns)}. ` + `(Avg ${average}/iteration)`
  );
}

export const dirtyLogPerfTest: Workload = {
  name: 'dirty_log_perf_test',
  description: 'vCPUs dirty their memory under dirty logging, the VMM gets and clears the log',
  source: 'tools/testing/selftests/kvm/dirty_log_perf_test.c',
  parameters: [
    VCPUS,
    perVcpuMemory('2M'),
    {
      name: 'iterations',
      alias: 'i',
      kind: 'count',
      default: '2',
      minimum: 2,
      maximum: 10_000,
      description: 'times that the memory is dirtied; at least 2',
    },
    BACKING,
    MODE,
    OVERLAP,
    {
      name: 'memslots',
      alias: 'x',
      kind: 'count',
      default: '1',
      minimum: 1,
      maximum: 64,
      description: 'memslots that the memory is split into',
    },
    {
      name: 'writePercent',
      alias: 'w',
      kind: 'percent',
      default: '100',
      description: 'chance that a page is written, else it is read (not while populating)',
    },
    {
      name: 'randomAccess',
      alias: 'a',
      kind: 'flag',
      default: 'off',
      description: 'pages at random rather than in order',
    },
    {
      name: 'runWhileDisabling',
      alias: 'e',
      kind: 'flag',
      default: 'off',
      description: 'vCPUs go on while dirty logging is being disabled',
    },
    {
      name: 'getClears',
      alias: 'g',
      kind: 'flag',
      default: 'off',
      description:
        'no KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2: as manualProtect=off, KVM_GET_DIRTY_LOG clears',
    },
    {
      name: 'clearChunk',
      alias: 'k',
      kind: 'size',
      default: '0',
      minimum: 0,
      maximum: 256 * GIB,
      description: 'bytes per KVM_CLEAR_DIRTY_LOG; 0: a whole memslot',
    },
  ],
  kernelOptions: ['stage2'],
  seedMoves: [
    'when each vCPU starts',
    'which pages are read or written, and their order if random',
    'the order of free pages',
    'ties of requests at homes and DVM agents',
  ],
  phases: phasesOf,
  streams: KVM_STREAMS,
  defaultMachine: 'ampere_altra_1p_q80',
  defaultCpus: (machine, parameters) =>
    vcpuCpus(machine, parameters, 16, memstressHelpers(parameters)),
  helperCpus: memstressHelpers,
  runsOnX86: false,
  minimumCpus: 2,
  guestTranslation: memstressTranslation,
  backedBytes: (context) => memstressBackedBytes(planOf(context), context) + MIB,
  operations: (context) => {
    const { vcpus, bytesPerVcpu, iterations } = planOf(context);
    return ((vcpus * bytesPerVcpu) / (1 << PAGE_SHIFT)) * (1 + iterations);
  },
  boot: (boot, context) => {
    const plan = planOf(context);
    const node = context.machine.nodeOfCpu[plan.mainCpu]!;
    const words = bootIterations(boot, node, plan.vcpus);
    return {
      kvm: bootMemstress(boot, plan, kernelContext(context)),
      words,
    } satisfies DirtyLogImage;
  },
  program: (cpu, image, context) => {
    const plan = planOf(context);
    const { kvm, words } = image as DirtyLogImage;
    return kvmProgram(cpu, context, kvm, plan, {
      vcpu: (vm, index) => vcpuThread(cpu, vm, index, words, plan),
      main: (vm) => mainThread(cpu, vm, words, plan),
    });
  },
  report,
};
