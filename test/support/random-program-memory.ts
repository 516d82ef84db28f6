/**
 * The memory that random programs play with, built before time 0: lines that CPUs share and lines
 * that fall into one cache set, locks, a window of pages that are remapped while others read them,
 * pages of the CPUs' own address spaces, text, memory without bytes, and a small guest.
 */

import { PER_CPU_BYTES } from '../../src/cpu/per-cpu.ts';
import type { TranslationSetup } from '../../src/engine/virtual/spec.ts';
import type { Machine } from '../../src/machine/machine.ts';
import { BootMemory, type NamedMemory } from '../../src/memory/boot.ts';
import { type Address, addBytes, toLinear } from '../../src/memory/physical-address.ts';
import { PhysicalMemory, type PhysicalMemoryBuffers } from '../../src/memory/physical-memory.ts';
import {
  createCpuRoots,
  createLinearMap,
  createStage1Table,
  createStage2Table,
  descriptorAt,
  mapRange,
  type TranslationTable,
} from '../../src/translation/boot-tables.ts';
import {
  leafDescriptorHi,
  leafDescriptorLo,
  PERM_EXEC,
  PERM_READ,
  PERM_WRITE,
  PTE_AF,
} from '../../src/translation/descriptors.ts';
import { GRANULE_4K } from '../../src/translation/granule.ts';
import {
  S1_KERNEL_DATA_HI,
  S1_KERNEL_DATA_LO,
  S1_KERNEL_TEXT_HI,
  S1_KERNEL_TEXT_LO,
  S1_READ_ONLY,
  S1_USER_DATA_HI,
  S1_USER_DATA_LO,
} from '../../src/translation/stage1-descriptors.ts';
import { s2AttributesHi, s2AttributesLo } from '../../src/translation/stage2-descriptors.ts';
import { backedBytes } from './virtual-machines.ts';

/** A page that is remapped: where it appears, its descriptor, its two frames and its lock. */
export interface RemappedPage {
  readonly va: Address;
  readonly entry: Address;
  readonly attributesHi: number;
  readonly attributesLo: number;
  readonly frames: readonly Address[];
  readonly lock: Address;
}

/** Plain data: linear-map addresses unless said otherwise. */
export interface RandomImage {
  /** Each on a line of its own, some with the neighbour word in use too. */
  readonly words: readonly Address[];
  /** Lines that compete for one set of every cache. */
  readonly conflicts: readonly Address[];
  readonly ticketLocks: readonly Address[];
  readonly mcsLocks: readonly Address[];
  /** One counter behind each lock, tickets first: only changed by plain loads and stores. */
  readonly counters: readonly Address[];
  readonly doneCount: Address;
  readonly pages: readonly RemappedPage[];
  /** Virtual addresses, the same in every CPU's own space. */
  readonly userPages: readonly Address[];
  /** A block of 2 MiB without bytes in every CPU's own space. */
  readonly hugePage: Address;
  /** Lines of instructions, and the same lines in the linear map. */
  readonly text: readonly Address[];
  readonly textAliases: readonly Address[];
  /** Pages of memory without bytes. */
  readonly emptyPages: readonly Address[];
  readonly guest: GuestImage;
}

export interface GuestImage {
  /** Physical. */
  readonly stage2Root: Address;
  /** IPA. */
  readonly stage1Root: Address;
  readonly vmid: number;
  /** Guest virtual addresses; page i is IPA page i. */
  readonly pages: readonly Address[];
  /** Of page i: IPA, its stage-2 descriptor (linear map) and the descriptor's two halves. */
  readonly ipas: readonly Address[];
  readonly entries: readonly Address[];
  readonly descriptors: readonly Address[];
  readonly lock: Address;
}

export interface BootedCase {
  readonly memory: PhysicalMemoryBuffers;
  readonly symbols: readonly NamedMemory[];
  readonly perCpuHi: readonly number[];
  readonly perCpuLo: readonly number[];
  readonly translation: TranslationSetup;
  readonly image: RandomImage;
}

