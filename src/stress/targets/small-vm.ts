/**
 * A virtual machine of a few pages for stress targets: real stage-2 tables, guest tables and struct
 * kvm, and nothing else (small-vm-kvm.ts adds what faults need). Table pages come from per-CPU
 * caches that boot has filled and never go back to a page allocator, so a freed one is known for
 * good; frames of the guest are numbers, unless they are asked for with contents.
 */

import { bootRcu, Rcu, type RcuImage } from '../../kernel/base/rcu-callbacks.ts';
import { PAGE_BYTES, PageField, STRUCT_PAGE_BYTES } from '../../kernel/base/struct-page.ts';
import {
  bootGuestTables,
  type GuestImage,
  guestTableBytes,
} from '../../kernel/stage2/guest-tables.ts';
import { resolveStage2Options, type Stage2Options } from '../../kernel/stage2/options.ts';
import type { Stage2Steps } from '../../kernel/stage2/steps.ts';
import { bootStructKvm, type KvmStruct } from '../../kernel/stage2/struct-kvm.ts';
import type { BootTables } from '../../kernel/stage2/struct-page-of.ts';
import { freeAfterGracePeriod } from '../../kernel/stage2/table-page.ts';
import type { Vm } from '../../kernel/stage2/vm.ts';
import type { BootMemory } from '../../memory/boot.ts';
import { type Address, addBytes, toLinear } from '../../memory/physical-address.ts';
import type { Lock, ReadWriteLock } from '../../sync/lock.ts';
import { makeQueuedReadWriteLock } from '../../sync/qrwlock.ts';
import { createStage2Table, mapRange } from '../../translation/boot-tables.ts';
import { PERM_EXEC, PERM_READ, PERM_WRITE } from '../../translation/descriptors.ts';
import { GRANULE_4K } from '../../translation/granule.ts';
import { s2AttributesHi, s2AttributesLo } from '../../translation/stage2-descriptors.ts';

export const IPA_BITS = 40;
/** Where the guest's memory is: two pages of one block are used. */
export const GUEST_IPA = 0x4000_0000;
export const GUEST_VA = 0xc000_0000;
const BLOCK_SHIFT = 21;
export const BLOCK_BYTES = 2 ** BLOCK_SHIFT;
const GUEST_BYTES = 2 * PAGE_BYTES;
/** Table pages in each CPU's cache, unless told; a line holds one more. */
export const CACHED = 4;
const CACHE_BYTES = 64;
export const VMID = 1;
const ALL = PERM_READ | PERM_WRITE | PERM_EXEC;

/** A page that the guest maps, and stage 2 does if `mapped`. */
export interface DistantPage {
  readonly ipa: number;
  readonly mapped: boolean;
}

export interface SmallVmOptions {
  readonly index: number;
  readonly vmid: number;
  readonly cpus: number;
  readonly options: Partial<Stage2Options>;
  /** Frames (2 MiB each) that boot maps the first pages to; none: nothing is mapped. */
  readonly mapped: boolean;
  /** They are mapped by one block. */
  readonly block?: boolean;
  /** The first page that is mapped; those before are not. */
  readonly firstMapped?: number;
  /** What the guest may do with the pages that boot has mapped. */
  readonly permissions?: number;
  /** Software bits of their entries (high half). */
  readonly softwareHi?: number;
  /** More pages, far from the first, of the second block's frames. */
  readonly distant?: readonly DistantPage[];
  /** The first two frames have contents. */
  readonly contents?: boolean;
  readonly cached?: number;
}

/** Plain data. */
export interface SmallVm {
  readonly options: Stage2Options;
  readonly index: number;
  readonly kvm: KvmStruct;
  readonly root: Address;
  readonly bootTables: BootTables;
  readonly guest: GuestImage;
  readonly rcu: RcuImage;
  /** Physical address of blocks that pages may be mapped to: the first ones are in use. */
  readonly blocks: readonly Address[];
  /** Linear-map address of each CPU's cache of table pages. */
  readonly caches: readonly Address[];
  /** The run of pages that caches were filled from has so many of each CPU. */
  readonly cached: number;
  /** Linear-map address of a word that is 1 when CPU 0 has made its change. */
  readonly done: Address;
}

const BLOCKS = 3;

