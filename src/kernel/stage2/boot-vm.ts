/** One virtual machine as boot leaves it; see boot-kvm.ts. */

import { assert } from '../../base/assert.ts';
import { UserError } from '../../base/errors.ts';
import { formatBytes } from '../../base/units.ts';
import type { BootMemory } from '../../memory/boot.ts';
import { type Address, toLinear } from '../../memory/physical-address.ts';
import { readWriteLockByName } from '../../sync/registry.ts';
import { createStage2Table, mapRange } from '../../translation/boot-tables.ts';
import { PERM_EXEC, PERM_READ, PERM_WRITE } from '../../translation/descriptors.ts';
import {
  GRANULE_4K,
  type Granule,
  granuleOfPageBytes,
  stage2StartLevel,
} from '../../translation/granule.ts';
import { s2AttributesHi, s2AttributesLo } from '../../translation/stage2-descriptors.ts';
import { bitmapBytes } from '../base/bitmap.ts';
import { MEMCACHE_CAPACITY, memcacheBytes } from '../base/memcache.ts';
import type { SrcuDomain } from '../base/srcu.ts';
import { PAGE_BYTES, PageField, STRUCT_PAGE_BYTES } from '../base/struct-page.ts';
import { addressHi, addressLo, alignUp } from './address.ts';
import { type Backing, backingOf } from './backing.ts';
import { bootGuestTables, type GuestMapping, guestTableBytes } from './guest-tables.ts';
import { bootHostTable, type HostPolicy, type ZeroFrames } from './host-table.ts';
import { bootHugePool, type HugePool } from './huge-pool.ts';
import { bootMemslots } from './memslots.ts';
import { bootMm } from './mm-struct.ts';
import type { Stage2Options } from './options.ts';
import { splitCacheCapacity } from './split.ts';
import { bootStructKvm } from './struct-kvm.ts';
import type { BootTables } from './struct-page-of.ts';
import { bootUserfault, type UserfaultContext, type UserfaultMode } from './userfault.ts';
import type { SlotImage, VcpuImage, VmImage } from './vm.ts';

export interface BootSlot {
  readonly baseIpa: number;
  readonly bytes: number;
  readonly backing: Backing;
  /** Where the guest maps it; null = nowhere. */
  readonly guestVirtual: number | null;
  /** Registered from the start. */
  readonly present: boolean;
  /** One context per element (equal parts of the slot), each with the CPUs of its handlers. */
  readonly userfaults?: {
    readonly mode: UserfaultMode;
    readonly readers: readonly (readonly number[])[];
  };
}

export interface VmBoot {
  readonly index: number;
  readonly name: string;
  readonly options: Stage2Options;
  readonly vcpuCpus: readonly number[];
  readonly node: number;
  readonly slots: readonly BootSlot[];
  readonly guestGranuleShift: number;
  readonly ipaBits: number;
  readonly policy: HostPolicy;
  readonly zero: ZeroFrames;
  readonly movableBytes: number;
  readonly srcu: SrcuDomain;
}

const VCPU_CACHE_BYTES = memcacheBytes(MEMCACHE_CAPACITY);
/** IPA of slot 0, which holds the guest's tables. */
const TABLES_IPA = 0;

export function bootVm(boot: BootMemory, request: VmBoot): VmImage {
  const { name, node, options, ipaBits } = request;
  const { features } = boot.machine;
  checkSlots(request);
  const granule = granuleOfPageBytes(2 ** request.guestGranuleShift);
  const mappings = guestMappings(request.slots);
  const tableBytes = alignUp(guestTableBytes(granule, mappings), PAGE_BYTES);
  const frames = boot.allocate(node, tableBytes, PAGE_BYTES);
  const guest = bootGuestTables(boot, granule, frames, TABLES_IPA, mappings);
  const mmuLock = readWriteLockByName(options.mmuLock);
  const capacity = splitCacheCapacity(options.eagerSplitChunkBytes);
  const kvm = bootStructKvm(boot, name, node, mmuLock, options.split === 'eager' ? capacity : 1);
  const slots = bootSlots(boot, request, frames, tableBytes);
  const stage2 = bootStage2(boot, request, frames, tableBytes);
  boot.write64(
    { hi: kvm.address.hi & 0xffff, lo: kvm.field.pgd },
    0,
    stage2.root.hi,
    stage2.root.lo,
  );
  return {
    index: request.index,
    name,
    options,
    fwb: features.fwb,
    // Without the deferred flush of v6.6 stage 2 uses no range operations at all.
    tlbirange: features.tlbirange && (!features.fwb || options.unmapFlush === 'range'),
    dic: features.dic,
    ipaBits,
    startLevel: stage2StartLevel(GRANULE_4K, ipaBits),
    kvmHi: kvm.address.hi,
    field: kvm.field,
    srcu: request.srcu,
    mm: bootMm(boot, node, slots),
    memslots: bootMemslots(boot, name, node, slots),
    slots,
    bootTables: stage2.tables,
    guest,
    vcpus: bootVcpus(boot, request),
  };
}

