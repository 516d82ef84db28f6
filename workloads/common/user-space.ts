/**
 * An address space of a process, mapped before time 0: a TTBR0 root and tables on one node, an
 * ASID, pages of a chosen size. Programs that only want memory at virtual addresses enter it at
 * their start; no page of it ever faults.
 */

import { unreachable } from '../../src/base/assert.ts';
import type { Cpu, Program } from '../../src/cpu/cpu.ts';
import { Register } from '../../src/cpu/operations.ts';
import type { BootMemory } from '../../src/memory/boot.ts';
import type { Address } from '../../src/memory/physical-address.ts';
import {
  createStage1Table,
  descriptorAt,
  mapRange,
  type TranslationTable,
} from '../../src/translation/boot-tables.ts';
import { GRANULE_4K, LAST_LEVEL } from '../../src/translation/granule.ts';
import { S1_USER_DATA_HI, S1_USER_DATA_LO } from '../../src/translation/stage1-descriptors.ts';

export const PAGE_SIZES = ['4K', '2M', '1G'] as const;
export type PageSize = (typeof PAGE_SIZES)[number];

const TABLE_BYTES = 4096;
const ENTRIES_PER_TABLE = 512;

export interface UserSpace {
  readonly table: TranslationTable;
  readonly tableNode: number;
  readonly asid: number;
}

export function pageShiftOf(size: PageSize): number {
  switch (size) {
    case '4K':
      return 12;
    case '2M':
      return 21;
    case '1G':
      return 30;
    default:
      return unreachable(size);
  }
}

export function pageBytesOf(size: PageSize): number {
  return 2 ** pageShiftOf(size);
}

/** `asid`: as Linux gives one per process; spaces on different CPUs may share a number. */
export function createUserSpace(boot: BootMemory, node: number, asid = 1): UserSpace {
  return { table: createStage1Table(boot, node, GRANULE_4K), tableNode: node, asid };
}

/** Maps memory writable; addresses and length are multiples of the page size. */
export function mapUserPages(
  boot: BootMemory,
  space: UserSpace,
  va: Address,
  physical: Address,
  bytes: number,
  pageShift: number,
): void {
  mapRange(boot, space.table, {
    input: va,
    output: physical,
    bytes,
    attributesHi: S1_USER_DATA_HI,
    attributesLo: S1_USER_DATA_LO,
    maximumShift: pageShift,
    tableNode: space.tableNode,
  });
}

/** Physical address of the descriptor that maps a 4K page. */
export function pageDescriptor(boot: BootMemory, space: UserSpace, va: Address): Address {
  return descriptorAt(boot, space.table, va, LAST_LEVEL, space.tableNode);
}

/** Makes the space current on the CPU. */
export function* enterUserSpace(cpu: Cpu, space: UserSpace): Program {
  const { root } = space.table;
  while (!cpu.setRoot(Register.Ttbr0, root.hi, root.lo, space.asid)) yield;
}

/** Table pages of a space that maps one stretch, and one for each level above, in bytes. */
export function tableBytes(bytes: number, pageShift: number): number {
  const pages = Math.ceil(bytes / 2 ** pageShift);
  return (Math.ceil(pages / ENTRIES_PER_TABLE) + 4) * TABLE_BYTES;
}
