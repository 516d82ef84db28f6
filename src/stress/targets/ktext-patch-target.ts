/**
 * Replicated kernel text that every CPU patches and all execute: each has an instruction of its own
 * to patch, tells when everybody must execute the new one (kick_all_cpus_sync has returned), and
 * executes those of the others, which may be old until their patchers say so.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { EventKind } from '../../cpu/operations.ts';
import type { KernelSmp } from '../../kernel/smp/functions.ts';
import { finishKernelText } from '../../kernel/text/boot.ts';
import { patchInstruction, type TextPatchSteps, textPatchSteps } from '../../kernel/text/patch.ts';
import {
  bootTextPatching,
  openTextPatching,
  type TextPatchingImage,
} from '../../kernel/text/patching.ts';
import type { Machine } from '../../machine/machine.ts';
import { addBytes, toLinear } from '../../memory/physical-address.ts';
import { makeQueuedSpinlock } from '../../sync/qspinlock.ts';
import { checkPatched, checkReplicas } from '../oracles/replica-equality.ts';
import type { Reporter, StressImage, StressSize, StressTarget } from '../target.ts';
import {
  bootSmallKernel,
  bootSmallText,
  kernelRoots,
  kernelShape,
  PAGE,
  SMALL_TEXT_BYTES,
} from './small-kernel.ts';

const ROOM_BYTES = SMALL_TEXT_BYTES + 24 * PAGE;
/** Instructions that are patched are a line or more apart. */
const SITE_BYTES = 128;
const OLD = 'an old instruction was executed';
const NEW = 'a new instruction was executed';

/** The steps that mutants replace. */
export interface KtextPatchSteps {
  readonly patch: TextPatchSteps;
  /** What follows a patch before it is relied on. */
  kick(cpu: Cpu, smp: KernelSmp): Program;
}

export const ktextPatchSteps: KtextPatchSteps = {
  patch: textPatchSteps,
  kick: (cpu, smp) => smp.kickAllCpusSync(cpu),
};

export function ktextPatchTarget(
  steps: Partial<KtextPatchSteps> = {},
  name = 'ktext-patch',
): StressTarget {
  const all = { ...ktextPatchSteps, ...steps };
  const shape = kernelShape(2, ROOM_BYTES);
  return {
    name,
    group: 'text',
    description: 'replicated kernel text patched by every CPU while all execute it',
    smallest: { cpus: 2, operations: 1 },
    usual: { cpus: 2, operations: 1 },
    goals: [OLD, NEW].map((goal) => ({ name: goal, leastCpus: 2, leastOperations: 1 })),
    ...shape,
    boot(memory, size) {
      const { map, smp } = bootSmallKernel(memory, size.cpus);
      const text = bootSmallText(memory, map, { text: 'replicated' });
      const patching = bootTextPatching(
        memory,
        { map, userRoots: [], text, smp },
        makeQueuedSpinlock(),
      );
      finishKernelText(memory, text);
      return { addresses: {}, numbers: {}, kernel: kernelRoots(map), parts: { patching } };
    },
    program(cpu, image, size, report) {
      if (cpu.id >= size.cpus) return null;
      return patchAndRun(cpu, shape.machine, image, size, all, report);
    },
    finish(memory, image, _size, report) {
      const { text } = image.parts!['patching'] as TextPatchingImage;
      checkReplicas(memory, text, PAGE, report);
    },
  };
}

function* patchAndRun(
  cpu: Cpu,
  machine: Machine,
  image: StressImage,
  size: StressSize,
  steps: KtextPatchSteps,
  report: Reporter,
): Program {
  const patching = image.parts!['patching'] as TextPatchingImage;
  const { parts, smp } = openTextPatching(cpu, machine, patching, makeQueuedSpinlock());
  const { text } = patching;
  const own = cpu.id * SITE_BYTES;
  for (let round = 1; round <= size.operations; round++) {
    const word = 0xd4000000 | (cpu.id << 8) | round;
    yield* patchInstruction(cpu, parts, own, word, steps.patch);
    yield* steps.kick(cpu, smp);
    for (const { physical } of text.copies) {
      const { hi, lo } = toLinear(addBytes(physical, own));
      cpu.event(EventKind.TextPatched, hi, lo);
    }
    checkPatched(report, text, cpu.id, own, word);
    for (let other = 0; other < size.cpus; other++) {
      const site = addBytes(text.start, other * SITE_BYTES);
      while (!cpu.fetch(site.hi, site.lo)) yield;
      const copy = text.copies[text.copyOfNode[cpu.node]!]!;
      const now = report.word(addBytes(copy.physical, other * SITE_BYTES));
      report.reach(cpu.lo === now ? NEW : OLD);
    }
    cpu.mark();
  }
  yield* smp.calls.leave(cpu);
}
