/**
 * Copies of kernel text without a writable alias, which the posted series leaves open ("replicated
 * rodata not yet write-protected"): the linear map of the original (mark_linear_text_alias_ro,
 * v6.5) and of each copy is mapped by pages, read-only. Every write then needs a window of the
 * fixmap and a broadcast flush. No kernel does this.
 */

import type { BootMemory } from '../../memory/boot.ts';
import { addBytes, toLinear } from '../../memory/physical-address.ts';
import { descriptorAt, type KernelMap } from '../../translation/boot-tables.ts';
import { PTE_DBM_HI } from '../../translation/descriptors.ts';
import { S1_READ_ONLY } from '../../translation/stage1-descriptors.ts';
import { PAGE_BYTES } from '../base/struct-page.ts';
import { splitAtBoot } from '../linear-map/image.ts';
import { copiedBytes, type KernelTextImage } from './image.ts';

export function protectAliases(
  boot: BootMemory,
  map: KernelMap,
  image: KernelTextImage,
): KernelTextImage {
  let { tableBytes } = image;
  for (const { node, physical } of image.copies) {
    const free = boot.backedFree(node);
    splitAtBoot(boot, map, node, physical, copiedBytes(image));
    for (let offset = 0; offset < copiedBytes(image); offset += PAGE_BYTES) {
      const at = toLinear(addBytes(physical, offset));
      const entry = descriptorAt(boot, map.table, at, 3, node);
      const hi = boot.read32(entry, 4) & ~PTE_DBM_HI;
      boot.write64(entry, 0, hi, boot.read32(entry, 0) | S1_READ_ONLY);
    }
    tableBytes += boot.backedFree(node) - free;
  }
  return { ...image, tableBytes };
}