export function bootSmallVm(boot: BootMemory, wanted: SmallVmOptions): SmallVm {
  const { index, vmid, cpus, cached = CACHED } = wanted;
  const name = `kvm${index}`;
  const options = { ...resolveStage2Options({}, boot.machine), ...wanted.options };
  const kvm = bootStructKvm(boot, name, 0, makeQueuedReadWriteLock(), 1);
  const field = (lo: number): Address => ({ hi: kvm.address.hi & 0xffff, lo });
  boot.write64(field(kvm.field.vmid), 0, vmid === 0 ? 0 : 1, vmid);
  const mappings = [{ virtual: GUEST_VA, ipa: GUEST_IPA, bytes: GUEST_BYTES }];
  for (const { ipa } of wanted.distant ?? []) {
    mappings.push({ virtual: GUEST_VA + (ipa - GUEST_IPA), ipa, bytes: PAGE_BYTES });
  }
  const bytes = guestTableBytes(GRANULE_4K, mappings);
  const frames = boot.allocate(0, bytes, PAGE_BYTES);
  const guest = bootGuestTables(boot, GRANULE_4K, frames, 0, mappings);
  const blocks = Array.from({ length: BLOCKS }, (_, block) =>
    block === 0 && wanted.contents === true
      ? boot.allocateNamed(`${name}: pages`, 0, GUEST_BYTES, PAGE_BYTES)
      : boot.allocateUnbacked(0, BLOCK_BYTES, BLOCK_BYTES),
  );
  // All tables in one run of pages: those in use, then the spare ones.
  const root = bootTables(boot, wanted, frames, bytes, blocks);
  const spare = boot.allocate(0, cpus * cached * PAGE_BYTES, PAGE_BYTES);
  const pages = ((spare.lo - root.lo) >>> 12) + cpus * cached;
  boot.name(`${name}: stage-2 tables`, root, pages * PAGE_BYTES);
  boot.write64(field(kvm.field.pgd), 0, root.hi, root.lo);
  return {
    options,
    index,
    kvm,
    root,
    bootTables: countTables(boot, name, root, pages),
    guest,
    rcu: bootRcu(boot, 0, range(cpus)),
    blocks,
    done: toLinear(boot.allocateNamed('done', 0, 64)),
    caches: range(cpus).map((cpu) =>
      fillCache(boot, cpu, addBytes(spare, cpu * cached * PAGE_BYTES), cached),
    ),
    cached,
  };
}

/** Maps the guest's own tables, and its pages if they are to be mapped. */
function bootTables(
  boot: BootMemory,
  wanted: SmallVmOptions,
  frames: Address,
  bytes: number,
  blocks: readonly Address[],
): Address {
  const table = createStage2Table(boot, 0, GRANULE_4K, IPA_BITS);
  const map = (ipa: number, output: Address, size: number, permissions: number, softHi = 0): void =>
    mapRange(boot, table, {
      input: { hi: 0, lo: ipa },
      output,
      bytes: size,
      attributesHi: s2AttributesHi(permissions) | softHi,
      attributesLo: s2AttributesLo(permissions, boot.machine.features.fwb),
      maximumShift: size === BLOCK_BYTES ? BLOCK_SHIFT : GRANULE_4K.shift,
      tableNode: 0,
    });
  map(0, frames, bytes, ALL);
  const { mapped, firstMapped = 0, permissions = ALL, softwareHi, distant = [] } = wanted;
  if (mapped) {
    const skipped = firstMapped * PAGE_BYTES;
    const rest = wanted.block === true ? BLOCK_BYTES : GUEST_BYTES - skipped;
    map(GUEST_IPA + skipped, addBytes(blocks[0]!, skipped), rest, permissions, softwareHi);
  }
  distant.forEach(({ ipa, mapped: isMapped }, page) => {
    const frame = addBytes(blocks[1]!, page * PAGE_BYTES);
    if (isMapped) map(ipa, frame, PAGE_BYTES, permissions, softwareHi);
  });
  return table.root;
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}

/** Reference counts: 1 and the entries in use. */
function countTables(boot: BootMemory, name: string, first: Address, pages: number): BootTables {
  const bytes = pages * STRUCT_PAGE_BYTES;
  const structs = boot.allocateNamed(`${name}: struct page of tables`, 0, bytes);
  for (let page = 0; page < pages; page++) {
    let count = 1;
    for (let entry = 0; entry < PAGE_BYTES; entry += 8) {
      const at = page * PAGE_BYTES + entry;
      if ((boot.read32(first, at) | boot.read32(first, at + 4)) !== 0) count++;
    }
    boot.write32(structs, page * STRUCT_PAGE_BYTES + PageField.RefCount, count);
  }
  const { hi, lo } = toLinear(first);
  return { hi, lo, pages, structLo: structs.lo };
}

/** A memcache (kernel/base/memcache.ts): number of pages, then their physical addresses. */
function fillCache(boot: BootMemory, cpu: number, pages: Address, cached: number): Address {
  const cache = boot.allocateNamed(`cpu${cpu}: memcache`, 0, CACHE_BYTES);
  boot.write32(cache, 0, cached);
  for (let page = 0; page < cached; page++) {
    const { hi, lo } = addBytes(pages, page * PAGE_BYTES);
    boot.write64(cache, 8 + page * 8, hi, lo);
  }
  return toLinear(cache);
}

/** What one CPU opens: the parts of a Vm that walkers, flushes and table pages use. */
export function openSmallVm(
  image: SmallVm,
  steps: Stage2Steps,
  mmuLock: ReadWriteLock = makeQueuedReadWriteLock(),
): Vm {
  const { options, index, kvm, bootTables, rcu } = image;
  const vm: Partial<Vm> = {
    // The walkers' part of a VmImage.
    image: { index, options, bootTables, name: `kvm${index}` } as Vm['image'],
    index,
    options,
    granule: GRANULE_4K,
    pageBytes: PAGE_BYTES,
    startLevel: 1,
    ipaBits: IPA_BITS,
    fwb: true,
    tlbirange: true,
    dic: true,
    kvmHi: kvm.address.hi,
    field: kvm.field,
    mmuLock,
    spinlock: mmuLock as Lock,
    steps,
    rcu: new Rcu(rcu, [(cpu, hi, lo) => freeAfterGracePeriod(cpu, vm as Vm, hi, lo)]),
  };
  return vm as Vm;
}
