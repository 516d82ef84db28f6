/**
 * KVM's demand_paging_test (tools/testing/selftests/kvm/demand_paging_test.c): vCPUs touch memory
 * that is not there. With -u, userfaultfd threads bring it: the fault of a vCPU queues a message
 * and sleeps, a reader thread on a CPU of its own copies the page in (UFFDIO_COPY, mode MISSING)
 * or maps the page that the file has (UFFDIO_CONTINUE, mode MINOR) and wakes the vCPU, as after
 * post-copy migration.
 *
 * Deviations: -c (pinning; --cpus does that) and -w (memory fault exits) are not offered. The
 * rate is printed as the corrected test prints it; old copies divided nanoseconds by 1e8. Memory
 * is scaled down by default.
 */

import { UserError } from '../src/base/errors.ts';
import type { Parameters } from '../src/base/parameters.ts';
import { MIB, PS_PER_S } from '../src/base/units.ts';
import type { Cpu, Program } from '../src/cpu/cpu.ts';
import type { BootSlot } from '../src/kernel/stage2/boot-vm.ts';
import { stopUserfaults } from '../src/kernel/stage2/userfault.ts';
import { userfaultHandler } from '../src/kernel/stage2/userfault-fill.ts';
import type { KvmImage, Vm } from '../src/kernel/stage2/vm.ts';
import type { Address } from '../src/memory/physical-address.ts';
import {
  awaitCompletion,
  bootIterations,
  completeIteration,
  type IterationWords,
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
import { flagOf, numberOf, textOf } from './common/values.ts';
import type { Image, ReportLine, RunFacts, Workload, WorkloadContext } from './workload.ts';

const PHASE_WAIT = 0;
const PHASE_PAGING = 1;
const PHASE_READERS = 2;
const DEFAULT_VCPUS = 8;
const NS_PER_S = 1e9;

interface Plan extends MemstressPlan {
  readonly uffdMode: 'off' | 'MISSING' | 'MINOR';
  /** CPUs of the reader threads of each userfaultfd. */
  readonly readers: readonly (readonly number[])[];
  readonly delayPs: number;
}

interface PagingImage {
  readonly kvm: KvmImage;
  readonly words: IterationWords;
  /** guest_data_prototype: what UFFDIO_COPY copies. */
  readonly prototype: Address;
}

/** userfaultfds for so many vCPUs: one each, or one for all. */
function uffdCount(parameters: Parameters, vcpus: number): number {
  if (textOf(parameters, 'uffdMode') === 'off') return 0;
  return flagOf(parameters, 'singleUffd') || flagOf(parameters, 'overlap') ? 1 : vcpus;
}

/** Without a number of vCPUs, as many as leave a CPU to every reader. */
function helperCpus(parameters: Parameters, cpus: number): number {
  const readers = numberOf(parameters, 'readers');
  const others = memstressHelpers(parameters);
  const given = parameters['vcpus'];
  if (typeof given === 'number') return others + uffdCount(parameters, given) * readers;
  let vcpus = Math.max(1, cpus - others);
  while (vcpus > 1 && vcpus + others + uffdCount(parameters, vcpus) * readers > cpus) vcpus--;
  return Math.max(others + uffdCount(parameters, vcpus) * readers, cpus - vcpus);
}

function planOf(context: WorkloadContext): Plan {
  const { parameters, placement } = context;
  const plan = memstressPlan(context, helperCpus(parameters, placement.cpus.length));
  const uffdMode = textOf(parameters, 'uffdMode') as Plan['uffdMode'];
  if (uffdMode === 'MINOR' && !plan.backing.shared) {
    throw new UserError(
      'uffdMode: userfaultfd MINOR mode requires shared memory; pick a different -s ' +
        '(backing=shmem)',
    );
  }
  const each = numberOf(parameters, 'readers');
  const first = plan.vcpus + 1;
  const readers = Array.from({ length: uffdCount(parameters, plan.vcpus) }, (_, uffd) =>
    placement.cpus.slice(first + uffd * each, first + (uffd + 1) * each),
  );
  return { ...plan, uffdMode, readers, delayPs: numberOf(parameters, 'uffdDelay') };
}

/** The test's memslot, registered with the userfaultfds. */
function slotsOf(plan: Plan): BootSlot[] {
  const slots = memstressSlots(plan);
  if (plan.uffdMode === 'off') return slots;
  const mode = plan.uffdMode === 'MINOR' ? 'minor' : 'missing';
  return slots.map((slot) => ({ ...slot, userfaults: { mode, readers: plan.readers } }));
}

function* mainThread(cpu: Cpu, vm: Vm, words: IterationWords, plan: Plan): Program {
  cpu.phase(PHASE_PAGING);
  yield awaitCompletion(cpu, words, plan.vcpus, 0);
  cpu.phase(PHASE_WAIT);
  for (const context of vm.image.slots[1]!.userfaults) yield stopUserfaults(cpu, context);
}

function* vcpuThread(cpu: Cpu, vm: Vm, index: number, words: IterationWords, plan: Plan): Program {
  cpu.phase(PHASE_PAGING);
  yield runPass(cpu, vm, index, passOf(plan, index, 100, false));
  cpu.phase(PHASE_WAIT);
  yield* completeIteration(cpu, words, index, 0);
}

function* readerThread(cpu: Cpu, vm: Vm, helper: number, image: PagingImage, plan: Plan): Program {
  const each = plan.readers[0]!.length;
  const slot = vm.image.slots[1]!;
  const context = slot.userfaults[Math.floor(helper / each)];
  if (context === undefined) return;
  cpu.phase(PHASE_READERS);
  yield userfaultHandler(cpu, vm, {
    slot,
    context,
    unitBytes: 2 ** plan.backing.unitShift,
    delayPs: plan.delayPs,
    source: image.prototype,
  });
}

function report(facts: RunFacts, _image: Image, context: WorkloadContext): readonly ReportLine[] {
  const plan = planOf(context);
  const ns = phaseNs(facts, PHASE_PAGING);
  const perVcpu = (passOf(plan, 0, 100, false).pages / ns) * NS_PER_S;
  const lines = [
    ...memstressHeader(plan),
    'Finished creating vCPUs and starting uffd threads',
    'Started all vCPUs',
    'All vCPU threads joined',
    `Total guest execution time:\t${seconds(ns)}`,
    `Per-vcpu demand paging rate:\t${perVcpu.toFixed(6)} pgs/sec/vcpu`,
    `Overall demand paging rate:\t${(perVcpu * plan.vcpus).toFixed(6)} pgs/sec`,
    '',
    perFaultLine(facts, plan.vcpus, 'demand paging', PHASE_PAGING),
  ];
  const note = scaledNote('perVcpuMemory', plan.bytesPerVcpu);
  if (note !== null) lines.push(note);
  return lines.map((text) => ({ text }));
}

export const demandPagingTest: Workload = {
  name: 'demand_paging_test',
  description: 'vCPUs touch absent memory; with u=MISSING|MINOR userfaultfd threads bring it',
  source: 'tools/testing/selftests/kvm/demand_paging_test.c',
  parameters: [
    VCPUS,
    perVcpuMemory('2M'),
    {
      name: 'uffdMode',
      alias: 'u',
      kind: 'choice',
      values: ['off', 'MISSING', 'MINOR'],
      default: 'off',
      description: 'use userfaultfd to handle page faults; MINOR needs a shared backing',
    },
    {
      name: 'singleUffd',
      alias: 'a',
      kind: 'flag',
      default: 'off',
      description: 'one userfaultfd for all of guest memory instead of one per vCPU (implied by o)',
    },
    {
      name: 'uffdDelay',
      alias: 'd',
      kind: 'time',
      default: '0',
      unit: 'us',
      maximum: PS_PER_S,
      description: 'delay of a reader before it answers',
    },
    {
      name: 'readers',
      alias: 'r',
      kind: 'count',
      default: '1',
      minimum: 1,
      maximum: 64,
      description: 'reader threads per userfaultfd',
    },
    BACKING,
    MODE,
    OVERLAP,
  ],
  kernelOptions: ['stage2'],
  seedMoves: ['when each vCPU starts', 'the order of free pages', 'ties of requests at homes'],
  phases: [{ name: 'wait', warmUp: true }, { name: 'paging' }, { name: 'uffd' }],
  streams: KVM_STREAMS,
  defaultMachine: 'ampere_altra_1p_q80',
  defaultCpus: (machine, parameters) => {
    const given = parameters['vcpus'];
    const vcpus = typeof given === 'number' ? given : DEFAULT_VCPUS;
    const uffds = uffdCount(parameters, vcpus) * numberOf(parameters, 'readers');
    return vcpuCpus(machine, parameters, vcpus, memstressHelpers(parameters) + uffds);
  },
  helperCpus,
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
    const unitBytes = 2 ** plan.backing.unitShift;
    const prototype = boot.allocateUnbacked(node, unitBytes, unitBytes);
    const kvm = bootMemstress(boot, plan, context, slotsOf(plan));
    return { words, prototype, kvm } satisfies PagingImage;
  },
  program: (cpu, image, context) => {
    const plan = planOf(context);
    const own = image as PagingImage;
    return kvmProgram(cpu, context, own.kvm, plan, {
      vcpu: (vm, index) => vcpuThread(cpu, vm, index, own.words, plan),
      main: (vm) => mainThread(cpu, vm, own.words, plan),
      helper: (vm, helper) => readerThread(cpu, vm, helper, own, plan),
    });
  },
  report,
};
