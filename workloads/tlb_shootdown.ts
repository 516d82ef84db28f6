/**
 * Invalidation of one page that other CPUs use: what mprotect or page migration costs per page, and
 * what it does to the bystanders. Initiators rewrite the page's descriptor (one software bit, so
 * that it stays valid) and make every CPU forget the old one; all other CPUs run in the same
 * address space and read the page now and then.
 *
 * method=auto is what the machine's kernel does: tlbi on arm64, ipi on x86, which has no tlbi.
 * method=tlbi follows arm64 flush_tlb_page: DSB ISHST, TLBI VALE1IS, DSB ISH. method=ipi follows
 * smp_call_function_many_cond (kernel/smp.c) as x86 uses it: one call entry per target, pushed onto
 * the target's lock-free list, an IPI only if the list was empty, a local invalidation by the
 * handler, and one flag per target that the initiator waits for.
 */

import { assert } from '../src/base/assert.ts';
import { UserError } from '../src/base/errors.ts';
import { LINE_BYTES, MIB, PS_PER_S, threeDigits } from '../src/base/units.ts';
import type { Cpu, Program } from '../src/cpu/cpu.ts';
import { Condition, Fence, Order, Scope, Tlbi } from '../src/cpu/operations.ts';
import type { BootMemory } from '../src/memory/boot.ts';
import { type Address, addBytes, toLinear } from '../src/memory/physical-address.ts';
import { Metric } from '../src/metrics/definition.ts';
import { BARRIER_BYTES, barrier } from './common/barrier.ts';
import {
  createUserSpace,
  enterUserSpace,
  mapUserPages,
  pageDescriptor,
  type UserSpace,
} from './common/user-space.ts';
import { numberOf, textOf } from './common/values.ts';
import type { Image, ReportLine, RunFacts, Workload, WorkloadContext } from './workload.ts';

const VECTOR_CALL_FUNCTION = 0;
const PHASE_WARM_UP = 0;
const PHASE_SHOOTDOWN = 1;
const STREAM_START = 0;
/** The page, in the users' address space. */
const PAGE: Address = Object.freeze({ hi: 1, lo: 0 });
/** A software bit of the descriptor (bit 58). */
const SOFTWARE_BIT_HI = 1 << 26;
/** Fields of a call entry (call_single_data_t), a line each. */
const CSD_NEXT = 0;
const CSD_LOCKED = 8;

interface ShootdownImage {
  readonly space: UserSpace;
  readonly descriptor: Address;
  readonly barrier: Address;
  readonly finished: Address;
  readonly stop: Address;
  /** By CPU of the machine: head of the list of calls; a line on the CPU's node. */
  readonly queues: readonly Address[];
  /** By initiator: entries by role, one line each. */
  readonly calls: readonly Address[];
}

/** Broadcast or IPI; a machine without broadcasts can't be asked for them. */
function isByIpi({ machine, parameters }: WorkloadContext): boolean {
  const method = textOf(parameters, 'method');
  if (method === 'auto') return machine.architecture === 'x86';
  if (method === 'tlbi' && machine.architecture === 'x86') {
    throw new UserError(
      `method=tlbi: ${machine.name} is x86, which has no broadcast invalidation; ` +
        'would be right: method=ipi',
    );
  }
  return method === 'ipi';
}

function initiatorsOf(context: WorkloadContext): number {
  const initiators = numberOf(context.parameters, 'initiators');
  const cpus = context.placement.cpus.length;
  if (initiators > cpus) {
    throw new UserError(`initiators: ${initiators} are more than the ${cpus} CPUs of the run`);
  }
  return initiators;
}

function boot(memory: BootMemory, context: WorkloadContext): Image {
  // Refuses a method that the machine doesn't have.
  isByIpi(context);
  const { machine, placement } = context;
  const first = machine.nodeOfCpu[placement.cpus[0]!]!;
  const space = createUserSpace(memory, first);
  mapUserPages(memory, space, PAGE, memory.allocateUnbacked(first, 4096), 4096, 12);
  const word = (name: string): Address => toLinear(memory.allocateNamed(name, first, LINE_BYTES));
  const queues = placement.cpus.map((cpu) =>
    toLinear(memory.allocate(machine.nodeOfCpu[cpu]!, LINE_BYTES)),
  );
  const calls = placement.cpus.slice(0, initiatorsOf(context)).map((cpu) => {
    const bytes = placement.cpus.length * LINE_BYTES;
    return toLinear(memory.allocate(machine.nodeOfCpu[cpu]!, bytes));
  });
  const descriptor = pageDescriptor(memory, space, PAGE);
  memory.name('pte of the page', descriptor, 8);
  return {
    space,
    descriptor: toLinear(descriptor),
    barrier: toLinear(memory.allocateNamed('barrier', first, BARRIER_BYTES, BARRIER_BYTES)),
    finished: word('finished initiators'),
    stop: word('stop'),
    queues,
    calls,
  } satisfies ShootdownImage;
}

