/**
 * KVM's kvm_page_table_test (tools/testing/selftests/kvm/kvm_page_table_test.c): all vCPUs use
 * the same memory at once. KVM_CREATE_MAPPINGS touches the first bytes of every (large) page,
 * even vCPUs write, odd ones read. KVM_UPDATE_MAPPINGS runs under dirty logging: every page is
 * written, or with large pages the first small page of each is written and its upper half read,
 * so blocks split. KVM_ADJUST_MAPPINGS reads everything after logging has stopped: pages become
 * blocks again.
 *
 * The test never enables manual protection, so turning logging on write-protects everything.
 *
 * Deviations: the two semaphores are a stage number and a word per vCPU; -p (offset) is not
 * offered; memory is scaled down by default.
 */

import { formatBytes, GIB, KIB, MIB } from '../src/base/units.ts';
import type { Cpu, Program } from '../src/cpu/cpu.ts';
import { disableDirtyLog, enableDirtyLog } from '../src/kernel/stage2/dirty-log.ts';
import { runVcpu } from '../src/kernel/stage2/vcpu.ts';
import type { Vcpu } from '../src/kernel/stage2/vcpu-state.ts';
import type { KvmImage, Vm } from '../src/kernel/stage2/vm.ts';
import { touch } from './common/guest-code.ts';
import { guestModeText } from './common/guest-mode.ts';
import {
  awaitCompletion,
  awaitIteration,
  bootIterations,
  completeIteration,
  type IterationWords,
  QUIT,
  readIteration,
  startIteration,
} from './common/iterations.ts';
import { KVM_STREAMS, kvmProgram } from './common/kvm-thread.ts';
import {
  type MemstressPlan,
  memstressHelpers,
  memstressTranslation,
  regionPlan,
} from './common/memstress.ts';
import { bootMemstress, memstressBackedBytes } from './common/memstress-vm.ts';
import {
  BACKING,
  checkedMemory,
  MODE,
  perFaultLine,
  phaseNs,
  scaledNote,
  seconds,
  VCPUS,
  vcpuCpus,
  vcpusOf,
} from './common/selftest.ts';
import type { Image, ReportLine, RunFacts, Workload, WorkloadContext } from './workload.ts';

const PAGE_BYTES = 4096;
const PHASE_WAIT = 0;

/** Stages are iterations of the same number; stage s runs in phase s + 1. */
const Stage = { Before: 0, Create: 1, Update: 2, Adjust: 3 } as const;
const PHASES = [
  { name: 'wait', warmUp: true },
  { name: 'before-mappings', warmUp: true },
  { name: 'create-mappings' },
  { name: 'update-mappings' },
  { name: 'adjust-mappings' },
  { name: 'set-flags' },
];
const PHASE_FLAGS = 5;

interface Plan extends MemstressPlan {
  readonly largePageBytes: number;
}

interface PageTableImage {
  readonly kvm: KvmImage;
  readonly words: IterationWords;
}

/** The memory is aligned up to the backing's page size. */
function planOf(context: WorkloadContext): Plan {
  const vcpus = vcpusOf(context, memstressHelpers(context.parameters));
  const asked = checkedMemory(context, 'memory');
  const { backing, mode } = regionPlan(context, vcpus, asked);
  const largePageBytes = 2 ** backing.unitShift;
  const alignment = Math.max(largePageBytes, 2 ** mode.pageShift);
  const bytes = Math.ceil(asked / alignment) * alignment;
  return { ...regionPlan(context, vcpus, bytes), largePageBytes };
}

function phaseOf(stage: number): number {
  return stage + 1;
}

/** vcpus_complete_new_stage. */
function* runStage(cpu: Cpu, words: IterationWords, plan: Plan, stage: number): Program {
  cpu.phase(phaseOf(stage));
  if (stage !== Stage.Before) yield* startIteration(cpu, words, stage);
  yield awaitCompletion(cpu, words, plan.vcpus, stage);
  cpu.phase(PHASE_WAIT);
}

function* mainThread(cpu: Cpu, vm: Vm, words: IterationWords, plan: Plan): Program {
  const slot = vm.image.slots[1]!;
  yield runStage(cpu, words, plan, Stage.Before);
  yield runStage(cpu, words, plan, Stage.Create);
  cpu.phase(PHASE_FLAGS);
  yield enableDirtyLog(cpu, vm, slot);
  yield runStage(cpu, words, plan, Stage.Update);
  cpu.phase(PHASE_FLAGS);
  yield disableDirtyLog(cpu, vm, slot);
  yield runStage(cpu, words, plan, Stage.Adjust);
  yield* startIteration(cpu, words, QUIT);
}

function* vcpuThread(cpu: Cpu, vm: Vm, index: number, words: IterationWords, plan: Plan): Program {
  const writes = index % 2 === 0;
  yield* readIteration(cpu, words);
  for (let stage = cpu.lo; stage !== QUIT; stage = cpu.lo) {
    const current = stage;
    cpu.phase(phaseOf(current));
    yield runVcpu(cpu, vm, index, (at, vcpu) => guestCode(at, vcpu, plan, current, writes));
    cpu.phase(PHASE_WAIT);
    yield* completeIteration(cpu, words, index, current);
    yield* awaitIteration(cpu, words, current);
  }
}

