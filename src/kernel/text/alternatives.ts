/**
 * The other funnel: a range of the image replaced at boot (__apply_alternatives, arch/arm64/kernel/
 * alternative.c, v6.5, with "arm64: text replication: add node text patching"). The original is
 * written and cleaned; then each copy is filled from that alias by memcpy
 * and cleaned, with helpers that are never patched themselves; at the end one invalidation of all
 * instruction caches.
 *
 * Where aliases are read-only (protectCopies) each copy is written through the poke window instead;
 * under stage 2 the stores trap, one by one, and EL2 replays them.
 *
 * Deviation: Linux writes the original through its linear alias, which is writable until boot is
 * over (mark_linear_text_alias_ro). Here the machine is up, so it goes through the poke window.
 */

import { LINE_BYTES } from '../../base/units.ts';
import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Fence, Order, Scope, Tlbi } from '../../cpu/operations.ts';
import type { Machine } from '../../machine/machine.ts';
import { type Address, addBytes, toLinear } from '../../memory/physical-address.ts';
import { Counter, Metric } from '../../metrics/definition.ts';
import type { PokeSource } from '../patching/text-poke.ts';
import { hasHostStage2, type TextCopy } from './image.ts';
import type { TextPatchParts } from './patch.ts';

/** The steps that mutants replace. */
export interface AlternativesSteps {
  /** Fills [offset, offset + bytes) of a copy from the original's alias. */
  copyRange(
    cpu: Cpu,
    parts: TextPatchParts,
    copy: TextCopy,
    offset: number,
    bytes: number,
  ): Program;
}

export const alternativesSteps: AlternativesSteps = {
  *copyRange(cpu, { machine, image }, copy, offset, bytes) {
    const from = aliasOf(image.copies[0]!, offset);
    const to = aliasOf(copy, offset);
    for (let at = 0; at < bytes; at += 4) {
      while (!cpu.load32(from.hi, (from.lo + at) | 0, Order.Relaxed)) yield;
      const word = cpu.lo;
      while (!cpu.store32(to.hi, (to.lo + at) | 0, word, Order.Relaxed)) yield;
    }
    yield* cleanRange(cpu, machine, to, bytes);
  },
};

/** Replaces [offset, offset + bytes) by the words of the source; whole words inside one page. */
export function* applyAlternatives(
  cpu: Cpu,
  parts: TextPatchParts,
  offset: number,
  bytes: number,
  source: PokeSource,
  steps: AlternativesSteps = alternativesSteps,
): Program {
  const { machine, image, poke } = parts;
  const [original, ...others] = image.copies;
  cpu.begin(Metric.TextAlternatives);
  if (image.options.protectCopies || hasHostStage2(image)) {
    const copies = hasHostStage2(image) ? [original!] : image.copies;
    for (const copy of copies) {
      const { hi, lo } = aliasOf(copy, offset);
      yield* poke.write(cpu, hi, lo, bytes, source);
      yield* cleanRange(cpu, machine, { hi, lo }, bytes);
    }
  } else {
    const to = aliasOf(original!, offset);
    yield* poke.write(cpu, to.hi, to.lo, bytes, source);
    yield* cleanRange(cpu, machine, to, bytes);
    for (const copy of others) {
      yield* steps.copyRange(cpu, parts, copy, offset, bytes);
      cpu.count(Counter.TextCopiesPatched, bytes / 4);
    }
  }
  yield* invalidateAll(cpu, machine);
  cpu.end(Metric.TextAlternatives);
  cpu.count(Counter.TextPatches, bytes / 4);
}

function aliasOf({ physical }: TextCopy, offset: number): Address {
  return toLinear(addBytes(physical, offset));
}

/** clean_dcache_range_nopatch: DC CVAU by line unless CTR_EL0.IDC, DSB ISH. */
function* cleanRange(cpu: Cpu, machine: Machine, { hi, lo }: Address, bytes: number): Program {
  if (!machine.features.idc) {
    for (let at = lo & ~(LINE_BYTES - 1); at < lo + bytes; at += LINE_BYTES) {
      while (!cpu.cleanLineToPou(hi, at)) yield;
    }
  }
  while (!cpu.dsb(Scope.InnerShareable)) yield;
}

/** icache_inval_all_pou: IC IALLUIS unless CTR_EL0.DIC, DSB ISH, ISB. */
function* invalidateAll(cpu: Cpu, machine: Machine): Program {
  if (!machine.features.dic) {
    while (!cpu.tlbi(Tlbi.IcIalluIs, 0, 0, 0)) yield;
    while (!cpu.dsb(Scope.InnerShareable)) yield;
  }
  while (!cpu.fence(Fence.Isb)) yield;
}