export const FRAME_VALID = 0x5a000000;
export const FRAME_POISON = 0x0badf00d;
const IPA_BITS = 40;
const WINDOW: Address = { hi: 0xffff8000 | 0, lo: 0x10000000 };
const TEXT: Address = { hi: 0xffff8000 | 0, lo: 0x20000000 };
const USER: Address = { hi: 0, lo: 0x00400000 };
const HUGE_PAGE: Address = { hi: 0, lo: 0x40000000 };
const GUEST: Address = { hi: 0, lo: 0x00800000 };
const GUEST_IPA: Address = { hi: 0, lo: 0x40000000 };
const PAGE = 4096;

export function bootCase(machine: Machine): BootedCase {
  const memory = PhysicalMemory.allocate(machine.memoryBytesOfNode, backedBytes(machine));
  const boot = new BootMemory(machine, new PhysicalMemory(memory));
  const areas = Array.from(machine.nodeOfCpu, (node) =>
    toLinear(boot.allocate(node, PER_CPU_BYTES, PAGE)),
  );
  const kernel = createLinearMap(boot, 0, GRANULE_4K);
  const userTables = createCpuRoots(boot, GRANULE_4K);
  const image = buildImage(boot, kernel, userTables);
  return {
    memory,
    symbols: boot.symbols,
    perCpuHi: areas.map(({ hi }) => hi),
    perCpuLo: areas.map(({ lo }) => lo),
    translation: {
      kernelRoots: areas.map(() => kernel.root),
      userRoots: userTables.map(({ root }) => root),
      hostGranuleShift: 12,
      guestGranuleShift: 12,
      stage2GranuleShift: 12,
      ipaBits: IPA_BITS,
    },
    image,
  };
}

function buildImage(
  boot: BootMemory,
  kernel: TranslationTable,
  userTables: readonly TranslationTable[],
): RandomImage {
  const { nodeCount } = boot.machine;
  const node = (i: number): number => i % nodeCount;
  const line = (i: number): Address => toLinear(boot.allocate(node(i), 64));
  const many = <T>(count: number, make: (i: number) => T): T[] =>
    Array.from({ length: count }, (_, i) => make(i));
  // 16 KiB apart: the same set of any cache with at most 256 sets.
  const conflicts = many(nodeCount, (home) => toLinear(boot.allocate(home, 16 * 6144, 16384)));
  return {
    words: many(8, line),
    conflicts: conflicts.flatMap((base) => many(6, (i) => addBytes(base, i * 16384))),
    ticketLocks: many(2, line),
    mcsLocks: many(2, line),
    counters: many(4, line),
    doneCount: line(0),
    pages: many(3, (i) => remappedPage(boot, kernel, i, node(i + 1))),
    userPages: userPages(boot, userTables, 6),
    hugePage: HUGE_PAGE,
    ...textPages(boot, kernel),
    emptyPages: many(2 * nodeCount, (i) => toLinear(boot.allocateUnbacked(node(i), PAGE))),
    guest: guestOf(boot, node(1)),
  };
}

function remappedPage(
  boot: BootMemory,
  kernel: TranslationTable,
  index: number,
  node: number,
): RemappedPage {
  const va = addBytes(WINDOW, index * PAGE);
  const frames = [boot.allocate(node, PAGE, PAGE), boot.allocate(0, PAGE, PAGE)];
  mapRange(boot, kernel, {
    input: va,
    output: frames[0]!,
    bytes: PAGE,
    attributesHi: S1_KERNEL_DATA_HI,
    attributesLo: S1_KERNEL_DATA_LO,
    tableNode: node,
  });
  boot.write32(frames[0]!, 0, FRAME_VALID);
  boot.write32(frames[1]!, 0, FRAME_POISON);
  return {
    va,
    entry: toLinear(descriptorAt(boot, kernel, va, 3, node)),
    attributesHi: leafDescriptorHi(0, S1_KERNEL_DATA_HI),
    attributesLo: leafDescriptorLo(0, S1_KERNEL_DATA_LO, 3),
    frames: frames.map(toLinear),
    lock: toLinear(boot.allocate(node, 64)),
  };
}

/**
 * The same frames in every CPU's space; some without access flag, some writable-clean, one block.
 */
