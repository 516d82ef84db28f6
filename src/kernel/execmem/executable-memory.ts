/**
 * What every allocator of executable memory offers to those who make code at run time (BPF,
 * modules, trampolines): room, a way to put code there, and taking it back.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Order } from '../../cpu/operations.ts';
import type { Machine } from '../../machine/machine.ts';
import { addBytes } from '../../memory/physical-address.ts';
import type { PokeSource } from '../patching/text-poke.ts';

/**
 * An instruction that traps wherever a freed or unused byte is executed: BRK #AARCH64_BREAK_FAULT
 * (arm64 jit_fill_hole), INT3 (x86). Zero traps on arm64 too (UDF), and not on x86.
 */
export function trapWord(machine: Machine): number {
  return machine.architecture === 'x86' ? 0xcccccccc | 0 : 0xd4202000 | 0;
}

/**
 * What memory holds that was handed to an allocator and to nobody since, where that is not filled
 * as freed text is: it traps as well, and tells itself apart (UDF #0x6b6b; UD2).
 */
export function unusedTrapWord(machine: Machine): number {
  return machine.architecture === 'x86' ? 0x0b0f0b0f : 0x00006b6b;
}

export interface ExecutableMemory {
  /** The code is written where it will run, before it is made executable; else through a poke. */
  readonly writesInPlace: boolean;
  /**
   * Room for `bytes` of code. ret = 0 and (hi, lo) = its address, aligned to the allocator's unit;
   * or ret = -ENOMEM, -EINVAL (no bytes). Until install, nobody may execute it.
   */
  allocate(cpu: Cpu, bytes: number): Program;
  /** Puts code there; on return (ret = 0) every CPU may execute it. ret < 0: give it back. */
  install(cpu: Cpu, hi: number, lo: number, bytes: number, source: PokeSource): Program;
  /** Nobody executes it any more and nobody will. */
  free(cpu: Cpu, hi: number, lo: number, bytes: number): Program;
}

/** memset of fresh memory that nobody can execute yet: no cache maintenance. */
export function* fillWithTraps(
  cpu: Cpu,
  hi: number,
  lo: number,
  bytes: number,
  trap: number,
): Program {
  for (let done = 0; done < bytes; done += 8) {
    const at = addBytes({ hi, lo }, done);
    while (!cpu.store64(at.hi, at.lo, trap, trap, Order.Relaxed)) yield;
  }
}

/** Writes code where it may be written directly. */
export function* writeWords(
  cpu: Cpu,
  hi: number,
  lo: number,
  bytes: number,
  source: PokeSource,
): Program {
  for (let offset = 0; offset < bytes; offset += 4) {
    while (!source(cpu, offset)) yield;
    const word = cpu.lo;
    while (!cpu.store32(hi, (lo + offset) | 0, word, Order.Relaxed)) yield;
  }
}