function* guestCode(cpu: Cpu, vcpu: Vcpu, plan: Plan, stage: number, writes: boolean): Program {
  const { gva, bytes, largePageBytes, hitPs } = plan;
  if (stage === Stage.Create)
    yield* touchEvery(cpu, vcpu, gva, bytes, largePageBytes, writes, hitPs);
  if (stage === Stage.Adjust) yield* touchEvery(cpu, vcpu, gva, bytes, PAGE_BYTES, false, hitPs);
  if (stage !== Stage.Update) return;
  if (plan.backing.name === 'anonymous') {
    yield* touchEvery(cpu, vcpu, gva, bytes, PAGE_BYTES, true, hitPs);
    return;
  }
  const half = largePageBytes / 2;
  for (let offset = 0; offset < bytes; offset += largePageBytes) {
    yield* touch(cpu, vcpu, gva + offset, true, hitPs);
    yield* touchEvery(cpu, vcpu, gva + offset + half, half, PAGE_BYTES, false, hitPs);
  }
}

function* touchEvery(
  cpu: Cpu,
  vcpu: Vcpu,
  gva: number,
  bytes: number,
  step: number,
  write: boolean,
  hitPs: number,
): Program {
  for (let offset = 0; offset < bytes; offset += step) {
    yield* touch(cpu, vcpu, gva + offset, write, hitPs);
  }
}

function report(facts: RunFacts, _image: Image, context: WorkloadContext): readonly ReportLine[] {
  const plan = planOf(context);
  const hex = (value: number): string => `0x${value.toString(16)}`;
  const total = (name: string, stage: number): string =>
    `${name}: total execution time: ${seconds(phaseNs(facts, phaseOf(stage)))}`;
  const lines = [
    `Testing guest mode: ${guestModeText(plan.mode)}`,
    `Testing memory backing src type: ${plan.backing.name}`,
    `Testing memory backing src granularity: ${hex(plan.largePageBytes)}`,
    `Testing memory size(aligned): ${hex(plan.bytes)}`,
    `Guest physical test memory offset: ${hex(plan.gpa)}`,
    `Number of testing vCPUs: ${plan.vcpus}`,
    'Started all vCPUs successfully',
    total('KVM_CREATE_MAPPINGS', Stage.Create),
    '',
    total('KVM_UPDATE_MAPPINGS', Stage.Update),
    '',
    total('KVM_ADJUST_MAPPINGS', Stage.Adjust),
    '',
    perFaultLine(facts, plan.vcpus, 'create', phaseOf(Stage.Create)),
    perFaultLine(facts, plan.vcpus, 'update', phaseOf(Stage.Update)),
    perFaultLine(facts, plan.vcpus, 'adjust', phaseOf(Stage.Adjust)),
  ];
  const note = scaledNote('memory', plan.bytes);
  if (note !== null) lines.push(note);
  return lines.map((text) => ({ text }));
}

export const kvmPageTableTest: Workload = {
  name: 'kvm_page_table_test',
  description: 'all vCPUs map, split and rebuild the same stage-2 mappings at once',
  source: 'tools/testing/selftests/kvm/kvm_page_table_test.c',
  parameters: [
    VCPUS,
    {
      name: 'memory',
      alias: 'b',
      kind: 'size',
      default: formatBytes(4 * MIB),
      minimum: 4 * KIB,
      maximum: 128 * GIB,
      description: 'size of the memory that all vCPUs use; the selftest has 1G',
    },
    BACKING,
    MODE,
  ],
  kernelOptions: ['stage2'],
  kernelDefaults: { manualProtect: 'off', initiallySet: 'off' },
  seedMoves: ['when each vCPU starts', 'the order of free pages', 'ties of requests at homes'],
  phases: PHASES,
  streams: KVM_STREAMS,
  defaultMachine: 'ampere_altra_1p_q80',
  defaultCpus: (machine, parameters) =>
    vcpuCpus(machine, parameters, 8, memstressHelpers(parameters)),
  helperCpus: memstressHelpers,
  runsOnX86: false,
  minimumCpus: 2,
  guestTranslation: memstressTranslation,
  operations: (context) => {
    const plan = planOf(context);
    const small = plan.bytes / PAGE_BYTES;
    const large = plan.bytes / plan.largePageBytes;
    const update = plan.backing.name === 'anonymous' ? small : large + small / 2;
    return plan.vcpus * (large + update + small);
  },
  backedBytes: (context) => memstressBackedBytes(planOf(context), context) + MIB,
  boot: (boot, context) => {
    const plan = planOf(context);
    const node = context.machine.nodeOfCpu[plan.mainCpu]!;
    const words = bootIterations(boot, node, plan.vcpus);
    return { words, kvm: bootMemstress(boot, plan, context) } satisfies PageTableImage;
  },
  program: (cpu, image, context) => {
    const plan = planOf(context);
    const { kvm, words } = image as PageTableImage;
    return kvmProgram(cpu, context, kvm, plan, {
      vcpu: (vm, index) => vcpuThread(cpu, vm, index, words, plan),
      main: (vm) => mainThread(cpu, vm, words, plan),
    });
  },
  report,
};
