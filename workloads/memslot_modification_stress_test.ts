/**
 * KVM's memslot_modification_stress_test (tools/testing/selftests/kvm/
 * memslot_modification_stress_test.c): vCPUs go over their memory again and again while the main
 * thread adds and deletes a memslot of one page just below it. Each change swaps the set of
 * memslots and waits for every vCPU that still uses the old one.
 *
 * Deviations: run_vcpus is a value of the iteration word; the dummy slot has the next free number
 * instead of 7. -x (disable slot zap quirk) is of x86. Memory is scaled down by default.
 */

import { MIB, PS_PER_S } from '../src/base/units.ts';
import type { Cpu, Program } from '../src/cpu/cpu.ts';
import { backingOf } from '../src/kernel/stage2/backing.ts';
import type { BootSlot } from '../src/kernel/stage2/boot-vm.ts';
import { createSlot, deleteSlot } from '../src/kernel/stage2/memslot-update.ts';
import type { KvmImage, Vm } from '../src/kernel/stage2/vm.ts';
import { Metric } from '../src/metrics/definition.ts';
import {
  bootIterations,
  type IterationWords,
  QUIT,
  readIteration,
  startIteration,
} from './common/iterations.ts';
import { KVM_STREAMS, kvmProgram, runPass } from './common/kvm-thread.ts';
import {
  type MemstressPlan,
  memstressHeader,
  memstressHelpers,
  memstressPlan,
  memstressTranslation,
  passOf,
} from './common/memstress.ts';
import { bootMemstress, memstressBackedBytes, memstressSlots } from './common/memstress-vm.ts';
import {
  MODE,
  OVERLAP,
  perFaultLine,
  perVcpuMemory,
  phaseNs,
  scaledNote,
  VCPUS,
  vcpuCpus,
} from './common/selftest.ts';
import { numberOf } from './common/values.ts';
import type { Image, ReportLine, RunFacts, Workload, WorkloadContext } from './workload.ts';

const PAGE_BYTES = 4096;
const PHASE_WAIT = 0;
const PHASE_STRESS = 1;

interface StressImage {
  readonly kvm: KvmImage;
  readonly words: IterationWords;
}

function planOf(context: WorkloadContext): MemstressPlan {
  return memstressPlan(context, memstressHelpers(context.parameters));
}

/** One page just below the test's memory; not there at the start. */
function dummySlot(plan: MemstressPlan): BootSlot {
  return {
    baseIpa: plan.gpa - PAGE_BYTES,
    bytes: PAGE_BYTES,
    backing: backingOf('anonymous'),
    guestVirtual: null,
    present: false,
  };
}

/** add_remove_memslot. */
function* mainThread(cpu: Cpu, vm: Vm, words: IterationWords, context: WorkloadContext): Program {
  const slot = vm.image.slots[2]!;
  const delayPs = numberOf(context.parameters, 'delay');
  const iterations = numberOf(context.parameters, 'iterations');
  cpu.phase(PHASE_STRESS);
  for (let i = 0; i < iterations; i++) {
    cpu.compute(delayPs);
    yield createSlot(cpu, vm, slot);
    yield deleteSlot(cpu, vm, slot);
    cpu.mark();
  }
  cpu.phase(PHASE_WAIT);
  yield* startIteration(cpu, words, QUIT);
}

function* vcpuThread(
  cpu: Cpu,
  vm: Vm,
  index: number,
  words: IterationWords,
  plan: MemstressPlan,
): Program {
  cpu.phase(PHASE_STRESS);
  for (;;) {
    yield* readIteration(cpu, words);
    if (cpu.lo === QUIT) break;
    yield runPass(cpu, vm, index, passOf(plan, index, 100, false));
  }
  cpu.phase(PHASE_WAIT);
}

function report(facts: RunFacts, _image: Image, context: WorkloadContext): readonly ReportLine[] {
  const plan = planOf(context);
  const modify = facts.latency(Metric.MemslotModify, null, PHASE_STRESS);
  const lines = [
    ...memstressHeader(plan),
    'Finished creating vCPUs',
    'Started all vCPUs',
    'All vCPU threads joined',
    '',
    perFaultLine(facts, plan.vcpus, 'stress', PHASE_STRESS),
  ];
  if (modify !== null) {
    const us = (ns: number): string => (ns / 1000).toFixed(2);
    lines.push(
      `${modify.count} memslot changes: avg ${us(modify.meanNs)} us, max ${us(modify.maxNs)} us, ` +
        `in ${us(phaseNs(facts, PHASE_STRESS))} us`,
    );
  }
  const note = scaledNote('perVcpuMemory', plan.bytesPerVcpu);
  if (note !== null) lines.push(note);
  return lines.map((text) => ({ text }));
}

export const memslotModificationStressTest: Workload = {
  name: 'memslot_modification_stress_test',
  description: 'the VMM adds and deletes a memslot while vCPUs use their memory',
  source: 'tools/testing/selftests/kvm/memslot_modification_stress_test.c',
  parameters: [
    VCPUS,
    perVcpuMemory('1M'),
    {
      name: 'iterations',
      alias: 'i',
      kind: 'count',
      default: '10',
      minimum: 1,
      maximum: 1_000_000,
      description: 'times that the memslot is added and deleted',
    },
    {
      name: 'delay',
      alias: 'd',
      kind: 'time',
      default: '0',
      unit: 'us',
      maximum: PS_PER_S,
      description: 'pause before each of them',
    },
    MODE,
    OVERLAP,
  ],
  kernelOptions: ['stage2'],
  seedMoves: ['when each vCPU starts', 'the order of free pages', 'ties of requests at homes'],
  phases: [{ name: 'wait', warmUp: true }, { name: 'stress' }],
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
    return plan.vcpus * passOf(plan, 0, 100, false).pages;
  },
  backedBytes: (context) => memstressBackedBytes(planOf(context), context) + MIB,
  boot: (boot, context) => {
    const plan = planOf(context);
    const node = context.machine.nodeOfCpu[plan.mainCpu]!;
    const words = bootIterations(boot, node, plan.vcpus);
    const slots = [...memstressSlots(plan), dummySlot(plan)];
    return { words, kvm: bootMemstress(boot, plan, context, slots) } satisfies StressImage;
  },
  program: (cpu, image, context) => {
    const plan = planOf(context);
    const { kvm, words } = image as StressImage;
    return kvmProgram(cpu, context, kvm, plan, {
      vcpu: (vm, index) => vcpuThread(cpu, vm, index, words, plan),
      main: (vm) => mainThread(cpu, vm, words, context),
    });
  },
  report,
};
