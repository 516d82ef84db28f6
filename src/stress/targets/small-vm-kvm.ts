/**
 * What faults, notifiers and the dirty log need beside a small VM's tables (small-vm.ts): memslot,
 * VMA, the host's table of the memory behind it, vCPUs, VMIDs. One slot of VMM memory that is there
 * from the start, so no fault allocates a frame; a frame holds no reference and is told to be free
 * by whoever took it away.
 */

import { assert } from '../../base/assert.ts';
import { bitmapBytes } from '../../kernel/base/bitmap.ts';
import type { PageAllocatorImage } from '../../kernel/base/page-allocator.ts';
import { bootSrcu } from '../../kernel/base/srcu.ts';
import { PAGE_BYTES, STRUCT_PAGE_BYTES } from '../../kernel/base/struct-page.ts';
import { type Backing, backingOf } from '../../kernel/stage2/backing.ts';
import { bootHostTable, HostEntry, type HostTable } from '../../kernel/stage2/host-table.ts';
import { bootMemslots } from '../../kernel/stage2/memslots.ts';
import { bootMm } from '../../kernel/stage2/mm-struct.ts';
import type { KvmImage, SlotImage, VcpuImage, VmImage } from '../../kernel/stage2/vm.ts';
import { bootVmidAllocator } from '../../kernel/stage2/vmid.ts';
import type { BootMemory } from '../../memory/boot.ts';
import { type Address, addBytes, toLinear } from '../../memory/physical-address.ts';
import {
  BLOCK_BYTES,
  bootSmallVm,
  GUEST_IPA,
  GUEST_VA,
  IPA_BITS,
  type SmallVm,
  type SmallVmOptions,
  VMID,
} from './small-vm.ts';

/** Nothing is allocated: the caches of table pages last. */
const NO_PAGES: PageAllocatorImage = { zones: [], fallback: [], rules: [] };
const LINE = 64;

export interface SmallKvmOptions extends Omit<SmallVmOptions, 'index' | 'vmid'> {
  readonly vms: number;
  readonly vmidBits: number;
  /** Memory of the slot; it begins at the guest's first page. */
  readonly slotBytes: number;
  /** SlotFlag. */
  readonly slotFlags?: number;
  /** The slot is one hugetlb page of 2 MiB. */
  readonly hugetlb?: boolean;
}

/** Plain data. */
export interface SmallKvm {
  readonly vms: readonly SmallVm[];
  readonly kvm: KvmImage;
}

export function bootSmallKvm(boot: BootMemory, wanted: SmallKvmOptions): SmallKvm {
  const cpus = Array.from({ length: wanted.cpus }, (_, cpu) => cpu);
  const vmids = bootVmidAllocator(boot, 0, wanted.vmidBits, cpus);
  const vms: SmallVm[] = [];
  const images: VmImage[] = [];
  for (let index = 0; index < wanted.vms; index++) {
    // A VM that is alone has its VMID already.
    const vmid = wanted.vms === 1 ? VMID : 0;
    const vm = bootSmallVm(boot, { ...wanted, index, vmid });
    vms.push(vm);
    images.push(bootVmImage(boot, vm, wanted, cpus));
  }
  return { vms, kvm: { vms: images, pages: NO_PAGES, rcu: vms[0]!.rcu, vmids } };
}

function bootVmImage(
  boot: BootMemory,
  vm: SmallVm,
  wanted: SmallKvmOptions,
  cpus: readonly number[],
): VmImage {
  const { index, kvm, options } = vm;
  const name = `kvm${index}`;
  const slots = [bootSlot(boot, name, vm, wanted)];
  return {
    index,
    name,
    options,
    fwb: true,
    tlbirange: true,
    dic: true,
    ipaBits: IPA_BITS,
    startLevel: 1,
    kvmHi: kvm.address.hi,
    field: kvm.field,
    // One VM at most takes faults.
    srcu: bootSrcu(boot, `${name}->srcu`, 0, 0, cpus),
    mm: bootMm(boot, 0, slots),
    memslots: bootMemslots(boot, name, 0, slots),
    slots,
    bootTables: vm.bootTables,
    guest: vm.guest,
    vcpus: cpus.map((cpu) => bootVcpu(boot, name, vm, cpu)),
  };
}

function bootVcpu(boot: BootMemory, name: string, vm: SmallVm, cpu: number): VcpuImage {
  const { hi, lo } = vm.caches[cpu]!;
  const mode = toLinear(boot.allocateNamed(`${name}->vcpu${cpu}->mode`, 0, LINE));
  assert(mode.hi === hi, 'a vCPU lies on one node');
  return { index: cpu, cpu, hi, memcacheLo: lo, modeLo: mode.lo };
}

function bootSlot(boot: BootMemory, name: string, vm: SmallVm, wanted: SmallKvmOptions): SlotImage {
  const { slotBytes, slotFlags, hugetlb = false } = wanted;
  const pages = slotBytes / PAGE_BYTES;
  const bitmap = bitmapBytes(pages);
  const bitmaps = toLinear(boot.allocateNamed(`${name}: dirty_bitmap`, 0, 2 * bitmap));
  const backing = backingOf(hugetlb ? 'anonymous_hugetlb_2mb' : 'anonymous');
  const plain = bootPages(boot, name, slotBytes, backing, hugetlb ? null : vm.blocks[0]!);
  return {
    id: 0,
    basePage: GUEST_IPA / PAGE_BYTES,
    pages,
    present: true,
    baseIpa: GUEST_IPA,
    bytes: slotBytes,
    guestVirtual: GUEST_VA,
    host: hugetlb ? bootHugePage(boot, name, plain, vm) : plain,
    bitmapHi: bitmaps.hi,
    bitmapLo: bitmaps.lo,
    userBitmapLo: bitmaps.lo + bitmap,
    userfaults: [],
    ...(slotFlags === undefined ? {} : { flags: slotFlags }),
  };
}

function bootPages(
  boot: BootMemory,
  name: string,
  bytes: number,
  backing: Backing,
  frames: Address | null,
): HostTable {
  const nothing = boot.allocateUnbacked(0, PAGE_BYTES, PAGE_BYTES);
  return bootHostTable(boot, {
    name: `${name}: slot`,
    node: 0,
    bytes,
    backing,
    policy: { kind: 'first-touch', node: 0, nodes: [0] },
    zero: { zeroPage: nothing, zeroBlock: nothing },
    pool: null,
    frames,
    framesCached: false,
  });
}

/** One huge page is there, and aside a table of pages that may take its place (otherPages). */
function bootHugePage(boot: BootMemory, name: string, host: HostTable, vm: SmallVm): HostTable {
  const { hi, lo } = vm.blocks[0]!;
  const upper = { hi: host.hi & 0xffff, lo: host.upper };
  boot.write64(upper, 0, hi, lo | HostEntry.Present | HostEntry.Write);
  const table = boot.allocateNamed(`${name}: other pages`, 0, PAGE_BYTES, PAGE_BYTES);
  for (let page = 0; page < BLOCK_BYTES / PAGE_BYTES; page++) {
    // Neighbours come from different blocks: together they are no block of their own.
    const frame = addBytes(vm.blocks[1 + (page % 2)]!, page * PAGE_BYTES);
    boot.write64(table, page * 8, frame.hi, frame.lo | HostEntry.Present | HostEntry.Write);
  }
  const structs = boot.allocate(0, STRUCT_PAGE_BYTES);
  const { hi: tableHi, lo: tableLo } = toLinear(table);
  const bootTables = { hi: tableHi, lo: tableLo, pages: 1, structLo: structs.lo };
  return { ...host, bootTables };
}
