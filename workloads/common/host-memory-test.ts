/**
 * The four tests of will-it-scale that map, touch and unmap memory, as one workload with a few
 * words exchanged: page_fault1, page_fault2, page_fault3 and mmap1 differ in what they map and in
 * whether they touch it. Each task has a temporary file of its own where the test maps one.
 */

import { CheckError } from '../../src/base/errors.ts';
import { MIB } from '../../src/base/units.ts';
import type { Cpu, Program } from '../../src/cpu/cpu.ts';
import { Order } from '../../src/cpu/operations.ts';
import { bootPageAllocator, metadataBytes } from '../../src/kernel/base/boot-page-allocator.ts';
import { PageAllocator, type PageAllocatorImage } from '../../src/kernel/base/page-allocator.ts';
import { rcuExitIdle } from '../../src/kernel/base/rcu.ts';
import { bootRcu, Rcu, type RcuImage } from '../../src/kernel/base/rcu-callbacks.ts';
import { PAGE_BYTES, STRUCT_PAGE_BYTES } from '../../src/kernel/base/struct-page.ts';
import { MigrateType } from '../../src/kernel/base/zone.ts';
import { auditPages, type Peek } from '../../src/kernel/base/zone-audit.ts';
import { type AddressSpace, makeAddressSpace } from '../../src/kernel/mm/address-space.ts';
import { type AsidImage, asidBytes, bootAsids, switchMm } from '../../src/kernel/mm/asid.ts';
import { installFaultHandler } from '../../src/kernel/mm/fault.ts';
import {
  bootMm,
  type MmImage,
  mmBytes,
  slotStart,
  VmaKind,
} from '../../src/kernel/mm/mm-struct.ts';
import { mmap, munmap } from '../../src/kernel/mm/mmap.ts';
import { freeTable } from '../../src/kernel/mm/mmu-gather.ts';
import { makeNumaPolicy } from '../../src/kernel/mm/numa-policy.ts';
import { resolveMmOptions } from '../../src/kernel/mm/options.ts';
import {
  bootFile,
  cachedPages,
  type FileImage,
  fileBytes,
} from '../../src/kernel/mm/page-cache.ts';
import { makeShootdown } from '../../src/kernel/mm/shootdown.ts';
import { vaHi, vaLo } from '../../src/kernel/mm/virtual-address.ts';
import {
  bootSmp,
  type SmpCalls,
  type SmpImage,
  smpBytes,
} from '../../src/kernel/smp/call-function.ts';
import { CallNumber, openKernelSmp } from '../../src/kernel/smp/functions.ts';
import type { BootMemory } from '../../src/memory/boot.ts';
import type { Address } from '../../src/memory/physical-address.ts';
import { makeQueuedSpinlock } from '../../src/sync/qspinlock.ts';
import type { Image, Workload, WorkloadContext } from '../workload.ts';
import {
  areaBytes,
  bootResults,
  expectedOperations,
  isThreads,
  PHASES,
  parameters,
  type ResultImage,
  report,
  resultBytes,
  Sampler,
  SEED_MOVES,
  STREAMS,
  samplePlan,
} from './will-it-scale.ts';

export interface HostMemoryTest {
  readonly name: string;
  readonly description: string;
  /** testcase_description of the C file. */
  readonly testcase: string;
  readonly kind: VmaKind;
  /** mmap1 only maps and unmaps. */
  readonly touches: boolean;
  readonly scaledSize: string;
  /** For time estimates only: about how long one iteration takes alone. */
  readonly typicalPs: number;
}

interface HostMemoryImage {
  readonly results: ResultImage;
  readonly mms: readonly MmImage[];
  readonly files: readonly (FileImage | null)[];
  readonly rcu: RcuImage;
  readonly asids: AsidImage;
  readonly zeroPage: Address;
  readonly pages: PageAllocatorImage;
  /** Machines without broadcast invalidation whose tasks share a process, else null. */
  readonly smp: SmpImage | null;
}

/** Table pages that a CPU may have in its lists, in RCU callbacks and in use besides its area's. */
const SPARE_TABLES = 320;
/** Pages in a CPU's lists and batches. */
const SPARE_PAGES = 512;

