/** Addresses as people read them: the name of the object and the offset in it. */

import type { NamedMemory } from './boot.ts';

/** "kvm->mmu_lock", "kvm->mmu_lock+0x4", or the plain physical address. */
export function nameAddress(symbols: readonly NamedMemory[], paHi: number, paLo: number): string {
  for (const { name, address, bytes } of symbols) {
    if (address.hi !== paHi) continue;
    const offset = (paLo >>> 0) - (address.lo >>> 0);
    if (offset < 0 || offset >= bytes) continue;
    return offset === 0 ? name : `${name}+0x${offset.toString(16)}`;
  }
  return `0x${hex(paHi)}${hex(paLo)}`;
}

function hex(word: number): string {
  return (word >>> 0).toString(16).padStart(8, '0');
}
