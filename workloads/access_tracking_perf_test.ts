/**
 * KVM's access_tracking_perf_test (tools/testing/selftests/kvm/access_tracking_perf_test.c):
 * vCPUs populate, write and read their memory, mark it idle page by page through page_idle, write
 * it, mark it again, read it. Marking calls the clear_young notifier, which clears the access
 * flag under mmu_lock held for writing and flushes nothing; the next access of an idle page takes
 * an access-flag fault, unless a TLB still has the page or the hardware sets the flag itself.
 *
 * A region must be many times the reach of the TLB, or most of it stays idle: the default is
 * scaled to that, with few vCPUs.
 *
 * Deviations: -c and -n are not offered. The idle flag is a bitmap, not a bit of struct page; the
 * VMM's own page table has no access flag. The warning means more than 10 % still idle, as its
 * words say; a stored copy of the test compares the wrong way round.
 */

import { LINE_BYTES, MIB } from '../src/base/units.ts';
import type { Cpu, Program } from '../src/cpu/cpu.ts';
import { Order } from '../src/cpu/operations.ts';
import { clearYoungNotify } from '../src/kernel/stage2/notifier.ts';
import type { KvmImage, Vm } from '../src/kernel/stage2/vm.ts';
import { Cost } from '../src/machine/costs.ts';
import { type Address, addBytes, fromLinear, toLinear } from '../src/memory/physical-address.ts';
import {
  awaitCompletion,
  awaitIteration,
  bootIterations,
  completeIteration,
  type IterationWords,
  QUIT,
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
import type { Image, ReportLine, RunFacts, Workload, WorkloadContext } from './workload.ts';

const PAGE_BYTES = 4096;
const PHASE_WAIT = 0;

type Work = 'write' | 'read' | 'mark';

/** The test's iterations 1, 2, ...; each is a phase of that number. */
const ITERATIONS: readonly {
  readonly name: string;
  readonly words: string;
  readonly work: Work;
}[] = [
  { name: 'populate', words: 'Populating memory', work: 'write' },
  { name: 'write-populated', words: 'Writing to populated memory', work: 'write' },
  { name: 'read-populated', words: 'Reading from populated memory', work: 'read' },
  { name: 'mark-idle-1', words: 'Mark memory idle', work: 'mark' },
  { name: 'write-idle', words: 'Writing to idle memory', work: 'write' },
  { name: 'mark-idle-2', words: 'Mark memory idle', work: 'mark' },
  { name: 'read-idle', words: 'Reading from idle memory', work: 'read' },
];

interface TrackingImage {
  readonly kvm: KvmImage;
  readonly words: IterationWords;
  /** One bit per page of the test's memory: marked idle. */
  readonly idle: Address;
  /** By vCPU: pages that were still idle when they were to be marked, all marks together. */
  readonly stillIdle: Address;
}

function planOf(context: WorkloadContext): MemstressPlan {
  return memstressPlan(context, memstressHelpers(context.parameters));
}

function* mainThread(cpu: Cpu, image: TrackingImage, plan: MemstressPlan): Program {
  for (let iteration = 1; iteration <= ITERATIONS.length; iteration++) {
    cpu.phase(iteration);
    yield* startIteration(cpu, image.words, iteration);
    yield awaitCompletion(cpu, image.words, plan.vcpus, iteration);
  }
  cpu.phase(PHASE_WAIT);
  yield* startIteration(cpu, image.words, QUIT);
}

function* vcpuThread(
  cpu: Cpu,
  vm: Vm,
  index: number,
  image: TrackingImage,
  plan: MemstressPlan,
): Program {
  const { words } = image;
  yield* awaitIteration(cpu, words, 0);
  for (let iteration = cpu.lo; iteration !== QUIT; iteration = cpu.lo) {
    cpu.phase(iteration);
    const { work } = ITERATIONS[iteration - 1]!;
    if (work !== 'mark') {
      yield runPass(cpu, vm, index, passOf(plan, index, work === 'write' ? 100 : 0, false));
    } else if (!plan.overlap || index === 0) {
      yield markMemoryIdle(cpu, vm, index, image, plan);
    }
    cpu.phase(PHASE_WAIT);
    yield* completeIteration(cpu, words, index, iteration);
    yield* awaitIteration(cpu, words, iteration);
  }
}

/** mark_vcpu_memory_idle: for each page, pagemap is read, page_idle is read and written. */
function* markMemoryIdle(
  cpu: Cpu,
  vm: Vm,
  index: number,
  image: TrackingImage,
  plan: MemstressPlan,
): Program {
  const { gva, pages, pageBytes } = passOf(plan, index, 0, false);
  let stillIdle = 0;
  for (let page = 0; page < pages; page++) {
    const offset = gva - plan.gva + page * pageBytes;
    cpu.spendMany(Cost.Syscall, 2);
    yield* isPageIdle(cpu, vm, image, offset);
    if (cpu.ok) {
      stillIdle++;
      continue;
    }
    cpu.spend(Cost.Syscall);
    yield clearYoungNotify(cpu, vm, vm.image.slots[1]!, offset, PAGE_BYTES);
    const { word, bit } = idleBit(image, offset);
    while (!cpu.set32(word.hi, word.lo, bit, Order.Relaxed)) yield;
    cpu.mark();
  }
  const count = addBytes(image.stillIdle, index * LINE_BYTES);
  while (!cpu.add32(count.hi, count.lo, stillIdle, Order.Relaxed)) yield;
}

/** page_idle_bitmap_read: a page marked idle that was accessed since is not idle. */
function* isPageIdle(cpu: Cpu, vm: Vm, image: TrackingImage, offset: number): Program {
  const { word, bit } = idleBit(image, offset);
  while (!cpu.load32(word.hi, word.lo, Order.Relaxed)) yield;
  const marked = (cpu.lo & bit) !== 0;
  cpu.ok = false;
  if (!marked) return;
  yield clearYoungNotify(cpu, vm, vm.image.slots[1]!, offset, PAGE_BYTES);
  const accessed = cpu.ok;
  if (accessed) while (!cpu.clear32(word.hi, word.lo, bit, Order.Relaxed)) yield;
  cpu.ok = !accessed;
}

function idleBit(image: TrackingImage, offset: number): { word: Address; bit: number } {
  const page = offset / PAGE_BYTES;
  return { word: addBytes(image.idle, Math.floor(page / 32) * 4), bit: 1 << (page & 31) };
}

function report(facts: RunFacts, image: Image, context: WorkloadContext): readonly ReportLine[] {
  const plan = planOf(context);
  const lines = [...memstressHeader(plan), ''];
  const pages = passOf(plan, 0, 0, false).pages;
  for (let vcpu = 0; vcpu < plan.vcpus; vcpu++) {
    const { hi, lo } = fromLinear((image as TrackingImage).stillIdle);
    const stillIdle = facts.peek32(hi, lo + vcpu * LINE_BYTES);
    if (stillIdle <= pages / 10) continue;
    lines.push(
      `WARNING: vCPU${vcpu}: Too many pages still idle (${stillIdle} out of ${pages}), ` +
        'this will affect performance results.',
    );
  }
  ITERATIONS.forEach(({ words }, index) => {
    lines.push(`${words.padEnd(30)}: ${seconds(phaseNs(facts, index + 1))}`);
  });
  lines.push('');
  ITERATIONS.forEach(({ name, work }, index) => {
    if (work !== 'mark') lines.push(perFaultLine(facts, plan.vcpus, name, index + 1));
  });
  const note = scaledNote('perVcpuMemory', plan.bytesPerVcpu);
  if (note !== null) lines.push(note);
  return lines.map((text) => ({ text }));
}

export const accessTrackingPerfTest: Workload = {
  name: 'access_tracking_perf_test',
  description: 'vCPUs use memory that page_idle marks idle: access-flag faults and clear_young',
  source: 'tools/testing/selftests/kvm/access_tracking_perf_test.c',
  parameters: [VCPUS, perVcpuMemory('56M'), BACKING, MODE, OVERLAP],
  kernelOptions: ['stage2'],
  seedMoves: ['when each vCPU starts', 'the order of free pages', 'ties of requests at homes'],
  phases: [{ name: 'wait', warmUp: true }, ...ITERATIONS.map(({ name }) => ({ name }))],
  streams: KVM_STREAMS,
  defaultMachine: 'ampere_altra_1p_q80',
  defaultCpus: (machine, parameters) =>
    vcpuCpus(machine, parameters, 2, memstressHelpers(parameters)),
  helperCpus: memstressHelpers,
  runsOnX86: false,
  minimumCpus: 2,
  guestTranslation: memstressTranslation,
  operations: (context) => {
    const plan = planOf(context);
    return 7 * plan.vcpus * passOf(plan, 0, 0, false).pages;
  },
  backedBytes: (context) => {
    const plan = planOf(context);
    return memstressBackedBytes(plan, context) + plan.bytes / PAGE_BYTES / 8 + MIB;
  },
  boot: (boot, context) => {
    const plan = planOf(context);
    const node = context.machine.nodeOfCpu[plan.mainCpu]!;
    const words = bootIterations(boot, node, plan.vcpus);
    const idle = boot.allocateNamed('page_idle', node, Math.ceil(plan.bytes / PAGE_BYTES / 32) * 4);
    const stillIdle = boot.allocate(node, plan.vcpus * LINE_BYTES);
    return {
      words,
      idle: toLinear(idle),
      stillIdle: toLinear(stillIdle),
      kvm: bootMemstress(boot, plan, context),
    } satisfies TrackingImage;
  },
  program: (cpu, image, context) => {
    const plan = planOf(context);
    const own = image as TrackingImage;
    return kvmProgram(cpu, context, own.kvm, plan, {
      vcpu: (vm, index) => vcpuThread(cpu, vm, index, own, plan),
      main: () => mainThread(cpu, own, plan),
    });
  },
  report,
};
