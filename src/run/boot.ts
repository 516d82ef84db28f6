/**
 * Builds one seed's machine before emulated time 0: memory, the CPUs' own areas, the kernel's
 * linear map, a root page per CPU, then the workload's own objects. One thread, direct writes.
 *
 * One process per CPU: TTBR0 of each CPU is a page of its own on its node; TTBR1 is the linear map,
 * its tables on the first node with memory, as on a kernel that doesn't replicate.
 */

import type { Image, Workload, WorkloadContext } from '../../workloads/workload.ts';
import { UserError } from '../base/errors.ts';
import { formatBytes, KIB, MIB } from '../base/units.ts';
import { PER_CPU_BYTES } from '../cpu/per-cpu.ts';
import type { TranslationSetup } from '../engine/virtual/spec.ts';
import { bootSmp, smpBytes } from '../kernel/smp/call-function.ts';
import { bootKernelText, finishKernelText, kernelTextBytes } from '../kernel/text/boot.ts';
import { HOST_IPA_BITS, refuseHostGuests } from '../kernel/text/host-stage2.ts';
import { hasHostStage2, type KernelTextImage } from '../kernel/text/image.ts';
import { reserveTrampoline } from '../kernel/text/kpti.ts';
import { resolveTextOptions } from '../kernel/text/options.ts';
import type { Machine } from '../machine/machine.ts';
import { BootMemory, type NamedMemory } from '../memory/boot.ts';
import { type Address, toLinear } from '../memory/physical-address.ts';
import { PhysicalMemory, type PhysicalMemoryBuffers } from '../memory/physical-memory.ts';
import { makeQueuedSpinlock } from '../sync/qspinlock.ts';
import { createCpuRoots, createLinearMap, type KernelMap } from '../translation/boot-tables.ts';
import { GRANULE_4K } from '../translation/granule.ts';

/** Plain data: crosses threads as it is. */
export interface BootedMachine {
  readonly memory: PhysicalMemoryBuffers;
  readonly symbols: readonly NamedMemory[];
  readonly image: Image;
  readonly perCpuHi: readonly number[];
  readonly perCpuLo: readonly number[];
  readonly translation: TranslationSetup;
}

/** Input bits of a guest's stage 2: KVM's default, KVM_PHYS_SHIFT. */
const IPA_BITS = 40;
/** Tables of the linear map: 1 GiB blocks, and a few tables where a node ends within one. */
const LINEAR_MAP_BYTES = 256 * KIB;

/** Bytes with contents to set aside per node: what the workload asks for and the machine's own. */
export function backedBytesPerNode(workload: Workload, context: WorkloadContext): number {
  const { machine } = context;
  // All CPUs of nodes without memory may end up on one neighbour: count them all.
  const perCpu = machine.cpuCount * (PER_CPU_BYTES + 8 * KIB);
  const linearMap = LINEAR_MAP_BYTES + machine.nodeCount * 16 * KIB;
  const smp = callsFunctions(workload) ? smpBytes(context.placement.cpus.length) : 0;
  const hasText = workload.kernelOptions.includes('text');
  const text = hasText
    ? kernelTextBytes(resolveTextOptions(context.parameters), machine.nodeCount)
    : 0;
  const bytes = workload.backedBytes(context) + perCpu + linearMap + smp + text;
  const rounded = Math.ceil(bytes / MIB) * MIB;
  const smallest = smallestNode(machine);
  if (rounded > Math.min(2 ** 32 - MIB, smallest)) {
    throw new UserError(
      `${workload.name} needs ${formatBytes(rounded)} of memory with contents per node, and ` +
        `${machine.name} has nodes of ${formatBytes(smallest)} (at most 4G can have contents); ` +
        'use fewer CPUs or less memory',
    );
  }
  return rounded;
}

function smallestNode(machine: Machine): number {
  const withMemory = machine.memoryBytesOfNode.filter((bytes) => bytes > 0);
  return Math.min(...withMemory);
}

export function bootSeed(workload: Workload, context: WorkloadContext): BootedMachine {
  const { machine } = context;
  const buffers = allocateMemory(machine, backedBytesPerNode(workload, context));
  const boot = new BootMemory(machine, new PhysicalMemory(buffers));
  const perCpuHi: number[] = [];
  const perCpuLo: number[] = [];
  for (const node of machine.nodeOfCpu) {
    const area = toLinear(boot.allocate(node, PER_CPU_BYTES, 4096));
    perCpuHi.push(area.hi);
    perCpuLo.push(area.lo);
  }
  const trampoline = reserveKptiTrampoline(boot, workload, context);
  const kernel = createLinearMap(boot, boot.nearestNodeWithMemory(0), GRANULE_4K);
  const userRoots = createCpuRoots(boot, GRANULE_4K).map((table) => table.root);
  const map: KernelMap = {
    table: kernel,
    roots: Array.from(machine.nodeOfCpu, () => kernel.root),
  };
  const smp = callsFunctions(workload) ? bootSmp(boot, context.placement.cpus) : null;
  const text = bootText(boot, workload, context, map, trampoline);
  const image = workload.boot(boot, context, { map, userRoots, smp, text });
  if (text !== null) finishKernelText(boot, text);
  const guest = workload.guestTranslation?.(context);
  return {
    memory: buffers,
    symbols: boot.symbols,
    image,
    perCpuHi,
    perCpuLo,
    translation: {
      kernelRoots: map.roots,
      userRoots,
      hostGranuleShift: GRANULE_4K.shift,
      guestGranuleShift: guest?.guestGranuleShift ?? GRANULE_4K.shift,
      stage2GranuleShift: GRANULE_4K.shift,
      ipaBits: guest?.ipaBits ?? (hasHostStage2(text) ? HOST_IPA_BITS : IPA_BITS),
    },
  };
}

function bootText(
  boot: BootMemory,
  workload: Workload,
  { parameters, seed }: WorkloadContext,
  map: KernelMap,
  trampoline: Address | null,
): KernelTextImage | null {
  if (!workload.kernelOptions.includes('text')) return null;
  const options = resolveTextOptions(parameters);
  refuseHostGuests(workload, options);
  return bootKernelText(boot, { map, options, seed, lock: makeQueuedSpinlock(), trampoline });
}

/** The trampoline's root is a fixed distance before swapper_pg_dir, which is made next. */
function reserveKptiTrampoline(
  boot: BootMemory,
  { kernelOptions }: Workload,
  { parameters }: WorkloadContext,
): Address | null {
  if (!kernelOptions.includes('text') || !resolveTextOptions(parameters).kpti) return null;
  return reserveTrampoline(boot, boot.nearestNodeWithMemory(0));
}

/** Do CPUs run functions on each other (kick_all_cpus_sync, flushes by IPI)? */
function callsFunctions({ kernelOptions }: Workload): boolean {
  return kernelOptions.includes('text') || kernelOptions.includes('execmem');
}

function allocateMemory(machine: Machine, backedBytes: number): PhysicalMemoryBuffers {
  try {
    return PhysicalMemory.allocate(machine.memoryBytesOfNode, backedBytes);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new UserError(
      `the host has no room for ${formatBytes(backedBytes)} per node of ${machine.name}; ` +
        'use fewer CPUs, less memory or fewer jobs',
    );
  }
}