function checkSlots(request: VmBoot): void {
  for (const slot of request.slots) {
    const unit = 2 ** slot.backing.unitShift;
    if (slot.bytes <= 0 || slot.bytes % PAGE_BYTES !== 0 || slot.baseIpa % PAGE_BYTES !== 0) {
      throw new UserError(
        `a memslot of ${slot.bytes} bytes at 0x${slot.baseIpa.toString(16)} is not made of ` +
          '4K pages; use a multiple of 4K',
      );
    }
    if (slot.backing.kind === 'hugetlb' && slot.bytes % unit !== 0) {
      throw new UserError(
        `guest memory of ${formatBytes(slot.bytes)} is not a multiple of ${slot.backing.name}'s ` +
          `pages of ${formatBytes(unit)}`,
      );
    }
    if (slot.baseIpa + slot.bytes > 2 ** request.ipaBits) {
      throw new UserError(
        `guest memory up to 0x${(slot.baseIpa + slot.bytes).toString(16)} does not fit an IPA of ` +
          `${request.ipaBits} bits`,
      );
    }
  }
}

function guestMappings(slots: readonly BootSlot[]): GuestMapping[] {
  return slots
    .filter((slot) => slot.guestVirtual !== null)
    .map((slot) => ({ virtual: slot.guestVirtual!, ipa: slot.baseIpa, bytes: slot.bytes }));
}

/** Slot 0 for the guest's tables, then the given ones. */
function bootSlots(
  boot: BootMemory,
  request: VmBoot,
  frames: Address,
  tableBytes: number,
): SlotImage[] {
  const tables: BootSlot = {
    baseIpa: TABLES_IPA,
    bytes: tableBytes,
    backing: backingOf('anonymous'),
    guestVirtual: null,
    present: true,
  };
  const pool = bootPool(boot, request);
  return [tables, ...request.slots].map((slot, id) =>
    bootSlot(boot, request, slot, id, id === 0 ? frames : null, pool),
  );
}

function bootSlot(
  boot: BootMemory,
  request: VmBoot,
  slot: BootSlot,
  id: number,
  frames: Address | null,
  pool: HugePool | null,
): SlotImage {
  const { name, node } = request;
  const pages = slot.bytes / PAGE_BYTES;
  const bitmap = bitmapBytes(pages);
  const bitmaps = boot.allocateNamed(`${name}: dirty_bitmap[${id}]`, node, 2 * bitmap);
  const minor = slot.userfaults?.mode === 'minor';
  const host = bootHostTable(boot, {
    name: `${name}: slot ${id}`,
    node,
    bytes: slot.bytes,
    backing: slot.backing,
    policy: request.policy,
    zero: request.zero,
    pool: slot.backing.kind === 'hugetlb' ? pool : null,
    frames: minor ? boot.allocateUnbacked(node, slot.bytes, 4096) : frames,
    framesCached: minor,
  });
  const linear = toLinear(bitmaps);
  return {
    id,
    basePage: slot.baseIpa / PAGE_BYTES,
    pages,
    present: slot.present,
    baseIpa: slot.baseIpa,
    bytes: slot.bytes,
    guestVirtual: slot.guestVirtual,
    host,
    bitmapHi: linear.hi,
    bitmapLo: linear.lo,
    userBitmapLo: (linear.lo + bitmap) | 0,
    userfaults: bootUserfaults(boot, request, slot, id),
  };
}

