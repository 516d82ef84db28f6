/** Boots the VM of a memstress plan, and says how much memory with contents it takes. */

import { KIB, MIB } from '../../src/base/units.ts';
import { metadataBytes } from '../../src/kernel/base/boot-page-allocator.ts';
import { STRUCT_PAGE_BYTES } from '../../src/kernel/base/struct-page.ts';
import { bootKvm, spareHugePages } from '../../src/kernel/stage2/boot-kvm.ts';
import type { BootSlot } from '../../src/kernel/stage2/boot-vm.ts';
import { guestTableBytes } from '../../src/kernel/stage2/guest-tables.ts';
import type { HostPolicy } from '../../src/kernel/stage2/host-table.ts';
import { resolveStage2Options } from '../../src/kernel/stage2/options.ts';
import type { KvmImage } from '../../src/kernel/stage2/vm.ts';
import type { BootMemory } from '../../src/memory/boot.ts';
import { granuleOfPageBytes } from '../../src/translation/granule.ts';
import type { WorkloadContext } from '../workload.ts';
import type { MemstressPlan } from './memstress.ts';
import { nodesWithMemory } from './values.ts';

const PAGE_BYTES = 4096;
/** A full memcache (40 pages) and one batch of a page list (63), and some. */
const PER_CPU_BYTES = 512 * KIB;
/** Free memory beside the guest's that the page allocator manages (boot-kvm.ts). */
const ALLOCATOR_SLACK_BYTES = 64 * MIB;

/** The test's memslots, from number 1 on, in order of address. */
export function memstressSlots(plan: MemstressPlan): BootSlot[] {
  const bytes = plan.bytes / plan.slots;
  return Array.from({ length: plan.slots }, (_, slot) => ({
    baseIpa: plan.gpa + slot * bytes,
    bytes,
    backing: plan.backing,
    guestVirtual: plan.gva + slot * bytes,
    present: true,
  }));
}

/** Must be the last thing that a workload's boot does. */
export function bootMemstress(
  boot: BootMemory,
  plan: MemstressPlan,
  context: WorkloadContext,
  slots: readonly BootSlot[] = memstressSlots(plan),
): KvmImage {
  const { machine, placement, parameters, seed } = context;
  const policy: HostPolicy = {
    kind: placement.memoryPolicy,
    node: placement.bindNode,
    nodes: nodesWithMemory(machine),
  };
  return bootKvm(boot, {
    options: resolveStage2Options(parameters, machine),
    vms: [
      {
        name: 'kvm',
        vcpuCpus: placement.cpus.slice(0, plan.vcpus),
        node: machine.nodeOfCpu[plan.mainCpu]!,
        slots,
        guestGranuleShift: plan.mode.pageShift,
        ipaBits: plan.mode.paBits,
      },
    ],
    cpus: placement.cpus,
    policy,
    shuffleSeed: seed,
  });
}

/**
 * Page tables of the guest, of stage 2 (twice: tables may await a grace period) and of the VMM, the
 * metadata of pages, dirty bitmaps, what the kernel keeps per VM and per vCPU.
 */
export function memstressBackedBytes(plan: MemstressPlan, context: WorkloadContext): number {
  const granule = granuleOfPageBytes(2 ** plan.mode.pageShift);
  const mapping = { virtual: plan.gva, ipa: plan.gpa, bytes: plan.bytes };
  const guestTables = guestTableBytes(granule, [mapping]);
  const pages = plan.bytes / PAGE_BYTES;
  const tables = 3 * (pages * 8 + guestTables / 512) + 256 * KIB;
  const structs = (tables * STRUCT_PAGE_BYTES) / PAGE_BYTES;
  const bitmaps = pages / 4;
  const kernel = 512 * KIB + context.placement.cpus.length * PER_CPU_BYTES;
  const spare = spareHugePages(context.placement.cpus.length);
  const metadata = metadataBytes(plan.bytes + ALLOCATOR_SLACK_BYTES + spare);
  const bytes = guestTables + tables + structs + bitmaps + kernel + metadata;
  return Math.ceil((1.1 * bytes) / PAGE_BYTES) * PAGE_BYTES + 2 * MIB;
}
