/**
 * Page tables written before time 0 (ER-D20), with the same descriptors that the emulated kernel
 * writes later. As Linux' create_mapping (arch/arm64/mm/mmu.c): at each address the largest leaf
 * that alignment and length allow, contiguous groups where asked for.
 *
 * Table pages come from the boot allocator, on a node of the caller's choice: their placement is
 * what a walk pays for.
 */

import { assert } from '../base/assert.ts';
import type { BootMemory } from '../memory/boot.ts';
import {
  type Address,
  addBytes,
  LINEAR_MAP_HI,
  paHiOf,
  paLoOf,
} from '../memory/physical-address.ts';
import {
  isBlockOrPage,
  isTable,
  isValid,
  leafDescriptorHi,
  leafDescriptorLo,
  outputHi,
  outputLo,
  PTE_CONT_HI,
  tableDescriptorHi,
  tableDescriptorLo,
} from './descriptors.ts';
import {
  concatenationShift,
  contiguousShift,
  DESCRIPTOR_BYTES,
  type Granule,
  granuleBytes,
  isLeafLevel,
  LAST_LEVEL,
  levelShift,
  sizeMaskHi,
  sizeMaskLo,
  stage2StartLevel,
  startIndex,
  startLevel,
  tableIndex,
} from './granule.ts';
import { S1_KERNEL_DATA_HI, S1_KERNEL_DATA_LO } from './stage1-descriptors.ts';

/** A translation table as boot code and checkers know it: where it starts and what it resolves. */
export interface TranslationTable {
  readonly root: Address;
  readonly granule: Granule;
  readonly startLevel: number;
  readonly inputBits: number;
}

/** The kernel's half of the address space at time 0. */
export interface KernelMap {
  /** swapper_pg_dir: the linear map, and whatever boot functions map besides. */
  readonly table: TranslationTable;
  /** TTBR1 of each CPU at time 0, a physical address. A boot function may give a CPU another. */
  readonly roots: Address[];
}

export interface Mapping {
  /** First input address (VA or IPA) and first output address; equal offsets inside a page. */
  readonly input: Address;
  readonly output: Address;
  readonly bytes: number;
  /** Leaf attributes (stage1-descriptors.ts, stage2-descriptors.ts). */
  readonly attributesHi: number;
  readonly attributesLo: number;
  /** log2 of the largest leaf; the granule's shift forces pages. Default: as large as possible. */
  readonly maximumShift?: number;
  /** Sets the contiguous bit on whole aligned groups. Default false. */
  readonly contiguous?: boolean;
  /** Node of new table pages. */
  readonly tableNode: number;
}

/** An empty stage-1 table (TTBR0, TTBR1) with its root on the node. */
export function createStage1Table(
  boot: BootMemory,
  node: number,
  granule: Granule,
  inputBits = 48,
): TranslationTable {
  const root = boot.allocate(node, granuleBytes(granule), granuleBytes(granule));
  return { root, granule, startLevel: startLevel(granule, inputBits), inputBits };
}

/** An empty stage-2 table, with concatenated tables at its start level as KVM has them. */
export function createStage2Table(
  boot: BootMemory,
  node: number,
  granule: Granule,
  ipaBits: number,
): TranslationTable {
  const level = stage2StartLevel(granule, ipaBits);
  const bytes = granuleBytes(granule) * 2 ** concatenationShift(granule, level, ipaBits);
  const root = boot.allocate(node, bytes, bytes);
  return { root, granule, startLevel: level, inputBits: ipaBits };
}

/** Writes the leaves of a mapping; what it covers must be unmapped. */
export function mapRange(boot: BootMemory, table: TranslationTable, mapping: Mapping): void {
  const pageBytes = granuleBytes(table.granule);
  assert(mapping.bytes > 0 && mapping.bytes % pageBytes === 0, `mapping of ${mapping.bytes} bytes`);
  let done = 0;
  while (done < mapping.bytes) {
    const input = addBytes(mapping.input, done);
    const output = addBytes(mapping.output, done);
    done += mapLargest(boot, table, mapping, input, output, mapping.bytes - done);
  }
}

