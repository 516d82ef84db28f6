/**
 * The rest of the kernel text's last 2 MiB, given to the allocator (bpf-next v2 4/5 and 5/5,
 * S. Liu, 2022-11-07: register_text_tail_vm). Before time 0.
 *
 * Deviations: the tail begins where the image ends (text, then .rodata), as nothing is mapped
 * behind it up to the next 2 MiB; its frames are its own and mapped by pages, so it saves room and
 * not the TLB entry that sharing a block would.
 */

import { UserError } from '../../base/errors.ts';
import type { BootMemory } from '../../memory/boot.ts';
import { type Address, addBytes } from '../../memory/physical-address.ts';
import { type KernelMap, mapRange } from '../../translation/boot-tables.ts';
import { S1_KERNEL_TEXT_HI, S1_KERNEL_TEXT_LO } from '../../translation/stage1-descriptors.ts';
import { PAGE_BYTES } from '../base/struct-page.ts';
import { makeAliasReadOnly } from '../linear-map/image.ts';
import { copiedBytes, type KernelTextImage } from '../text/image.ts';

const PMD_BYTES = 2 ** 21;

/** Plain data. */
export interface TextTail {
  readonly start: Address;
  readonly bytes: number;
}

/** Backed bytes that a tail takes at most, its tables included. */
export const TEXT_TAIL_BYTES = PMD_BYTES + 8 * PAGE_BYTES;

export function bootTextTail(
  boot: BootMemory,
  map: KernelMap,
  text: KernelTextImage | null,
): TextTail {
  if (text === null) {
    throw new UserError(
      'textTail=on: this workload has no kernel text whose last 2M could be shared; ' +
        'use textTail=off, or a workload that executes kernel text',
    );
  }
  if (text.copies.length > 1) {
    throw new UserError(
      'textTail=on: the tail would have to be in every copy of the kernel text; ' +
        'use textTail=off or text=shared',
    );
  }
  const start = addBytes(text.start, copiedBytes(text));
  const bytes = (PMD_BYTES - ((start.lo >>> 0) % PMD_BYTES)) % PMD_BYTES;
  if (bytes === 0) {
    throw new UserError(
      'textTail=on: the kernel text ends at a multiple of 2M and leaves no tail; ' +
        'use textTail=off or another textSize',
    );
  }
  const { node } = text.copies[0]!;
  const physical = boot.allocateText('text_tail_vm', node, bytes, PAGE_BYTES);
  mapRange(boot, map.table, {
    input: start,
    output: physical,
    bytes,
    attributesHi: S1_KERNEL_TEXT_HI,
    attributesLo: S1_KERNEL_TEXT_LO,
    tableNode: node,
    maximumShift: 12,
  });
  makeAliasReadOnly(boot, map, node, physical, bytes);
  return { start, bytes };
}
