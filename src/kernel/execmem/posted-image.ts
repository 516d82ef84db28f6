/**
 * What the posted execmem_alloc keeps (bpf-next v2 1/5 and 4/5, S. Liu, 2022-11-07):
 * free_text_area_root under free_text_area_lock, and all_text_vm, the list of vm_structs whose
 * pages are text. Areas in use are in vmalloc's own vmap_area_root, with vm == NULL.
 *
 * Deviation: a vm_struct here points to the vmap_area that vmalloc made (both are one node there).
 */

import type { BootMemory } from '../../memory/boot.ts';
import { type Address, addBytes, toLinear } from '../../memory/physical-address.ts';
import { makeQueuedSpinlock } from '../../sync/qspinlock.ts';
import { AREA_BYTES, AreaField } from '../base/area-tree.ts';
import { NEXT } from './area-pool.ts';
import { CHUNK_SHIFT } from './chunk.ts';
import type { TextTail } from './text-tail.ts';

/** A vm_struct on all_text_vm. */
export const TextVm = {
  Next: NEXT,
  Start: AreaField.Start,
  /** In chunks; 0: freed, as a poisoned slab object would show. */
  Chunks: AreaField.Units,
  /** The vmap_area of vmalloc's; 0: the text tail, which nobody frees. */
  VmapArea: AreaField.Owner,
} as const;

/** Plain data; linear-map addresses. */
export interface PostedImage {
  /** free_text_area_lock, a spinlock. */
  readonly lock: Address;
  /** free_text_area_root. */
  readonly freeRoot: Address;
  /** all_text_vm. */
  readonly allTextVm: Address;
  /** What register_text_tail_vm was given. */
  readonly tail: TextTail | null;
}

export const POSTED_BYTES = 256 + 2 * AREA_BYTES;

/** `tail`: register_text_tail_vm has run, and its pages are the first free text. */
export function bootPosted(boot: BootMemory, node: number, tail: TextTail | null): PostedImage {
  const lock = boot.allocateNamed('free_text_area_lock', node, 64);
  makeQueuedSpinlock().init?.(boot, lock);
  const words = boot.allocateNamed('free_text_area_root', node, 64);
  if (tail !== null) registerTail(boot, node, words, tail);
  return {
    lock: toLinear(lock),
    freeRoot: toLinear(words),
    allTextVm: toLinear(addBytes(words, 8)),
    tail,
  };
}

/** register_text_tail_vm: only free space; no vm of it is on the list, so nobody unmaps it. */
function registerTail(boot: BootMemory, node: number, words: Address, tail: TextTail): void {
  const area = boot.allocateNamed('text_tail_va', node, AREA_BYTES);
  const chunks = tail.bytes / 2 ** CHUNK_SHIFT;
  boot.write64(area, AreaField.Start, tail.start.hi, tail.start.lo);
  boot.write32(area, AreaField.Units, chunks);
  boot.write32(area, AreaField.Largest, chunks);
  const { hi, lo } = toLinear(area);
  boot.write64(words, 0, hi, lo);
}
