/**
 * Builds virtual machines before time 0, as a VMM and a selftest leave them when the first vCPU is
 * about to run: memslots registered, the guest's tables written and mapped in stage 2, everything
 * else untouched. Must be the last part of a workload's boot: what is left of each node goes to the
 * page allocator.
 */

import { assert } from '../../base/assert.ts';
import { UserError } from '../../base/errors.ts';
import { formatBytes, MIB } from '../../base/units.ts';
import type { BootMemory } from '../../memory/boot.ts';
import { spinlockByName } from '../../sync/registry.ts';
import { bootPageAllocator } from '../base/boot-page-allocator.ts';
import { bootRcu } from '../base/rcu-callbacks.ts';
import { bootSrcu } from '../base/srcu.ts';
import { type BootSlot, bootVm } from './boot-vm.ts';
import type { HostPolicy, ZeroFrames } from './host-table.ts';
import type { Stage2Options } from './options.ts';
import { type KvmImage, ZONE_LOCK } from './vm.ts';
import { bootVmidAllocator } from './vmid.ts';

export interface VmConfig {
  readonly name: string;
  /** Host CPU of each vCPU thread. */
  readonly vcpuCpus: readonly number[];
  /** Node of struct kvm, mm_struct and what else the VMM's main thread allocates. */
  readonly node: number;
  /** Memslots 1, 2, ...; slot 0 is made here, for the guest's tables. */
  readonly slots: readonly BootSlot[];
  readonly guestGranuleShift?: number;
  readonly ipaBits?: number;
}

export interface KvmConfig {
  readonly options: Stage2Options;
  readonly vms: readonly VmConfig[];
  /** Every CPU that runs a program: vCPUs, the VMM's main thread, userfaultfd handlers, actors. */
  readonly cpus: readonly number[];
  readonly policy: HostPolicy;
  /** VMID bits of the machine unless told (fewer, to see rollovers). */
  readonly vmidBits?: number;
  /** Seed that moves the order of free frames; null: ascending. */
  readonly shuffleSeed: number | null;
}

/** KVM's default (KVM_PHYS_SHIFT), and what the engine is told. */
export const DEFAULT_IPA_BITS = 40;
const SLACK_BYTES = 64 * MIB;

/** Guest memory whose frames come from the page allocator. */
function allocatorBytes(config: KvmConfig): number {
  let bytes = SLACK_BYTES;
  for (const vm of config.vms) {
    for (const slot of vm.slots) {
      if (slot.backing.name.includes('hugetlb')) continue;
      bytes += slot.bytes;
      if (slot.backing.name.includes('thp')) bytes += spareHugePages(vm.vcpuCpus.length);
    }
  }
  return bytes;
}

/**
 * vCPUs that fault on one 2 MiB page at once each take a page before one of them wins; the losers'
 * pages go back, but until then they are gone, and a broken one may not come back whole.
 */
export function spareHugePages(vcpus: number): number {
  return vcpus * 4 * MIB;
}

export function bootKvm(boot: BootMemory, config: KvmConfig): KvmImage {
  const { machine } = boot;
  const firstNode = config.vms[0]!.node;
  checkChunk(config.options);
  const zero: ZeroFrames = {
    zeroPage: boot.allocateUnbacked(firstNode, 4096, 4096),
    zeroBlock: boot.allocateUnbacked(firstNode, 2 * MIB, 2 * MIB),
  };
  const vmidBits = config.vmidBits ?? machine.features.vmidBits;
  const vcpuCpus = [...new Set(config.vms.flatMap((vm) => vm.vcpuCpus))];
  assert(2 ** vmidBits > vcpuCpus.length + 1, 'more VMIDs than CPUs are needed');
  const vmids = bootVmidAllocator(boot, firstNode, vmidBits, vcpuCpus);
  const rcu = bootRcu(boot, firstNode, config.cpus);
  const movableBytes = allocatorBytes(config);
  const vms = config.vms.map((vm, index) =>
    bootVm(boot, {
      ...vm,
      index,
      options: config.options,
      policy: config.policy,
      zero,
      movableBytes,
      srcu: bootSrcu(boot, `${vm.name}->srcu`, vm.node, index, config.cpus),
      ipaBits: vm.ipaBits ?? DEFAULT_IPA_BITS,
      guestGranuleShift: vm.guestGranuleShift ?? 12,
    }),
  );
  const pages = bootPageAllocator(boot, {
    zoneLock: spinlockByName(ZONE_LOCK),
    movableBytes,
    shuffleSeed: config.shuffleSeed,
  });
  return { vms, pages, rcu, vmids };
}

/** KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE takes block sizes of the granule only (else -EINVAL). */
function checkChunk(options: Stage2Options): void {
  const bytes = options.eagerSplitChunkBytes;
  if (options.split !== 'eager' || [4096, 2 ** 21, 2 ** 30].includes(bytes)) return;
  throw new UserError(
    `eagerSplitChunk=${formatBytes(bytes)}: KVM takes block sizes of its 4K granule only; ` +
      'use 4K, 2M or 1G',
  );
}
