/**
 * Patching kernel text in every copy (arch/arm64/kernel/patching.c, aarch64_insn_patch_text_nosync,
 * with "arm64: text replication: add node text patching"; apply_alternatives likewise).
 *
 * One instruction: a misaligned address is -EINVAL; the original is written through the fixmap;
 * then each copy through its linear alias (WRITE_ONCE) with maintenance to the point of
 * unification. The caller's own maintenance is by virtual address, which on a CPU of another node
 * is its local copy: so a patcher away from node 0 maintains node 0's alias besides. Modules are no
 * part of the image and have no copies.
 *
 * With protectCopies the linear aliases of copies are read-only and every copy goes through the
 * fixmap, a broadcast flush each.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Order } from '../../cpu/operations.ts';
import type { Machine } from '../../machine/machine.ts';
import { type Address, addBytes, toLinear } from '../../memory/physical-address.ts';
import { Counter, Metric } from '../../metrics/definition.ts';
import { EINVAL } from '../base/errno.ts';
import { cleanInvalidateToPou } from '../patching/icache.ts';
import { fillWith, type TextPoke } from '../patching/text-poke.ts';
import { copyFor, hasHostStage2, type KernelTextImage, type TextCopy } from './image.ts';

export interface TextPatchParts {
  readonly machine: Machine;
  readonly image: KernelTextImage;
  /** Writes to the original; with protectCopies, to any copy by its linear address. */
  readonly poke: TextPoke;
}

/** The steps that mutants replace. */
export interface TextPatchSteps {
  /** Writes one copy and makes it visible to fetches. */
  patchCopy(cpu: Cpu, parts: TextPatchParts, copy: TextCopy, offset: number, word: number): Program;
  /** What a patcher away from the original's node does besides. */
  maintainOriginal(cpu: Cpu, parts: TextPatchParts, offset: number): Program;
}

export const textPatchSteps: TextPatchSteps = {
  *patchCopy(cpu, { machine, image, poke }, copy, offset, word) {
    const { hi, lo } = aliasOf(copy, offset);
    if (image.options.protectCopies) yield* poke.write(cpu, hi, lo, 4, fillWith(word));
    else while (!cpu.store32(hi, lo, word, Order.Relaxed)) yield;
    yield* cleanInvalidateToPou(cpu, machine, hi, lo, 4);
  },
  *maintainOriginal(cpu, { machine, image }, offset) {
    const { hi, lo } = aliasOf(image.copies[0]!, offset);
    yield* cleanInvalidateToPou(cpu, machine, hi, lo, 4);
  },
};

function aliasOf({ physical }: TextCopy, offset: number): Address {
  return toLinear(addBytes(physical, offset));
}

/**
 * aarch64_insn_patch_text_nosync of the instruction at _stext + offset. ret = 0 or -EINVAL. Other
 * CPUs may execute the old instruction until they synchronise their context.
 */
export function* patchInstruction(
  cpu: Cpu,
  parts: TextPatchParts,
  offset: number,
  word: number,
  steps: TextPatchSteps = textPatchSteps,
): Program {
  if ((offset & 3) !== 0) {
    cpu.ret = -EINVAL;
    return;
  }
  const { image, machine, poke } = parts;
  const at = addBytes(image.start, offset);
  cpu.begin(Metric.TextPatch);
  yield* poke.write(cpu, at.hi, at.lo, 4, fillWith(word));
  // Under stage 2 the first write has trapped, and EL2 has written and maintained every copy.
  const replayed = hasHostStage2(image);
  const others = replayed ? [] : image.copies.slice(1);
  for (const copy of others) {
    yield* steps.patchCopy(cpu, parts, copy, offset, word);
    cpu.count(Counter.TextCopiesPatched, 1);
  }
  if (!replayed && copyFor(image, cpu.node) !== image.copies[0]) {
    yield* steps.maintainOriginal(cpu, parts, offset);
  }
  yield* cleanInvalidateToPou(cpu, machine, at.hi, at.lo, 4);
  cpu.count(Counter.TextPatches, 1);
  cpu.end(Metric.TextPatch);
  cpu.ret = 0;
}

/**
 * The first node's copy that differs from the original in [offset, offset + bytes), word by word:
 * ret = its node, or -1 (the diagnostic beside the posted series).
 */
export function* verifyCopies(
  cpu: Cpu,
  image: KernelTextImage,
  offset: number,
  bytes: number,
): Program {
  const [original, ...others] = image.copies;
  for (const copy of others) {
    for (let done = 0; done < bytes; done += 8) {
      const right = aliasOf(original!, offset + done);
      while (!cpu.load64(right.hi, right.lo, Order.Relaxed)) yield;
      const { hi, lo } = cpu;
      const own = aliasOf(copy, offset + done);
      while (!cpu.load64(own.hi, own.lo, Order.Relaxed)) yield;
      if (cpu.hi === hi && cpu.lo === lo) continue;
      cpu.ret = copy.node;
      return;
    }
  }
  cpu.ret = -1;
}