function* flushByTlbi(cpu: Cpu): Program {
  while (!cpu.tlbi(Tlbi.VaLE1Is, PAGE.hi, PAGE.lo, 0)) yield;
  while (!cpu.dsb(Scope.InnerShareable)) yield;
}

function* flushLocally(cpu: Cpu): Program {
  while (!cpu.tlbi(Tlbi.VaE1, PAGE.hi, PAGE.lo, 0)) yield;
  while (!cpu.dsb(Scope.NonShareable)) yield;
}

/**
 * generic_smp_call_function_single_interrupt: takes the whole list, runs and unlocks each entry.
 */
function* callFunctionInterrupt(cpu: Cpu, queue: Address): Program {
  while (!cpu.swap64(queue.hi, queue.lo, 0, 0, Order.AcquireRelease)) yield;
  let { hi, lo } = cpu;
  while ((hi | lo) !== 0) {
    while (!cpu.load64(hi, lo + CSD_NEXT, Order.Acquire)) yield;
    const nextHi = cpu.hi;
    const nextLo = cpu.lo;
    yield* flushLocally(cpu);
    while (!cpu.store32(hi, lo + CSD_LOCKED, 0, Order.Release)) yield;
    hi = nextHi;
    lo = nextLo;
  }
}

/** llist_add: returns through cpu.ok whether the list was empty. */
function* pushCall(cpu: Cpu, queue: Address, call: Address): Program {
  for (;;) {
    while (!cpu.load64(queue.hi, queue.lo, Order.Relaxed)) yield;
    const headHi = cpu.hi;
    const headLo = cpu.lo;
    while (!cpu.store64(call.hi, call.lo + CSD_NEXT, headHi, headLo, Order.Relaxed)) yield;
    while (!cpu.cas64(queue.hi, queue.lo, headHi, headLo, call.hi, call.lo, Order.AcquireRelease)) {
      yield;
    }
    if (cpu.ok) {
      cpu.ok = (headHi | headLo) === 0;
      return;
    }
  }
}

function* flushByIpi(cpu: Cpu, image: ShootdownImage, cpus: readonly number[]): Program {
  const role = cpus.indexOf(cpu.id);
  const calls = image.calls[role]!;
  for (let target = 0; target < cpus.length; target++) {
    if (target === role) continue;
    const call = addBytes(calls, target * LINE_BYTES);
    while (!cpu.store32(call.hi, call.lo + CSD_LOCKED, 1, Order.Relaxed)) yield;
    yield* pushCall(cpu, image.queues[target]!, call);
    if (!cpu.ok) continue;
    while (!cpu.ipi(cpus[target]!, VECTOR_CALL_FUNCTION)) yield;
  }
  yield* flushLocally(cpu);
  for (let target = 0; target < cpus.length; target++) {
    if (target === role) continue;
    const { hi, lo } = addBytes(calls, target * LINE_BYTES);
    while (!cpu.cond32(hi, lo + CSD_LOCKED, Condition.Equal, -1, 0, Order.Acquire)) yield;
  }
}

function* shootdown(
  cpu: Cpu,
  image: ShootdownImage,
  byIpi: boolean,
  cpus: readonly number[],
): Program {
  const { hi, lo } = image.descriptor;
  while (!cpu.load64(hi, lo, Order.Relaxed)) yield;
  const valueHi = cpu.hi ^ SOFTWARE_BIT_HI;
  const valueLo = cpu.lo;
  while (!cpu.store64(hi, lo, valueHi, valueLo, Order.Relaxed)) yield;
  cpu.begin(Metric.ShootdownTlbi);
  while (!cpu.fence(Fence.DsbIshSt)) yield;
  if (byIpi) yield* flushByIpi(cpu, image, cpus);
  else yield* flushByTlbi(cpu);
  cpu.end(Metric.ShootdownTlbi);
  cpu.mark();
}

/** Reads the page until the last initiator has finished. */
function* bystand(cpu: Cpu, image: ShootdownImage, intervalPs: number): Program {
  const { hi, lo } = image.stop;
  for (;;) {
    while (!cpu.load32(hi, lo, Order.Relaxed)) yield;
    if (cpu.lo !== 0) return;
    cpu.begin(Metric.MemoryRead);
    while (!cpu.load64(PAGE.hi, PAGE.lo, Order.Relaxed)) yield;
    cpu.end(Metric.MemoryRead);
    cpu.compute(intervalPs);
  }
}

