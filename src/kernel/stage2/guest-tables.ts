/**
 * The guest's own stage-1 tables, written before time 0 as KVM selftests do (virt_map,
 * lib/aarch64/processor.c): pages only, one attribute, kernel mappings. They lie in guest memory
 * that has bytes: a run of host frames at a known IPA. A walk of them goes through stage 2.
 */

import { assert } from '../../base/assert.ts';
import type { BootMemory } from '../../memory/boot.ts';
import { type Address, addBytes } from '../../memory/physical-address.ts';
import {
  leafDescriptorHi,
  leafDescriptorLo,
  tableDescriptorHi,
  tableDescriptorLo,
} from '../../translation/descriptors.ts';
import {
  DESCRIPTOR_BYTES,
  type Granule,
  granuleBytes,
  LAST_LEVEL,
  levelShift,
  startLevel,
} from '../../translation/granule.ts';
import { S1_KERNEL_DATA_HI, S1_KERNEL_DATA_LO } from '../../translation/stage1-descriptors.ts';
import { addressHi, addressLo, alignUp } from './address.ts';

/** Input address bits of the guest's stage 1 (TCR_EL1.T0SZ). */
export const GUEST_VA_BITS = 48;

/** Plain data. */
export interface GuestImage {
  /** IPA of the root table (TTBR0_EL1). */
  readonly rootHi: number;
  readonly rootLo: number;
  readonly granuleShift: number;
}

export interface GuestMapping {
  readonly virtual: number;
  readonly ipa: number;
  readonly bytes: number;
}

/** Bytes of guest memory that the tables for some mappings take. */
export function guestTableBytes(granule: Granule, mappings: readonly GuestMapping[]): number {
  let tables = 1;
  const first = startLevel(granule, GUEST_VA_BITS);
  for (let level = first + 1; level <= LAST_LEVEL; level++) {
    const span = 2 ** levelShift(granule, level - 1);
    const seen = new Set<number>();
    for (const { virtual, bytes } of mappings) {
      const end = virtual + bytes;
      for (let at = Math.floor(virtual / span); at * span < end; at++) seen.add(at);
    }
    tables += seen.size;
  }
  return tables * granuleBytes(granule);
}

/** Writes the tables into `frames` (host memory with bytes) that the guest sees at `baseIpa`. */
export function bootGuestTables(
  boot: BootMemory,
  granule: Granule,
  frames: Address,
  baseIpa: number,
  mappings: readonly GuestMapping[],
): GuestImage {
  const pageBytes = granuleBytes(granule);
  const first = startLevel(granule, GUEST_VA_BITS);
  const tables = new Map<string, number>();
  let used = pageBytes;
  const tableFor = (level: number, virtual: number): number => {
    if (level === first) return 0;
    const key = `${level}:${Math.floor(virtual / 2 ** levelShift(granule, level - 1))}`;
    const known = tables.get(key);
    if (known !== undefined) return known;
    const offset = used;
    used += pageBytes;
    tables.set(key, offset);
    const parent = tableFor(level - 1, virtual) + indexOf(granule, level - 1, virtual);
    const ipa = baseIpa + offset;
    boot.write64(
      frames,
      parent,
      tableDescriptorHi(addressHi(ipa)),
      tableDescriptorLo(addressLo(ipa)),
    );
    return offset;
  };
  for (const { virtual, ipa, bytes } of mappings) {
    assert(virtual % pageBytes === 0 && ipa % pageBytes === 0, 'guest mapping off its page');
    let table = -1;
    let span = -1;
    for (let at = 0; at < alignUp(bytes, pageBytes); at += pageBytes) {
      const current = Math.floor((virtual + at) / 2 ** levelShift(granule, LAST_LEVEL - 1));
      if (current !== span) table = tableFor(LAST_LEVEL, virtual + at);
      span = current;
      const entry = addBytes(frames, table + indexOf(granule, LAST_LEVEL, virtual + at));
      const hi = leafDescriptorHi(addressHi(ipa + at), S1_KERNEL_DATA_HI);
      boot.write64(
        entry,
        0,
        hi,
        leafDescriptorLo(addressLo(ipa + at), S1_KERNEL_DATA_LO, LAST_LEVEL),
      );
    }
  }
  return {
    rootHi: addressHi(baseIpa),
    rootLo: addressLo(baseIpa),
    granuleShift: granule.shift,
  };
}

/** Byte offset of the descriptor for an address in its table. */
function indexOf(granule: Granule, level: number, virtual: number): number {
  const entries = 2 ** granule.entriesShift;
  return (Math.floor(virtual / 2 ** levelShift(granule, level)) % entries) * DESCRIPTOR_BYTES;
}
