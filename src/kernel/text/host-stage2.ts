/**
 * text=stage2-replicated: the host kernel at EL1 under a stage 2 of its own, one table per node, in
 * which the text's IPA leads to the node's copy (A. Biesheuvel's counter-proposal in RFC 00/17,
 * 2023-05-30; tables as pKVM's host_mmu, arch/arm64/kvm/hyp/nvhe/mem_protect.c, v6.5).
 *
 * All memory is mapped IPA = PA with the largest leaves that fit, but for the text: leaves of
 * textPages, read-only on every node, the first included, so that a write traps to EL2, which
 * replays it to every copy (replay.ts). Frames of copies belong to EL2: the host has no mapping.
 *
 * Deviations: no table of devices, whose accesses aren't emulated; interrupts are taken as exits of
 * a guest, and handlers run under stage 1 alone; the VMID is 1, as 0 stands for the host elsewhere.
 */

import { UserError } from '../../base/errors.ts';
import type { Cpu, Handler, Program } from '../../cpu/cpu.ts';
import { Fence, Level, Regime, Register } from '../../cpu/operations.ts';
import type { BootMemory } from '../../memory/boot.ts';
import { type Address, addBytes, nodeOf, offsetOf, paHiOf } from '../../memory/physical-address.ts';
import {
  createStage2Table,
  mapRange,
  type TranslationTable,
} from '../../translation/boot-tables.ts';
import { PERM_EXEC, PERM_READ, PERM_WRITE } from '../../translation/descriptors.ts';
import { GRANULE_4K } from '../../translation/granule.ts';
import { s2AttributesHi, s2AttributesLo } from '../../translation/stage2-descriptors.ts';
import { PAGE_BYTES } from '../base/struct-page.ts';
import { copiedBytes, copyFor, hasHostStage2, type KernelTextImage } from './image.ts';
import type { TextOptions } from './options.ts';

/** All of physical memory is the host's. */
export const HOST_IPA_BITS = 48;
export const HOST_VMID = 1;

/** A host that is a guest itself has no guests here. */
export function refuseHostGuests(
  workload: { readonly name: string; readonly kernelOptions: readonly string[] },
  { text }: TextOptions,
): void {
  if (text !== 'stage2-replicated') return;
  const other = workload.kernelOptions.find((family) => family !== 'text');
  if (other === undefined) return;
  throw new UserError(
    `text=stage2-replicated: ${workload.name} also runs kernel systems of '${other}', which are ` +
      'not emulated in a host under stage 2; use text_fetch, text_patch_storm or db_like',
  );
}

/** A stretch of one node's memory, by offset. */
interface Hole {
  readonly node: number;
  readonly start: number;
  readonly end: number;
}

export function bootHostStage2(boot: BootMemory, image: KernelTextImage): KernelTextImage {
  const bytes = copiedBytes(image);
  const holes = image.copies.map(({ node, physical }) => {
    const start = offsetOf(physical.hi, physical.lo);
    return { node, start, end: start + bytes };
  });
  let { tableBytes } = image;
  const copies = image.copies.map((copy) => {
    const free = boot.backedFree(copy.node);
    const table = createStage2Table(boot, copy.node, GRANULE_4K, HOST_IPA_BITS);
    for (let node = 0; node < boot.machine.nodeCount; node++) {
      mapNode(boot, table, node, holes, copy.node);
    }
    mapText(boot, table, image, copy.physical, copy.node);
    tableBytes += boot.backedFree(copy.node) - free;
    return { ...copy, stage2: table.root };
  });
  return { ...image, copies, tableBytes };
}

function mapNode(
  boot: BootMemory,
  table: TranslationTable,
  node: number,
  holes: readonly Hole[],
  tableNode: number,
): void {
  const all = boot.machine.memoryBytesOfNode[node]!;
  const end = Math.floor(all / PAGE_BYTES) * PAGE_BYTES;
  const rights = PERM_READ | PERM_WRITE | PERM_EXEC;
  let from = 0;
  const own = holes.filter((hole) => hole.node === node).sort((a, b) => a.start - b.start);
  for (const hole of [...own, { start: end, end }]) {
    if (hole.start > from) {
      const at = addBytes({ hi: paHiOf(node, 0), lo: 0 }, from);
      mapRange(boot, table, {
        input: at,
        output: at,
        bytes: hole.start - from,
        attributesHi: s2AttributesHi(rights),
        attributesLo: s2AttributesLo(rights, boot.machine.features.fwb),
        tableNode,
      });
    }
    from = hole.end;
  }
}

/** The original's IPA leads to the copy, read-only. */
function mapText(
  boot: BootMemory,
  table: TranslationTable,
  image: KernelTextImage,
  physical: Address,
  tableNode: number,
): void {
  const { textPages } = image.options;
  const rights = PERM_READ | PERM_EXEC;
  const leaves = textPages === '2M' ? {} : { maximumShift: 12, contiguous: textPages === '64K' };
  mapRange(boot, table, {
    input: image.copies[0]!.physical,
    output: physical,
    bytes: copiedBytes(image),
    attributesHi: s2AttributesHi(rights),
    attributesLo: s2AttributesLo(rights, boot.machine.features.fwb),
    tableNode,
    ...leaves,
  });
}

/**
 * What a CPU does before its first instruction of the kernel: nothing where TTBR1 is all there is;
 * else the roots of EL1 and its node's stage 2. `userRoot`: a user space to enter with.
 */
export function* startCpu(
  cpu: Cpu,
  image: KernelTextImage,
  userRoot: Address,
  onTrap: Handler,
): Program {
  if (!hasHostStage2(image)) return;
  const { root, stage2 } = copyFor(image, cpu.node);
  while (!cpu.setRoot(Register.GuestTtbr1, root.hi, root.lo, 0)) yield;
  while (!cpu.setRoot(Register.GuestTtbr0, userRoot.hi, userRoot.lo, 0)) yield;
  while (!cpu.setRoot(Register.Vttbr, stage2!.hi, stage2!.lo, HOST_VMID)) yield;
  while (!cpu.fence(Fence.Isb)) yield;
  cpu.setVector(Level.El2, onTrap);
  cpu.setRegime(Regime.Guest);
}

/** Is the IPA one of the text's? Its offset in the image, or -1. */
export function offsetInText(image: KernelTextImage, ipaHi: number, ipaLo: number): number {
  const { physical } = image.copies[0]!;
  if (nodeOf(ipaHi) !== nodeOf(physical.hi)) return -1;
  const offset = offsetOf(ipaHi, ipaLo) - offsetOf(physical.hi, physical.lo);
  return offset >= 0 && offset < copiedBytes(image) ? offset : -1;
}
