/**
 * Kernel page-table isolation with a root per node (arch/arm64/kernel/entry.S, tramp_map_kernel and
 * tramp_unmap_kernel, v6.5; "arm64: text replication: add swapper page directory helpers").
 *
 * In user space TTBR1 holds tramp_pg_dir, which maps the vectors alone. Entry code adds a constant
 * to TTBR1 to get swapper_pg_dir, so each node has the pair at the same distance: a CPU finds its
 * node's swapper without knowing its node. The vectors are mapped through the fixmap, which isn't
 * replicated: their page is on the first node for everybody.
 *
 * Deviations: entries of kernel text stay global, so switches cost no TLB misses of their own
 * beside those of the trampoline; no second ASID per process.
 */

import { assert } from '../../base/assert.ts';
import type { Cpu, Handler, Program } from '../../cpu/cpu.ts';
import { Register } from '../../cpu/operations.ts';
import type { BootMemory } from '../../memory/boot.ts';
import { type Address, addBytes } from '../../memory/physical-address.ts';
import { mapRange, type TranslationTable } from '../../translation/boot-tables.ts';
import { GRANULE_4K } from '../../translation/granule.ts';
import { S1_KERNEL_TEXT_HI, S1_KERNEL_TEXT_LO } from '../../translation/stage1-descriptors.ts';
import { FIXMAP_START } from '../base/kernel-layout.ts';
import { PAGE_BYTES } from '../base/struct-page.ts';
import { NOP } from '../code/instruction.ts';
import { copyFor, type KernelTextImage } from './image.ts';

/** tramp_pg_dir, reserved_pg_dir, swapper_pg_dir. */
export const TRAMP_SWAPPER_OFFSET = 2 * PAGE_BYTES;
/** TRAMP_VALIAS: the vectors in user space's view. */
export const TRAMP_VALIAS: Address = addBytes(FIXMAP_START, 8 * PAGE_BYTES);

/** Room for tramp_pg_dir and reserved_pg_dir; the root must be the next thing that is allocated. */
export function reserveTrampoline(boot: BootMemory, node: number): Address {
  return boot.allocate(node, TRAMP_SWAPPER_OFFSET, PAGE_BYTES);
}

/** The vectors' page, in swapper_pg_dir and in tramp_pg_dir. */
export function mapTrampoline(
  boot: BootMemory,
  swapper: TranslationTable,
  trampoline: Address,
  node: number,
): void {
  const expected = addBytes(trampoline, TRAMP_SWAPPER_OFFSET);
  assert(expected.lo === swapper.root.lo && expected.hi === swapper.root.hi, 'swapper has moved');
  const vectors = boot.allocateText('tramp_vectors', node, PAGE_BYTES);
  for (let offset = 0; offset < PAGE_BYTES; offset += 4) boot.write32(vectors, offset, NOP);
  const tramp = { root: trampoline, granule: GRANULE_4K, startLevel: 0, inputBits: 48 };
  for (const table of [swapper, tramp]) {
    mapRange(boot, table, {
      input: TRAMP_VALIAS,
      output: vectors,
      bytes: PAGE_BYTES,
      attributesHi: S1_KERNEL_TEXT_HI,
      attributesLo: S1_KERNEL_TEXT_LO,
      tableNode: node,
    });
  }
}

/** The steps that mutants replace. */
export interface KptiSteps {
  /** What entry code makes of the trampoline's root. */
  swapperOf(trampoline: Address): Address;
}

export const kptiSteps: KptiSteps = {
  swapperOf: (trampoline) => addBytes(trampoline, TRAMP_SWAPPER_OFFSET),
};

/** One CPU's way in and out of the kernel; without kpti nothing happens. */
export class KernelEntry {
  readonly #trampoline: Address | null;
  readonly #steps: KptiSteps;
  /** TTBR1 of this CPU holds tramp_pg_dir. */
  #inUserSpace = false;

  constructor(cpu: Cpu, image: KernelTextImage, steps: KptiSteps = kptiSteps) {
    this.#trampoline = image.options.kpti ? copyFor(image, cpu.node).trampoline : null;
    this.#steps = steps;
  }

  /** Handlers that are installed from here on run on the kernel's root. Once per CPU. */
  watchInterrupts(cpu: Cpu): void {
    if (this.#trampoline === null) return;
    const setInterrupt = cpu.setInterrupt.bind(cpu);
    cpu.setInterrupt = (vector, handler, level) =>
      setInterrupt(vector, this.#around(handler), level);
  }

  #around(handler: Handler): Handler {
    const self = this;
    return function* (cpu): Program {
      const fromUserSpace = self.#inUserSpace;
      if (fromUserSpace) yield* self.enter(cpu);
      yield handler(cpu);
      if (fromUserSpace) yield* self.leave(cpu);
    };
  }

  /** tramp_ventry: the first instructions, then the root of the kernel. */
  *enter(cpu: Cpu): Program {
    if (this.#trampoline === null || !this.#inUserSpace) return;
    while (!cpu.fetch(TRAMP_VALIAS.hi, TRAMP_VALIAS.lo)) yield;
    const { hi, lo } = this.#steps.swapperOf(this.#trampoline);
    while (!cpu.setRoot(Register.Ttbr1, hi, lo, 0)) yield;
    this.#inUserSpace = false;
  }

  /** tramp_exit. */
  *leave(cpu: Cpu): Program {
    if (this.#trampoline === null) return;
    this.#inUserSpace = true;
    const { hi, lo } = this.#trampoline;
    while (!cpu.setRoot(Register.Ttbr1, hi, lo, 0)) yield;
    while (!cpu.fetch(TRAMP_VALIAS.hi, TRAMP_VALIAS.lo | 64)) yield;
  }
}