function userPages(
  boot: BootMemory,
  tables: readonly TranslationTable[],
  count: number,
): Address[] {
  const { machine } = boot;
  const pages: Address[] = [];
  for (let i = 0; i < count; i++) {
    const va = addBytes(USER, i * PAGE);
    const frame = boot.allocate(i % machine.nodeCount, PAGE, PAGE);
    tables.forEach((table, cpu) => {
      mapRange(boot, table, {
        input: va,
        output: frame,
        bytes: PAGE,
        attributesHi: S1_USER_DATA_HI,
        attributesLo: userAttributes(machine, i),
        tableNode: machine.nodeOfCpu[cpu]!,
      });
    });
    pages.push(va);
  }
  // A block of 2 MiB over memory without bytes.
  const block = HUGE_PAGE;
  const output = boot.allocateUnbacked(0, 2 ** 21, 2 ** 21);
  tables.forEach((table, cpu) => {
    mapRange(boot, table, {
      input: block,
      output,
      bytes: 2 ** 21,
      attributesHi: S1_USER_DATA_HI,
      attributesLo: S1_USER_DATA_LO,
      tableNode: machine.nodeOfCpu[cpu]!,
    });
  });
  return [...pages, block, addBytes(block, 5 * PAGE)];
}

function userAttributes(machine: Machine, index: number): number {
  const { hafdbs } = machine.features;
  let lo = S1_USER_DATA_LO;
  if (hafdbs !== 'none' && index % 3 === 1) lo &= ~PTE_AF;
  if (hafdbs === 'dbm' && index % 3 === 2) lo |= S1_READ_ONLY;
  return lo;
}

function textPages(
  boot: BootMemory,
  kernel: TranslationTable,
): Pick<RandomImage, 'text' | 'textAliases'> {
  const text: Address[] = [];
  const textAliases: Address[] = [];
  for (let i = 0; i < 3; i++) {
    const va = addBytes(TEXT, i * PAGE);
    const frame = boot.allocate(i % boot.machine.nodeCount, PAGE, PAGE);
    mapRange(boot, kernel, {
      input: va,
      output: frame,
      bytes: PAGE,
      attributesHi: S1_KERNEL_TEXT_HI,
      attributesLo: S1_KERNEL_TEXT_LO,
      tableNode: 0,
    });
    for (const offset of [0, 64, 1024]) {
      text.push(addBytes(va, offset));
      textAliases.push(addBytes(toLinear(frame), offset));
    }
  }
  return { text, textAliases };
}

/** One VM: stage-1 tables and a few pages in IPA space, all mapped by stage 2 page by page. */
function guestOf(boot: BootMemory, node: number): GuestImage {
  const stage2 = createStage2Table(boot, node, GRANULE_4K, IPA_BITS);
  const attributesLo = s2AttributesLo(PERM_READ | PERM_WRITE | PERM_EXEC, false);
  const attributesHi = s2AttributesHi(PERM_READ | PERM_WRITE | PERM_EXEC);
  const map = (ipa: Address, frame: Address): void => {
    const place = { input: ipa, output: frame, bytes: PAGE, tableNode: node };
    mapRange(boot, stage2, { ...place, attributesHi, attributesLo });
  };
  // The guest's tables lie in IPA space at the physical addresses they have: identity for them.
  const stage1 = createStage1Table(boot, node, GRANULE_4K);
  const pages: Address[] = [];
  const ipas: Address[] = [];
  for (let i = 0; i < 3; i++) {
    pages.push(addBytes(GUEST, i * PAGE));
    ipas.push(addBytes(GUEST_IPA, i * PAGE));
    mapRange(boot, stage1, {
      input: pages[i]!,
      output: ipas[i]!,
      bytes: PAGE,
      attributesHi: S1_KERNEL_DATA_HI,
      attributesLo: S1_KERNEL_DATA_LO,
      tableNode: node,
    });
    map(ipas[i]!, boot.allocate(i % boot.machine.nodeCount, PAGE, PAGE));
  }
  for (let level = 0; level < 4; level++) {
    const table = descriptorAt(boot, stage1, GUEST, level, node);
    const base = { hi: table.hi, lo: table.lo & ~(PAGE - 1) };
    map(base, base);
  }
  const entries = ipas.map((ipa) => descriptorAt(boot, stage2, ipa, 3, node));
  return {
    stage2Root: stage2.root,
    stage1Root: stage1.root,
    vmid: 7,
    pages,
    ipas,
    entries: entries.map(toLinear),
    descriptors: entries.map((e) => ({ hi: boot.read32(e, 4), lo: boot.read32(e, 0) })),
    lock: toLinear(boot.allocate(node, 64)),
  };
}
