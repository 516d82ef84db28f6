/**
 * Where the kernel's own things are in its half of the address space: 4K pages, 48 bits
 * (arch/arm64/include/asm/memory.h, v6.5). With text replication the image has a top-level slot of
 * its own, shared with nobody ("arm64: place kernel in its own L0 page table entry").
 *
 *     shared:      PAGE_END | modules 2 GiB | image, vmalloc ...            | fixmap
 *     replicated:  PAGE_END | ... modules 2 GiB | image (one slot) | vmalloc ... | fixmap
 *
 * x86 profiles keep this layout. Deviations: no KASAN shadow, no vmemmap, no KASLR.
 */

import { type Address, addBytes } from '../../memory/physical-address.ts';

const GIB = 2 ** 30;
/** What one entry of the root covers with 4K pages and four levels. */
export const PGDIR_BYTES = 512 * GIB;
export const MODULES_BYTES = 2 * GIB;
/** One past the linear map. */
export const PAGE_END: Address = { hi: 0xffff8000 | 0, lo: 0 };
/** The last gigabyte of the address space has a root slot of its own. */
export const FIXMAP_START: Address = { hi: 0xffffffff | 0, lo: 0xc0000000 | 0 };

export interface KernelLayout {
  readonly modules: Address;
  readonly modulesBytes: number;
  /** _text, KIMAGE_VADDR. */
  readonly image: Address;
  readonly vmalloc: Address;
  readonly vmallocBytes: number;
  readonly fixmap: Address;
}

/** Bytes of vmalloc space that are given out: far more than an emulated machine can use. */
const VMALLOC_BYTES = 1024 * GIB;
/** Room for the image where it shares its slot with modules and vmalloc. */
export const IMAGE_ROOM_BYTES = GIB;

export function kernelLayout(replicated: boolean): KernelLayout {
  const modulesEnd = addBytes(PAGE_END, replicated ? PGDIR_BYTES : MODULES_BYTES);
  return {
    modules: addBytes(modulesEnd, -MODULES_BYTES),
    modulesBytes: MODULES_BYTES,
    image: modulesEnd,
    vmalloc: addBytes(modulesEnd, replicated ? PGDIR_BYTES : IMAGE_ROOM_BYTES),
    vmallocBytes: VMALLOC_BYTES,
    fixmap: FIXMAP_START,
  };
}

/** Index of an address in the root table. */
export function rootIndex({ hi }: Address): number {
  return (hi >>> 7) & 511;
}