function* participant(cpu: Cpu, image: ShootdownImage, context: WorkloadContext): Program {
  const { placement, parameters } = context;
  const { cpus } = placement;
  const role = cpus.indexOf(cpu.id);
  assert(role >= 0, `cpu ${cpu.id} has no role`);
  const queue = image.queues[role]!;
  cpu.setInterrupt(VECTOR_CALL_FUNCTION, (receiver) => callFunctionInterrupt(receiver, queue));
  yield* enterUserSpace(cpu, image.space);
  while (!cpu.load64(PAGE.hi, PAGE.lo, Order.Relaxed)) yield;
  yield barrier(cpu, image.barrier.hi, image.barrier.lo, cpus.length);
  cpu.phase(PHASE_SHOOTDOWN);
  const accessPs = numberOf(parameters, 'accessInterval');
  const initiators = initiatorsOf(context);
  if (role < initiators) {
    const byIpi = isByIpi(context);
    const intervalPs = numberOf(parameters, 'interval');
    cpu.compute(cpu.random(STREAM_START) % (intervalPs + 1));
    const operations = numberOf(parameters, 'operations');
    for (let i = 0; i < operations; i++) {
      yield shootdown(cpu, image, byIpi, cpus);
      cpu.compute(intervalPs);
    }
    while (!cpu.add32(image.finished.hi, image.finished.lo, 1, Order.AcquireRelease)) yield;
    if (cpu.lo === initiators - 1) {
      while (!cpu.store32(image.stop.hi, image.stop.lo, 1, Order.Release)) yield;
    }
  } else {
    cpu.compute(cpu.random(STREAM_START) % (accessPs + 1));
  }
  yield bystand(cpu, image, accessPs);
  cpu.phase(PHASE_WARM_UP);
}

function report(facts: RunFacts, _image: Image, context: WorkloadContext): readonly ReportLine[] {
  const latency = facts.latency(Metric.ShootdownTlbi, null, PHASE_SHOOTDOWN);
  const access = facts.latency(Metric.MemoryRead, null, PHASE_SHOOTDOWN);
  if (latency === null) return [];
  const others = context.placement.cpus.length - 1;
  const seconds = facts.emulatedNs / (PS_PER_S / 1000);
  const lines = [
    `${latency.count} shootdowns of one page by ${isByIpi(context) ? 'ipi' : 'tlbi'} against ` +
      `${others} other CPUs: avg ${threeDigits(latency.meanNs)} ns, ` +
      `p99 ${threeDigits(latency.p99Ns)} ns, ` +
      `${(latency.count / seconds).toFixed(0)} per second`,
  ];
  if (access !== null) {
    lines.push(
      `bystanders' read of the page: p50 ${threeDigits(access.p50Ns)} ns, ` +
        `p99 ${threeDigits(access.p99Ns)} ns, max ${threeDigits(access.maxNs)} ns`,
    );
  }
  return lines.map((text) => ({ text }));
}

export const tlbShootdown: Workload = {
  name: 'tlb_shootdown',
  description: 'invalidating one page against CPUs that use it, by broadcast TLBI or by IPI',
  source: 'arm64 flush_tlb_page; kernel/smp.c smp_call_function_many_cond',
  parameters: [
    {
      name: 'method',
      kind: 'choice',
      values: ['auto', 'tlbi', 'ipi'],
      default: 'auto',
      description:
        'broadcast TLBI and DSB, or IPIs and a flag per CPU; auto: as the machine has it',
    },
    {
      name: 'initiators',
      kind: 'count',
      default: '1',
      minimum: 1,
      maximum: 1024,
      description: 'CPUs that invalidate; all others only use the page',
    },
    {
      name: 'operations',
      alias: 'i',
      kind: 'count',
      default: '500',
      minimum: 1,
      maximum: 10_000_000,
      description: 'shootdowns per initiator',
    },
    {
      name: 'interval',
      kind: 'time',
      default: '2us',
      unit: 'ns',
      maximum: PS_PER_S,
      description: 'work of an initiator between two shootdowns',
    },
    {
      name: 'accessInterval',
      kind: 'time',
      default: '1us',
      unit: 'ns',
      minimum: 10_000,
      maximum: PS_PER_S,
      description: 'work of the other CPUs between two reads of the page',
    },
  ],
  kernelOptions: [],
  seedMoves: ['when each CPU starts', 'ties of requests at homes and DVM agents'],
  phases: [{ name: 'warm-up', warmUp: true }, { name: 'shootdown' }],
  streams: ['start'],
  defaultMachine: 'graviton4_2p',
  defaultCpus: (machine) => Math.min(64, machine.cpuCount),
  helperCpus: () => 0,
  runsOnX86: true,
  minimumCpus: 2,
  backedBytes: (context) =>
    MIB + context.placement.cpus.length * LINE_BYTES * (2 + initiatorsOf(context)),
  operations: (context) => initiatorsOf(context) * numberOf(context.parameters, 'operations'),
  boot,
  program: (cpu, image, context) =>
    context.placement.cpus.includes(cpu.id)
      ? participant(cpu, image as ShootdownImage, context)
      : null,
  report,
};