function isFile(test: HostMemoryTest): boolean {
  return test.kind !== VmaKind.Anonymous;
}

/** Tasks whose memory may come to lie on one node. */
function tasksPerNode(context: WorkloadContext): number {
  const { machine, placement } = context;
  if (placement.memoryPolicy === 'bind') return placement.cpus.length;
  const counts = Array.from({ length: machine.nodeCount }, () => 0);
  let homeless = 0;
  for (const cpu of placement.cpus) {
    const node = machine.nodeOfCpu[cpu]!;
    if (machine.memoryBytesOfNode[node] === 0) homeless++;
    else counts[node]!++;
  }
  return homeless + Math.max(...counts);
}

/** Memory without bytes to manage per node: area and file of each task, and what is in flight. */
function movableBytes(test: HostMemoryTest, context: WorkloadContext): number {
  const area = Math.ceil(areaBytes(context) / (2 * MIB)) * 2 * MIB;
  const perTask = (isFile(test) ? 3 : 2) * area + SPARE_PAGES * PAGE_BYTES + 8 * MIB;
  return tasksPerNode(context) * perTask;
}

function backedBytes(test: HostMemoryTest, context: WorkloadContext): number {
  const tasks = context.placement.cpus.length;
  const tables = 2 * Math.ceil(areaBytes(context) / (2 * MIB)) + SPARE_TABLES;
  const perTask = tables * (PAGE_BYTES + STRUCT_PAGE_BYTES) + mmBytes(1);
  const file = isFile(test) ? fileBytes(areaBytes(context)) + 64 : 0;
  return (
    MIB +
    (flushesByIpi(context) ? smpBytes(tasks) : 0) +
    resultBytes(context) +
    asidBytes(context.machine.features.asidBits) +
    mmBytes(tasks) +
    tasksPerNode(context) * (perTask + file) +
    metadataBytes(movableBytes(test, context))
  );
}

/** Does a task's unmapping need other CPUs, and is there no broadcast? */
function flushesByIpi(context: WorkloadContext): boolean {
  return context.machine.architecture === 'x86' && isThreads(context);
}

function boot(test: HostMemoryTest, memory: BootMemory, context: WorkloadContext): Image {
  const { machine, placement } = context;
  const lock = makeQueuedSpinlock();
  const area = areaBytes(context);
  const nodeOf = (task: number): number => machine.nodeOfCpu[placement.cpus[task]!]!;
  const threads = isThreads(context);
  const mms = (threads ? [0] : [...placement.cpus.keys()]).map((task) =>
    bootMm(memory, {
      name: threads ? 'mm' : `mm${task}`,
      node: nodeOf(task),
      slots: threads ? placement.cpus.length : 1,
      areaBytes: area,
      pageTableLock: lock,
    }),
  );
  const files = placement.cpus.map((_, task) =>
    isFile(test) ? bootFile(memory, `tmpfile${task}`, nodeOf(task), area) : null,
  );
  const results = bootResults(memory, context);
  const rcu = bootRcu(memory, nodeOf(0), placement.cpus);
  const asids = bootAsids(memory, nodeOf(0), mms.length, lock);
  // Before the page allocator, which takes the rest.
  const smp = flushesByIpi(context) ? bootSmp(memory, placement.cpus) : null;
  const zeroPage = memory.allocateUnbacked(nodeOf(0), PAGE_BYTES, PAGE_BYTES);
  const pages = bootPageAllocator(memory, {
    zoneLock: lock,
    movableBytes: movableBytes(test, context),
    autoTune: resolveMmOptions(context.parameters).pageLists === 'auto',
  });
  return { results, mms, files, rcu, asids, zeroPage, pages, smp } satisfies HostMemoryImage;
}

function addressSpace(
  image: HostMemoryImage,
  context: WorkloadContext,
  task: number,
  calls: SmpCalls | null,
) {
  const { machine, placement } = context;
  const pages = new PageAllocator(image.pages, makeQueuedSpinlock());
  const rcu = new Rcu(image.rcu, [(cpu, hi, lo) => freeTable(cpu, pages, hi, lo)]);
  return makeAddressSpace({
    mm: image.mms[isThreads(context) ? 0 : task]!,
    machine,
    pages,
    rcu,
    freeTableFunction: 0,
    options: resolveMmOptions(context.parameters),
    policy: makeNumaPolicy(machine, placement.memoryPolicy, placement.bindNode),
    zeroPage: image.zeroPage,
    shootdown: machine.architecture === 'x86' ? makeShootdown(calls, CallNumber.Shootdown) : null,
  });
}

