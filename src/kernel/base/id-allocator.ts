/**
 * Small integers from a bitmap without a lock (Linux lib/sbitmap.c: sbitmap_get,
 * __sbitmap_get_word, sbitmap_put): look for a clear bit from a hint on, set it atomically, look on
 * if somebody else was faster, wrap round once.
 *
 * Deviation: the hint is one word for all CPUs (sbitmap keeps one per CPU), so identifiers go round
 * in ascending order, as the VMID allocator's do (arch/arm64/kvm/vmid.c: new_vmid).
 *
 * Layout: next hint (4 bytes) on a line of its own, then the bitmap from byte 64 on.
 */

import { assert } from '../../base/assert.ts';
import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Order } from '../../cpu/operations.ts';
import type { BootMemory } from '../../memory/boot.ts';
import { type Address, toLinear } from '../../memory/physical-address.ts';
import { bitmapBytes, findNextZeroBit, testAndClearBit, testAndSetBit } from './bitmap.ts';
import { ENOSPC } from './errno.ts';

/** Plain data. Identifiers are 0 .. count-1. */
export interface IdAllocator {
  readonly count: number;
  readonly hi: number;
  readonly lo: number;
}

const BITMAP = 64;

/** `reserved`: identifiers from 0 on that are never handed out. */
export function bootIdAllocator(
  boot: BootMemory,
  name: string,
  node: number,
  count: number,
  reserved = 0,
): IdAllocator {
  assert(count > reserved, `${name}: ${reserved} of ${count} identifiers are reserved`);
  const physical: Address = boot.allocateNamed(name, node, BITMAP + bitmapBytes(count));
  for (let bit = 0; bit < reserved; bit++) {
    const offset = BITMAP + (bit >>> 5) * 4;
    boot.write32(physical, offset, boot.read32(physical, offset) | (1 << (bit & 31)));
  }
  const { hi, lo } = toLinear(physical);
  return { count, hi, lo };
}

/** ret = an identifier that nobody holds, or -ENOSPC. */
export function* allocateId(cpu: Cpu, ids: IdAllocator): Program {
  const { hi, lo, count } = ids;
  while (!cpu.load32(hi, lo, Order.Relaxed)) yield;
  const hint = cpu.lo;
  let wrapped = hint === 0;
  let from = hint;
  for (;;) {
    yield* findNextZeroBit(cpu, hi, lo + BITMAP, count, from);
    const id = cpu.ret;
    if (id >= count) {
      if (wrapped) {
        cpu.ret = -ENOSPC;
        return;
      }
      wrapped = true;
      from = 0;
      continue;
    }
    while (!testAndSetBit(cpu, hi, lo + BITMAP, id)) yield;
    if (cpu.ret === 0) {
      while (!cpu.store32(hi, lo, (id + 1) % count, Order.Relaxed)) yield;
      cpu.ret = id;
      return;
    }
    from = id + 1 < count ? id + 1 : 0;
  }
}

/** Gives an identifier back; one that nobody holds is an assertion. */
export function* freeId(cpu: Cpu, ids: IdAllocator, id: number): Program {
  assert(id >= 0 && id < ids.count, `identifier ${id} of ${ids.count} is given back`);
  while (!testAndClearBit(cpu, ids.hi, ids.lo + BITMAP, id)) yield;
  assert(cpu.ret === 1, `identifier ${id} is given back and nobody holds it`);
}