/** One leaf, or one contiguous group of leaves; returns the bytes mapped. */
function mapLargest(
  boot: BootMemory,
  table: TranslationTable,
  mapping: Mapping,
  input: Address,
  output: Address,
  bytesLeft: number,
): number {
  const { granule } = table;
  const limit = mapping.maximumShift ?? 64;
  let level = table.startLevel;
  while (!leafFits(granule, level, limit, input, output, bytesLeft)) {
    level++;
    assert(level <= LAST_LEVEL, 'input and output of a mapping are not aligned to pages');
  }
  const shift = levelShift(granule, level);
  const groupShift = contiguousShift(granule, level);
  const grouped =
    mapping.contiguous === true &&
    groupShift > 0 &&
    isAligned(input, shift + groupShift) &&
    isAligned(output, shift + groupShift) &&
    bytesLeft >= 2 ** (shift + groupShift);
  const count = grouped ? 2 ** groupShift : 1;
  const entry = descriptorAt(boot, table, input, level, mapping.tableNode);
  const attributesHi = mapping.attributesHi | (grouped ? PTE_CONT_HI : 0);
  for (let i = 0; i < count; i++) {
    const pa = addBytes(output, i * 2 ** shift);
    const offset = i * DESCRIPTOR_BYTES;
    assert(!isValid(boot.read32(entry, offset)), 'a boot mapping covers a mapped address');
    const hi = leafDescriptorHi(pa.hi, attributesHi);
    boot.write64(entry, offset, hi, leafDescriptorLo(pa.lo, mapping.attributesLo, level));
  }
  return count * 2 ** shift;
}

function leafFits(
  granule: Granule,
  level: number,
  limitShift: number,
  input: Address,
  output: Address,
  bytesLeft: number,
): boolean {
  const shift = levelShift(granule, level);
  if (!isLeafLevel(granule, level) || shift > Math.max(limitShift, granule.shift)) return false;
  return isAligned(input, shift) && isAligned(output, shift) && bytesLeft >= 2 ** shift;
}

function isAligned(address: Address, shift: number): boolean {
  return ((address.lo & ~sizeMaskLo(shift)) | (address.hi & ~sizeMaskHi(shift))) === 0;
}

/**
 * Physical address of the descriptor for an input address at a level; missing tables on the way
 * are made on the node.
 */
export function descriptorAt(
  boot: BootMemory,
  table: TranslationTable,
  input: Address,
  level: number,
  tableNode: number,
): Address {
  const { granule } = table;
  const index = startIndex(granule, table.startLevel, table.inputBits, input.hi, input.lo);
  let entry = addBytes(table.root, index * DESCRIPTOR_BYTES);
  for (let at = table.startLevel; at < level; at++) {
    const lo = boot.read32(entry, 0);
    let next: Address;
    if (isTable(lo, at)) {
      const hi = boot.read32(entry, 4);
      next = { hi: outputHi(hi, granule.shift), lo: outputLo(lo, granule.shift) };
    } else {
      assert(!isBlockOrPage(lo, at), 'a boot mapping runs into a block');
      next = boot.allocate(tableNode, granuleBytes(granule), granuleBytes(granule));
      boot.write64(entry, 0, tableDescriptorHi(next.hi), tableDescriptorLo(next.lo));
    }
    const offset = tableIndex(granule, at + 1, input.hi, input.lo) * DESCRIPTOR_BYTES;
    entry = addBytes(next, offset);
  }
  return entry;
}

/**
 * The kernel's linear map (TTBR1): VA 0xffff_0000_0000_0000 + PA for the memory of every node, with
 * the largest blocks that fit (1 GiB at 4K), global, writable, never executable. Tables on `node`.
 */
export function createLinearMap(
  boot: BootMemory,
  node: number,
  granule: Granule,
  attributesHi = S1_KERNEL_DATA_HI,
  attributesLo = S1_KERNEL_DATA_LO,
): TranslationTable {
  const table = createStage1Table(boot, node, granule);
  const { machine } = boot;
  for (let home = 0; home < machine.nodeCount; home++) {
    const bytes = machine.memoryBytesOfNode[home]!;
    if (bytes === 0) continue;
    const output: Address = { hi: paHiOf(home, 0), lo: paLoOf(0) };
    const input: Address = { hi: output.hi | LINEAR_MAP_HI, lo: output.lo };
    const pageBytes = granuleBytes(granule);
    const whole = Math.floor(bytes / pageBytes) * pageBytes;
    mapRange(boot, table, {
      input,
      output,
      bytes: whole,
      attributesHi,
      attributesLo,
      tableNode: node,
    });
  }
  return table;
}

/** Every CPU's own empty root (TTBR0) on its node, by CPU. */
export function createCpuRoots(boot: BootMemory, granule: Granule): TranslationTable[] {
  const tables: TranslationTable[] = [];
  for (const node of boot.machine.nodeOfCpu) tables.push(createStage1Table(boot, node, granule));
  return tables;
}
