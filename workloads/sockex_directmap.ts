/**
 * Direct map fragmentation by BPF programs: instances of samples/bpf/sockex1, each of which changes
 * the permissions of three pages, loaded step by step, with DirectMap4k, 2M and 1G of /proc/meminfo
 * after each step (A. Lu, reply to execmem_alloc v2, 2022-11-07). With module_alloc every program
 * has a page of its own, whose linear alias becomes read-only: leaves around it are split and never
 * joined again. Where programs share packs nothing changes.
 *
 * Pages of module_alloc come from an aged buddy (common/aged-memory.ts) in memory without contents:
 * programs are loaded, never run. The first CPU loads; the others are idle and take the flushes.
 *
 * Deviations: an instance is its three allocations of text (64 + 64 + 192 bytes), no maps, no
 * sockets; the memory of the machine beyond `memory` is left out of the lines.
 */

import { UserError } from '../src/base/errors.ts';
import { GIB } from '../src/base/units.ts';
import type { Cpu, Program } from '../src/cpu/cpu.ts';
import { Order } from '../src/cpu/operations.ts';
import { ENOMEM } from '../src/kernel/base/errno.ts';
import { rcuExitIdle } from '../src/kernel/base/rcu.ts';
import { Rcu } from '../src/kernel/base/rcu-callbacks.ts';
import { PAGE_BYTES, PAGE_SHIFT } from '../src/kernel/base/struct-page.ts';
import { BpfJit } from '../src/kernel/bpf/jit.ts';
import { mapsByPages } from '../src/kernel/execmem/boot.ts';
import type { ExecutableMemory } from '../src/kernel/execmem/executable-memory.ts';
import { makeModuleAlloc, pagesOf } from '../src/kernel/execmem/module-alloc.ts';
import { resolveExecmemOptions } from '../src/kernel/execmem/options.ts';
import type { ExecmemParts } from '../src/kernel/execmem/parts.ts';
import { allocateInReach } from '../src/kernel/vmalloc/in-reach.ts';
import { Cost } from '../src/machine/costs.ts';
import type { BootMemory } from '../src/memory/boot.ts';
import { type Address, paHiOf, paLoOf, toLinear } from '../src/memory/physical-address.ts';
import { S1_KERNEL_DATA_HI, S1_KERNEL_DATA_LO } from '../src/translation/stage1-descriptors.ts';
import { agedLeaves, agedPages, agedTablesBytes, ageLinearMap } from './common/aged-memory.ts';
import { barrier } from './common/barrier.ts';
import {
  type BpfMachineImage,
  type BpfMachineSizes,
  bootBpfMachine,
  bpfMachineBytes,
  openBpfMachine,
  warmUp,
} from './common/bpf-machine.ts';
import { type DirectMapLine, sockexReport } from './common/sockex-report.ts';
import { numberOf, textOf } from './common/values.ts';
import type { BootedKernel, Workload, WorkloadContext } from './workload.ts';

/** Code of an instance's programs: 64, 64 and 192 bytes with header and room for traps. */
const CODE_BYTES: readonly number[] = [40, 40, 168];
const COUNTS_BYTES = 16;
const PHASE_WARM_UP = 0;
const PHASE_LOAD = 1;
const PHASE_FINISHED = 2;
const LEVELS = [3, 2, 1] as const;

/** Plain data. */
export interface SockexImage {
  readonly bpf: BpfMachineImage;
  /** Physical page numbers in the order in which they are given out, and how many were: linear. */
  readonly pages: readonly number[];
  readonly next: Address;
  readonly node: number;
  /** Physical address: at boot and after each step the leaves of 4K, 2M and 1G. */
  readonly counts: Address;
  /** Leaves at boot of the memory that the lines leave out. */
  readonly outside: DirectMapLine;
}

function stepsOf({ parameters }: WorkloadContext): readonly number[] {
  const text = textOf(parameters, 'steps');
  const steps = text.split(',').map((part) => (/^\d{1,6}$/.test(part) ? Number(part) : 0));
  const grow = steps.every((step, index) => step > (index === 0 ? 0 : steps[index - 1]!));
  if (!grow) {
    throw new UserError(
      `steps: '${text}' is no list of growing numbers of instances, as 512,1024,2048`,
    );
  }
  return steps;
}

function gigabytesOf(context: WorkloadContext): number {
  return Math.floor(numberOf(context.parameters, 'memory') / GIB);
}

function instancesOf(context: WorkloadContext): number {
  return stepsOf(context).at(-1)!;
}

