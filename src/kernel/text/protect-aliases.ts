/**
 * The linear map of kernel text is read-only, or text could be written where nobody looks
 * (arch/arm64/mm/mmu.c: mark_linear_text_alias_ro): the original's from boot on, by pages. The
 * posted series leaves that of its copies writable ("replicated rodata not yet write-protected");
 * protectCopies=on protects them as well, so that every write needs a window of the fixmap and a
 * broadcast flush. No kernel does that.
 */

import type { BootMemory } from '../../memory/boot.ts';
import type { KernelMap } from '../../translation/boot-tables.ts';
import { makeAliasReadOnly } from '../linear-map/image.ts';
import { copiedBytes, type KernelTextImage } from './image.ts';

export function protectAliases(
  boot: BootMemory,
  map: KernelMap,
  image: KernelTextImage,
): KernelTextImage {
  const [original, ...others] = image.copies;
  makeAliasReadOnly(boot, map, original!.node, original!.physical, copiedBytes(image));
  if (!image.options.protectCopies) return image;
  let { tableBytes } = image;
  for (const { node, physical } of others) {
    const free = boot.backedFree(node);
    makeAliasReadOnly(boot, map, node, physical, copiedBytes(image));
    tableBytes += boot.backedFree(node) - free;
  }
  return { ...image, tableBytes };
}