/** One pass of the test's loop; with a sampler that is over, it ends early but unmaps. */
function* pass(
  cpu: Cpu,
  test: HostMemoryTest,
  space: AddressSpace,
  slot: number,
  bytes: number,
  file: FileImage | null,
  sampler: Sampler | null,
): Program {
  yield mmap(cpu, space, slot, bytes, test.kind, file);
  if (test.touches) {
    const start = slotStart(space.mm, slot);
    for (let address = start; address < start + bytes; address += PAGE_BYTES) {
      while (!cpu.store8(vaHi(address), vaLo(address), 0, Order.Relaxed)) yield;
      if (sampler === null) {
        cpu.mark();
        continue;
      }
      yield* sampler.count(cpu);
      if (sampler.isOver) break;
    }
  }
  yield munmap(cpu, space, slot);
  if (!test.touches && sampler !== null) yield* sampler.count(cpu);
  yield space.rcu.poll(cpu);
}

function* task(
  cpu: Cpu,
  test: HostMemoryTest,
  image: HostMemoryImage,
  context: WorkloadContext,
  number: number,
): Program {
  const calls = image.smp === null ? null : openKernelSmp(cpu, context.machine, image.smp).calls;
  const space = addressSpace(image, context, number, calls);
  const { mm } = space;
  const slot = isThreads(context) ? number : 0;
  const bytes = areaBytes(context);
  const file = image.files[number]!;
  const sampler = new Sampler(samplePlan(context), image.results, number);
  cpu.phase(0);
  installFaultHandler(cpu, space);
  yield* switchMm(cpu, mm, image.asids, makeQueuedSpinlock());
  while (!rcuExitIdle(cpu)) yield;
  yield pass(cpu, test, space, slot, bytes, file, null);
  yield sampler.start(cpu, image.results, context.placement.cpus.length);
  while (!sampler.isOver) yield pass(cpu, test, space, slot, bytes, file, sampler);
  yield space.rcu.finish(cpu);
  if (calls !== null) yield* calls.leave(cpu);
}

/** Every frame is accounted for, and only page caches still hold user pages. */
function checkFrames(
  pages: PageAllocatorImage,
  files: readonly (FileImage | null)[],
  peek: Peek,
): void {
  let cached = 0;
  for (const file of files) if (file !== null) cached += cachedPages(file, peek);
  let held = 0;
  for (const { type, allocated } of auditPages(pages, peek)) {
    if (type === MigrateType.Movable) held += allocated;
  }
  if (held === cached) return;
  throw new CheckError(`${held - cached} user pages were never given back`);
}

export function makeHostMemoryTest(test: HostMemoryTest): Workload {
  return {
    name: test.name,
    description: test.description,
    source: `will-it-scale tests/${test.name}.c and main.c`,
    parameters: parameters(test.scaledSize),
    kernelOptions: ['mm'],
    seedMoves: SEED_MOVES,
    phases: PHASES,
    streams: STREAMS,
    defaultMachine: 'graviton4_2p',
    defaultCpus: (machine) => Math.min(16, machine.cpuCount),
    helperCpus: () => 0,
    operations: (context) => expectedOperations(context, test.typicalPs),
    runsOnX86: true,
    minimumCpus: 1,
    backedBytes: (context) => backedBytes(test, context),
    boot: (memory, context) => boot(test, memory, context),
    program: (cpu, image, context) => {
      const number = context.placement.cpus.indexOf(cpu.id);
      return number < 0 ? null : task(cpu, test, image as HostMemoryImage, context, number);
    },
    report: (facts, image, context) => {
      const { results, pages, files } = image as HostMemoryImage;
      checkFrames(pages, files, facts.peek32);
      return report(test.testcase, facts, results, context);
    },
  };
}
