/** A random program with one worker in this thread, for tests that look inside the engine. */

import { LineState } from '../../src/cache/line-state.ts';
import type { TagArray } from '../../src/cache/tag-array.ts';
import type { Cpu, Program } from '../../src/cpu/cpu.ts';
import type { EngineDebug, EngineSpec } from '../../src/engine/virtual/spec.ts';
import type { VirtualCpu } from '../../src/engine/virtual/virtual-cpu.ts';
import type { Address } from '../../src/memory/physical-address.ts';
import { fromLinear } from '../../src/memory/physical-address.ts';
import { PhysicalMemory } from '../../src/memory/physical-memory.ts';
import { programOf, type RandomCase } from './random-program.ts';
import type { RandomImage } from './random-program-memory.ts';
import { PLAIN, prepare } from './virtual-run.ts';

export interface Prepared {
  readonly spec: EngineSpec;
  readonly image: RandomImage;
  readonly program: (cpu: Cpu) => Program;
  /** The word at a linear-map address as it is now. */
  peek(linear: Address): number;
}

export function prepareHere(theCase: RandomCase, debug: Partial<EngineDebug> = {}): Prepared {
  const { machine, booted, spec } = prepare(theCase, 1, { ...PLAIN, ...debug });
  const memory = new PhysicalMemory(booted.memory);
  return {
    spec,
    image: booted.image,
    program: programOf(theCase, machine, booted.image),
    peek: (linear) => {
      const { hi, lo } = fromLinear(linear);
      return memory.peek32(hi, lo);
    },
  };
}

/** Lines that the CPU's private caches hold: physical line address and the stronger state. */
export function linesOf(cpu: VirtualCpu): Map<number, number> {
  const inside = cpu as unknown as { readonly l1d: TagArray; readonly l2: TagArray };
  const lines = new Map<number, number>();
  for (const array of [inside.l1d, inside.l2]) {
    for (let way = 0; way < array.tags.length; way++) {
      const state = array.stateAt(way);
      if (state === LineState.Invalid) continue;
      const set = Math.floor(way / array.ways);
      const tag = array.tags[way]! >>> 2;
      const line = (tag * 2 ** array.setBits + set) * 64;
      lines.set(line, Math.max(lines.get(line) ?? 0, state));
    }
  }
  return lines;
}
