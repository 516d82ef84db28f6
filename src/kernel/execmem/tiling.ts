/**
 * An audit of what allocators keep, read from memory (no emulated cost): free and busy areas are
 * disjoint, no two free areas touch, and together they tile what was taken from vmalloc, no byte
 * lost and none twice. True whenever no CPU is inside an allocator.
 */

import { type Address, fromLinear } from '../../memory/physical-address.ts';
import { AreaField } from '../base/area-tree.ts';
import { PAGE_BYTES, PAGE_SHIFT } from '../base/struct-page.ts';
import type { Peek } from '../base/zone-audit.ts';
import { VmapField, VmapFlag } from '../vmalloc/image.ts';
import type { ExecmemImage } from './boot.ts';
import { CHUNK_BYTES, CHUNK_SHIFT } from './chunk.ts';
import { TextVm } from './posted-image.ts';
import { SECTION_TYPES } from './section-types.ts';

const TWO_32 = 0x1_0000_0000;
const LIST_MAX = 100_000;

/** Addresses as numbers of 48 bits. */
export interface Stretch {
  readonly start: number;
  readonly bytes: number;
}

interface TreeArea extends Stretch {
  readonly node: Address;
}

/** Problems, in words; none: all is well. For allocators that keep trees of areas. */
export function auditTiling(peek: Peek, image: ExecmemImage): string[] {
  switch (image.options.allocator) {
    case 'execmem-posted':
      return auditPosted(peek, image);
    case 'execmem-rox': {
      const { freeRoot, busyRoot } = image.rox;
      const free = treeAreas(peek, freeRoot, PAGE_SHIFT);
      const busy = treeAreas(peek, busyRoot, PAGE_SHIFT);
      return tilingProblems('cache', free, busy, fromVmalloc(peek, image));
    }
    case 'typed':
      return auditTyped(peek, image);
    default:
      return [];
  }
}

function auditTyped(peek: Peek, image: ExecmemImage): string[] {
  const areas = fromVmalloc(peek, image);
  return SECTION_TYPES.flatMap((type) => {
    const { freeRoot, busyRoot } = image.typed[type];
    const free = treeAreas(peek, freeRoot, CHUNK_SHIFT);
    const busy = treeAreas(peek, busyRoot, CHUNK_SHIFT);
    const own = areas.filter((area) => [...free, ...busy].some((piece) => contains(area, piece)));
    return tilingProblems(type, free, busy, own);
  });
}

function auditPosted(peek: Peek, image: ExecmemImage): string[] {
  const free = treeAreas(peek, image.posted.freeRoot, CHUNK_SHIFT);
  const busy = treeAreas(peek, image.vmalloc.busyRoot, CHUNK_SHIFT).filter(({ node }) => {
    const { hi, lo } = fromLinear(node);
    return peek(hi, lo + VmapField.Flags) === VmapFlag.NoVm;
  });
  const { tail } = image.posted;
  const vms = textVms(peek, image);
  if (tail !== null) vms.push({ start: numberOf(tail.start), bytes: tail.bytes });
  return tilingProblems('text', free, busy, vms);
}

/** all_text_vm, in its order. */
export function textVms(peek: Peek, image: ExecmemImage): Stretch[] {
  const vms: Stretch[] = [];
  let at = pointer(peek, image.posted.allTextVm);
  while ((at.hi | at.lo) !== 0 && vms.length < LIST_MAX) {
    const { hi, lo } = fromLinear(at);
    const bytes = peek(hi, lo + TextVm.Chunks) * CHUNK_BYTES;
    vms.push({ start: numberOf(pointer(peek, at, TextVm.Start)), bytes });
    at = pointer(peek, at, TextVm.Next);
  }
  return vms;
}

function tilingProblems(
  name: string,
  free: readonly Stretch[],
  busy: readonly Stretch[],
  whole: readonly Stretch[],
): string[] {
  const problems: string[] = [];
  const pieces = [...free, ...busy].toSorted((a, b) => a.start - b.start);
  for (const [index, piece] of pieces.entries()) {
    const next = pieces[index + 1];
    const end = piece.start + piece.bytes;
    if (next === undefined || end < next.start) continue;
    if (end > next.start) problems.push(`${name}: areas overlap at ${next.start.toString(16)}`);
    const bothFree = free.includes(piece) && free.includes(next);
    if (bothFree) problems.push(`${name}: free areas touch at ${next.start.toString(16)}`);
  }
  const covered = merged(pieces);
  const wanted = merged(whole.toSorted((a, b) => a.start - b.start));
  for (const stretch of covered.filter((a) => !wanted.some((b) => isSame(a, b)))) {
    problems.push(`${name}: areas from ${words(stretch)} are not what vmalloc gave`);
  }
  for (const stretch of wanted.filter((a) => !covered.some((b) => isSame(a, b)))) {
    problems.push(`${name}: ${words(stretch)} from vmalloc is not all in an area`);
  }
  return problems;
}

function words({ start, bytes }: Stretch): string {
  return `${start.toString(16)}+${bytes}`;
}

function isSame(a: Stretch, b: Stretch): boolean {
  return a.start === b.start && a.bytes === b.bytes;
}

function contains(area: Stretch, piece: Stretch): boolean {
  return piece.start >= area.start && piece.start < area.start + area.bytes;
}

function merged(ascending: readonly Stretch[]): Stretch[] {
  const result: Stretch[] = [];
  for (const { start, bytes } of ascending) {
    const last = result.at(-1);
    if (last !== undefined && last.start + last.bytes >= start) {
      const end = Math.max(last.start + last.bytes, start + bytes);
      result[result.length - 1] = { start: last.start, bytes: end - last.start };
    } else {
      result.push({ start, bytes });
    }
  }
  return result;
}

/** Areas of vmalloc in use, without their guard page. */
function fromVmalloc(peek: Peek, image: ExecmemImage): Stretch[] {
  return treeAreas(peek, image.vmalloc.busyRoot, PAGE_SHIFT).map(({ start, bytes }) => ({
    start,
    bytes: bytes - PAGE_BYTES,
  }));
}

/** In order of their starts. */
export function treeAreas(peek: Peek, root: Address, unitShift: number): TreeArea[] {
  const areas: TreeArea[] = [];
  const visit = (node: Address): void => {
    if ((node.hi | node.lo) === 0) return;
    visit(pointer(peek, node, AreaField.Left));
    const { hi, lo } = fromLinear(node);
    const bytes = peek(hi, lo + AreaField.Units) * 2 ** unitShift;
    areas.push({ node, start: numberOf(pointer(peek, node, AreaField.Start)), bytes });
    visit(pointer(peek, node, AreaField.Right));
  };
  visit(pointer(peek, root));
  return areas;
}

function pointer(peek: Peek, at: Address, field = 0): Address {
  const { hi, lo } = fromLinear(at);
  return { hi: peek(hi, lo + field + 4), lo: peek(hi, lo + field) };
}

function numberOf({ hi, lo }: Address): number {
  return (hi & 0xffff) * TWO_32 + (lo >>> 0);
}