function usesOwnPages({ machine, parameters }: WorkloadContext): boolean {
  return resolveExecmemOptions(parameters, machine).allocator === 'module_alloc';
}

function sizesOf(context: WorkloadContext): BpfMachineSizes {
  const programs = instancesOf(context) * CODE_BYTES.length;
  return { loaders: 1, liveMax: 64, userTextBytes: 0, areas: 600 + programs };
}

/** Arrays of frames, tables of vmalloc and of split leaves. */
function tablesBytes(context: WorkloadContext): number {
  const pages = instancesOf(context) * CODE_BYTES.length;
  const perPage = usesOwnPages(context) ? 2 * PAGE_BYTES : 64;
  const counts = (stepsOf(context).length + 1) * COUNTS_BYTES;
  return agedTablesBytes(gigabytesOf(context)) + pages * perPage + counts + PAGE_BYTES;
}

function nodeOf({ machine, placement }: WorkloadContext, boot: BootMemory): number {
  return boot.nearestNodeWithMemory(machine.nodeOfCpu[placement.cpus[0]!]!);
}

function refuseWhatCannotBe(context: WorkloadContext, node: number): void {
  const { machine, parameters } = context;
  const gigabytes = gigabytesOf(context);
  if (numberOf(parameters, 'memory') % GIB !== 0) {
    throw new UserError('memory: give whole gigabytes, as 10G');
  }
  if (machine.memoryBytesOfNode[node]! < gigabytes * GIB) {
    throw new UserError(
      `memory: node ${node} of ${machine.name} has less than ${gigabytes}G; use less`,
    );
  }
  const most = (gigabytes - 1) * 480;
  if (instancesOf(context) > most) {
    throw new UserError(
      `steps: ${instancesOf(context)} instances need more free pages than ${gigabytes}G of aged ` +
        `memory have; use at most ${most}, or memory=${Math.ceil(instancesOf(context) / 480) + 1}G`,
    );
  }
  if (usesOwnPages(context) && mapsByPages(machine, resolveExecmemOptions(parameters, machine))) {
    throw new UserError(
      `sockex_directmap: with rodata=full ${machine.name} maps its linear map by pages, so that ` +
        'nothing is left to split; use an x86 machine, rodata=noalias, or linearMapBbm=on where ' +
        'cpu.bbm=2-noabort (ampereone_192c_1p)',
    );
  }
}

function bootSockex(boot: BootMemory, context: WorkloadContext, kernel: BootedKernel): SockexImage {
  const node = nodeOf(context, boot);
  refuseWhatCannotBe(context, node);
  const gigabytes = gigabytesOf(context);
  ageLinearMap(boot, kernel.map, node, gigabytes);
  const next = toLinear(boot.allocateNamed('aged buddy', node, 64));
  const counts = boot.allocate(node, (stepsOf(context).length + 1) * COUNTS_BYTES);
  const count = usesOwnPages(context) ? instancesOf(context) * CODE_BYTES.length : 0;
  const firstPage = Math.ceil(boot.memory.backedBytes / PAGE_BYTES);
  const bpf = bootBpfMachine(boot, context, kernel, sizesOf(context));
  const { linear } = bpf.execmem;
  const [small, middle, large] = LEVELS.map((level) =>
    boot.read32({ hi: linear.counts.hi & 0xffff, lo: linear.counts.lo }, level * 4),
  );
  const inside = agedLeaves(gigabytes);
  return {
    bpf,
    pages: agedPages(context.seed, gigabytes, firstPage, count),
    next,
    node,
    counts,
    outside: {
      small: small! - inside.small,
      middle: middle! - inside.middle,
      large: large! - inside.large,
    },
  };
}

/** module_alloc on frames of the aged buddy. */
function makeAgedModuleAlloc(parts: ExecmemParts, image: SockexImage): ExecutableMemory {
  const { next, pages, node } = image;
  return {
    ...makeModuleAlloc(parts),
    *allocate(cpu, bytes) {
      yield* allocateInReach(cpu, parts.vmalloc, parts.image.reach.ranges, {
        bytes: pagesOf(bytes) * PAGE_BYTES,
        alignShift: PAGE_SHIFT,
        node,
        attributesHi: S1_KERNEL_DATA_HI,
        attributesLo: S1_KERNEL_DATA_LO,
        resetPermissions: true,
        *takeFrame(at) {
          at.spend(Cost.PageAlloc);
          while (!at.add32(next.hi, next.lo, 1, Order.Relaxed)) yield;
          const page = pages[at.lo];
          at.ret = page === undefined ? -ENOMEM : 0;
          at.hi = paHiOf(node, (page ?? 0) * PAGE_BYTES);
          at.lo = paLoOf((page ?? 0) * PAGE_BYTES);
        },
      });
    },
  };
}

