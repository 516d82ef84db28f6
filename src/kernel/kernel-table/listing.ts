/**
 * What a kernel table maps, read from memory after or between runs (host side, no emulated cost):
 * a listing as /sys/kernel/debug/kernel_page_tables gives (arch/arm64/mm/ptdump.c): ranges of equal
 * permissions and leaf size. 4K pages, four levels, the kernel's half.
 */

import { formatBytes } from '../../base/units.ts';
import type { Address } from '../../memory/physical-address.ts';
import {
  isContiguous,
  isTable,
  isValid,
  outputHi,
  outputLo,
  PERM_DIRTY_PENDING,
  PERM_EXEC,
  PERM_WRITE,
} from '../../translation/descriptors.ts';
import { s1IsGlobal, s1Permissions } from '../../translation/stage1-descriptors.ts';
import type { Peek } from '../base/zone-audit.ts';

const LEAF_SHIFT = [39, 30, 21, 12] as const;
const LEAF_NAMES = ['PGD', 'PUD', 'PMD', 'PTE'] as const;
const ENTRIES = 512;
const TWO_32 = 0x1_0000_0000;

/** One leaf: both addresses as numbers of 48 bits. */
export interface Leaf {
  readonly input: number;
  readonly output: number;
  readonly level: number;
  readonly writable: boolean;
  readonly executable: boolean;
  readonly global: boolean;
  readonly contiguous: boolean;
}

/** Neighbours that differ in nothing. */
export interface MappedRange extends Omit<Leaf, 'output'> {
  readonly bytes: number;
}

export function leafBytes({ level }: { readonly level: number }): number {
  return 2 ** LEAF_SHIFT[level]!;
}

/** Every leaf below a root (a physical address), by ascending input address. */
export function kernelLeaves(peek: Peek, root: Address): Leaf[] {
  const leaves: Leaf[] = [];
  collect(peek, root, 0, 0, leaves);
  return leaves;
}

function collect(peek: Peek, table: Address, level: number, base: number, leaves: Leaf[]): void {
  for (let index = 0; index < ENTRIES; index++) {
    const lo = peek(table.hi, (table.lo + index * 8) | 0);
    if (!isValid(lo)) continue;
    const hi = peek(table.hi, (table.lo + index * 8 + 4) | 0);
    const input = base + index * 2 ** LEAF_SHIFT[level]!;
    if (isTable(lo, level)) {
      collect(peek, { hi: outputHi(hi, 12), lo: outputLo(lo, 12) }, level + 1, input, leaves);
      continue;
    }
    const shift = LEAF_SHIFT[level]!;
    const permissions = s1Permissions(hi, lo);
    leaves.push({
      input,
      output: outputHi(hi, shift) * TWO_32 + (outputLo(lo, shift) >>> 0),
      level,
      writable: (permissions & (PERM_WRITE | PERM_DIRTY_PENDING)) !== 0,
      executable: (permissions & PERM_EXEC) !== 0,
      global: s1IsGlobal(lo),
      contiguous: isContiguous(hi),
    });
  }
}

export function mappedRanges(leaves: readonly Leaf[]): MappedRange[] {
  const ranges: MappedRange[] = [];
  for (const { output: _, ...leaf } of leaves) {
    const last = ranges.at(-1);
    const bytes = leafBytes(leaf);
    if (last !== undefined && last.input + last.bytes === leaf.input && isAlike(last, leaf)) {
      ranges[ranges.length - 1] = { ...last, bytes: last.bytes + bytes };
    } else {
      ranges.push({ ...leaf, bytes });
    }
  }
  return ranges;
}

function isAlike(a: MappedRange, b: Omit<Leaf, 'output'>): boolean {
  return (
    a.level === b.level &&
    a.writable === b.writable &&
    a.executable === b.executable &&
    a.global === b.global &&
    a.contiguous === b.contiguous
  );
}

/** "0xffff800078000000-0xffff800078200000   2M PMD  ro x  global". */
export function listingLines(ranges: readonly MappedRange[]): string[] {
  return ranges.map((range) => {
    const from = kernelAddressWord(range.input);
    const to = kernelAddressWord(range.input + range.bytes);
    const size = formatBytes(range.bytes).padStart(8);
    const leaf = `${LEAF_NAMES[range.level]!}${range.contiguous ? ' cont' : ''}`;
    const write = range.writable ? 'RW' : 'ro';
    const execute = range.executable ? 'x ' : 'NX';
    return `${from}-${to} ${size} ${leaf} ${write} ${execute}${range.global ? '' : ' nG'}`;
  });
}

/** An address of the kernel's half, of its last 48 bits. */
export function kernelAddressWord(input: number): string {
  return `0xffff${(input % 2 ** 48).toString(16).padStart(12, '0')}`;
}
