/**
 * Making memory executable for good: set_memory_ro and set_memory_x, or both at once where the
 * architecture has set_memory_rox of its own (arch/x86/mm/pat/set_memory.c, v6.2; the generic one
 * in include/linux/set_memory.h makes two calls).
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import type { Machine } from '../../machine/machine.ts';
import type { Address } from '../../memory/physical-address.ts';
import { SET_EXECUTABLE, SET_READ_ONLY, SET_ROX } from '../linear-map/set-memory.ts';
import type { ExecmemOptions } from './options.ts';
import type { ExecmemParts } from './parts.ts';

/** ret = 0 or what set_memory says. `atOnce`: the caller uses set_memory_rox. */
export function* makeReadOnlyExecutable(
  cpu: Cpu,
  { setMemory, machine }: ExecmemParts,
  at: Address,
  pages: number,
  atOnce: boolean,
): Program {
  if (atOnce && machine.architecture === 'x86') {
    yield* setMemory.change(cpu, at, pages, SET_ROX);
    return;
  }
  yield* setMemory.change(cpu, at, pages, SET_READ_ONLY);
  if (cpu.ret === 0) yield* setMemory.change(cpu, at, pages, SET_EXECUTABLE);
}

/**
 * May a block of vmalloc be split while CPUs use it? If not, what changes permissions of parts
 * must have pages from the beginning: arm64 refuses set_memory on huge vmalloc for that reason.
 */
export function canSplit(machine: Machine, { linearMapBbm }: ExecmemOptions): boolean {
  return machine.architecture === 'x86' || linearMapBbm;
}