/** cat /proc/meminfo. */
function* noteCounts(cpu: Cpu, image: SockexImage, step: number): Program {
  const { counts } = image.bpf.execmem.linear;
  const to = toLinear(image.counts);
  cpu.spend(Cost.Syscall);
  for (const [index, level] of LEVELS.entries()) {
    while (!cpu.load32(counts.hi, counts.lo + level * 4, Order.Relaxed)) yield;
    const count = cpu.lo;
    const at = to.lo + step * COUNTS_BYTES + index * 4;
    while (!cpu.store32(to.hi, at, count, Order.Relaxed)) yield;
  }
}

function* loader(cpu: Cpu, image: SockexImage, context: WorkloadContext, jit: BpfJit): Program {
  let instance = 0;
  yield* noteCounts(cpu, image, 0);
  for (const [index, step] of stepsOf(context).entries()) {
    for (; instance < step; instance++) {
      for (const [program, code] of CODE_BYTES.entries()) {
        cpu.spend(Cost.Syscall);
        yield jit.load(cpu, 2 + instance * CODE_BYTES.length + program, code);
        if (cpu.ret < 0) throw new UserError(`instance ${instance}: out of memory for its text`);
      }
      cpu.mark();
    }
    yield* noteCounts(cpu, image, index + 1);
  }
}

function* participant(cpu: Cpu, image: SockexImage, context: WorkloadContext): Program {
  const { bpf } = image;
  const { cpus } = context.placement;
  const machine = openBpfMachine(cpu, context, bpf);
  while (!rcuExitIdle(cpu)) yield;
  cpu.phase(PHASE_WARM_UP);
  yield* warmUp(cpu, context, bpf, machine);
  cpu.phase(PHASE_LOAD);
  if (cpu.id === cpus[0]) {
    const { parts } = machine;
    const own = usesOwnPages(context)
      ? new BpfJit(bpf.jit, parts, makeAgedModuleAlloc(parts, image))
      : machine.jit;
    yield loader(cpu, image, context, own);
  }
  yield barrier(cpu, bpf.start.hi, bpf.start.lo, cpus.length);
  cpu.phase(PHASE_FINISHED);
  yield new Rcu(bpf.rcu, []).finish(cpu);
  yield machine.parts.smp.calls.leave(cpu);
}

export const sockexDirectmap: Workload = {
  name: 'sockex_directmap',
  description: 'DirectMap4k, 2M and 1G while instances of sockex1 are loaded',
  source: 'samples/bpf/sockex1; A. Lu, reply to execmem_alloc v2 (2022-11-07)',
  parameters: [
    {
      name: 'steps',
      kind: 'text',
      default: '512,1024,2048',
      description: 'instances loaded by the end of each step; three programs each',
    },
    {
      name: 'memory',
      kind: 'size',
      default: '10G',
      minimum: 2 * GIB,
      maximum: 256 * GIB,
      description: 'memory of the VM in whole gigabytes: its published lines add up to 10G',
    },
  ],
  kernelOptions: ['execmem'],
  kernelDefaults: { allocator: 'module_alloc' },
  seedMoves: ['which pages of the aged memory are free'],
  phases: [{ name: 'warm-up', warmUp: true }, { name: 'load' }, { name: 'finished', warmUp: true }],
  streams: [],
  defaultMachine: 'xeon_skylake_6140_2p',
  defaultCpus: () => 2,
  helperCpus: () => 0,
  runsOnX86: true,
  minimumCpus: 1,
  backedBytes: (context) => bpfMachineBytes(context, sizesOf(context)) + tablesBytes(context),
  operations: instancesOf,
  boot: bootSockex,
  program: (cpu, image, context) =>
    context.placement.cpus.includes(cpu.id)
      ? participant(cpu, image as SockexImage, context)
      : null,
  report: (facts, image, context) => {
    const { counts, outside } = image as SockexImage;
    const lines = [0, ...stepsOf(context)].map((instances, step) => {
      const at = (index: number): number =>
        facts.peek32(counts.hi, counts.lo + step * COUNTS_BYTES + index * 4);
      const small = at(0) - outside.small;
      return { instances, small, middle: at(1) - outside.middle, large: at(2) - outside.large };
    });
    return sockexReport(lines, usesOwnPages(context), facts);
  },
};