function bootUserfaults(
  boot: BootMemory,
  request: VmBoot,
  slot: BootSlot,
  id: number,
): UserfaultContext[] {
  const { userfaults } = slot;
  if (userfaults === undefined) return [];
  return userfaults.readers.map((readers, part) => {
    assert(readers.length > 0, `userfaultfd ${part} of slot ${id} has no handler`);
    const name = `${request.name}: userfaultfd[${id}.${part}]`;
    return bootUserfault(boot, name, request.node, userfaults.mode, readers, request.vcpuCpus);
  });
}

/** Pages for all hugetlb slots on every node that has room for them. */
function bootPool(boot: BootMemory, request: VmBoot): HugePool | null {
  const slots = request.slots.filter((slot) => slot.backing.kind === 'hugetlb');
  if (slots.length === 0) return null;
  const { unitShift } = slots[0]!.backing;
  const unit = 2 ** unitShift;
  const wanted = slots.reduce((sum, slot) => sum + slot.bytes / unit, 0);
  const { machine } = boot;
  const pages: number[] = [];
  for (let node = 0; node < machine.nodeCount; node++) {
    // The page allocator wants its part, and a large page may have to skip to its alignment.
    const room = boot.unbackedEnd(node) - boot.unbackedFree(node) - request.movableBytes - unit;
    pages.push(Math.max(0, Math.min(wanted, Math.floor(room / unit))));
  }
  const total = pages.reduce((sum, count) => sum + count, 0);
  if (total < wanted) {
    throw new UserError(
      `${machine.name} has room for ${total} hugetlb pages of ${formatBytes(unit)}, ` +
        `${wanted} are needed; lower the guest memory`,
    );
  }
  return bootHugePool(boot, request.node, unitShift, pages);
}

/** The root, and the guest's tables mapped by pages; struct pages for the tables beside them. */
function bootStage2(
  boot: BootMemory,
  request: VmBoot,
  frames: Address,
  tableBytes: number,
): { readonly root: Address; readonly tables: BootTables } {
  const { node, ipaBits } = request;
  const { features } = boot.machine;
  const home = boot.nearestNodeWithMemory(node);
  const first = alignUp(boot.backedFree(home), PAGE_BYTES);
  const table = createStage2Table(boot, node, GRANULE_4K, ipaBits);
  const permissions = PERM_READ | PERM_WRITE | (features.dic ? PERM_EXEC : 0);
  mapRange(boot, table, {
    input: { hi: addressHi(TABLES_IPA), lo: addressLo(TABLES_IPA) },
    output: frames,
    bytes: tableBytes,
    attributesHi: s2AttributesHi(permissions),
    attributesLo: s2AttributesLo(permissions, features.fwb),
    maximumShift: GRANULE_4K.shift,
    tableNode: node,
  });
  const pages = (alignUp(boot.backedFree(home), PAGE_BYTES) - first) / PAGE_BYTES;
  const structs = boot.allocateNamed(
    `${request.name}: struct page of boot tables`,
    node,
    pages * STRUCT_PAGE_BYTES,
  );
  boot.name(
    `${request.name}: stage-2 tables of boot`,
    { hi: table.root.hi, lo: first | 0 },
    pages * PAGE_BYTES,
  );
  const tables = { hi: toLinear(table.root).hi, lo: first | 0, pages, structLo: structs.lo };
  for (let page = 0; page < pages; page++) {
    const at = { hi: table.root.hi, lo: (first + page * PAGE_BYTES) | 0 };
    const count = 1 + countEntries(boot, at, GRANULE_4K);
    boot.write32(structs, page * STRUCT_PAGE_BYTES + PageField.RefCount, count);
  }
  return { root: table.root, tables };
}

function countEntries(boot: BootMemory, table: Address, granule: Granule): number {
  let count = 0;
  for (let entry = 0; entry < 2 ** granule.entriesShift; entry++) {
    if (boot.read32(table, entry * 8) !== 0 || boot.read32(table, entry * 8 + 4) !== 0) count++;
  }
  return count;
}

function bootVcpus(boot: BootMemory, request: VmBoot): VcpuImage[] {
  return request.vcpuCpus.map((cpu, index) => {
    const node = boot.machine.nodeOfCpu[cpu]!;
    const physical = boot.allocateNamed(
      `${request.name}->vcpu${index}`,
      node,
      VCPU_CACHE_BYTES + 64,
    );
    const { hi, lo } = toLinear(physical);
    return { index, cpu, hi, memcacheLo: lo, modeLo: (lo + VCPU_CACHE_BYTES) | 0 };
  });
}
