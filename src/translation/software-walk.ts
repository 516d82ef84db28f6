/**
 * A page-table walk free of emulated cost, for tests and checkers: reads descriptors as they stand
 * in memory and says what hardware would find (Arm ARM D8.2). Nested walks pass `toPhysical`,
 * which turns the IPA of each stage-1 table into a physical address.
 */

import { type Address, addBytes } from '../memory/physical-address.ts';
import type { PhysicalMemory } from '../memory/physical-memory.ts';
import type { TranslationTable } from './boot-tables.ts';
import {
  hasAccessFlag,
  isBlockOrPage,
  isContiguous,
  isTable,
  outputHi,
  outputLo,
} from './descriptors.ts';
import {
  contiguousShift,
  DESCRIPTOR_BYTES,
  isInputInRange,
  LAST_LEVEL,
  levelShift,
  sizeMaskHi,
  sizeMaskLo,
  startIndex,
  tableIndex,
} from './granule.ts';

export interface SoftwareWalk {
  /** none: translated; translation: no valid leaf; access: leaf without access flag. */
  readonly fault: 'none' | 'translation' | 'access-flag';
  /** Level of the last descriptor read. */
  readonly level: number;
  /** Physical address of that descriptor, and its content. */
  readonly entry: Address;
  readonly hi: number;
  readonly lo: number;
  /** Output address of the input address itself; zero unless a leaf was found. */
  readonly output: Address;
  /** log2 of what a TLB may cache as one entry: the leaf, or its contiguous group. 0: no leaf. */
  readonly shift: number;
}

const NOWHERE: Address = { hi: 0, lo: 0 };

/** The walk ended before any descriptor of the level was read. */
function nothingFound(level: number): SoftwareWalk {
  return { fault: 'translation', level, entry: NOWHERE, hi: 0, lo: 0, output: NOWHERE, shift: 0 };
}

export function softwareWalk(
  memory: PhysicalMemory,
  table: TranslationTable,
  inputHi: number,
  inputLo: number,
  toPhysical?: (address: Address) => Address | undefined,
): SoftwareWalk {
  const { granule } = table;
  if (!isInputInRange(table.inputBits, inputHi)) return nothingFound(table.startLevel);
  let base: Address | undefined = table.root;
  let index = startIndex(granule, table.startLevel, table.inputBits, inputHi, inputLo);
  for (let level = table.startLevel; ; level++) {
    if (toPhysical !== undefined) base = toPhysical(base);
    if (base === undefined) {
      return {
        fault: 'translation',
        level,
        entry: NOWHERE,
        hi: 0,
        lo: 0,
        output: NOWHERE,
        shift: 0,
      };
    }
    const entry = addBytes(base, index * DESCRIPTOR_BYTES);
    const lo = memory.peek32(entry.hi, entry.lo);
    const hi = memory.peek32(entry.hi, entry.lo + 4);
    if (isTable(lo, level) && level < LAST_LEVEL) {
      base = { hi: outputHi(hi, granule.shift), lo: outputLo(lo, granule.shift) };
      index = tableIndex(granule, level + 1, inputHi, inputLo);
      continue;
    }
    if (!isBlockOrPage(lo, level)) {
      return { fault: 'translation', level, entry, hi, lo, output: NOWHERE, shift: 0 };
    }
    const leafShift = levelShift(granule, level);
    const output: Address = {
      hi: outputHi(hi, leafShift) | (inputHi & 0xffff & ~sizeMaskHi(leafShift)),
      lo: outputLo(lo, leafShift) | (inputLo & ~sizeMaskLo(leafShift)),
    };
    const shift = leafShift + (isContiguous(hi) ? contiguousShift(granule, level) : 0);
    const fault = hasAccessFlag(lo) ? 'none' : 'access-flag';
    return { fault, level, entry, hi, lo, output, shift };
  }
}
