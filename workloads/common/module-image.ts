/**
 * What a module consists of: its sections, their sizes and their contents. Sizes are estimates
 * after the modules of a distribution's kernel: text of 4 to 128 KiB, half of it at most 16, data
 * and read-only data a part of that, and a little that is only needed while it starts.
 *
 * The first word of every line says which module and which line it is, as in BPF programs: whoever
 * runs a module can tell whether it executes what was loaded.
 */

import { LINE_BYTES } from '../../src/base/units.ts';
import type { Cpu, Program } from '../../src/cpu/cpu.ts';
import { lineWord } from '../../src/kernel/bpf/jit.ts';
import type { SectionType } from '../../src/kernel/execmem/section-types.ts';
import type { PokeSource } from '../../src/kernel/patching/text-poke.ts';
import { type Address, addBytes } from '../../src/memory/physical-address.ts';

export interface Section {
  readonly type: SectionType;
  /** A multiple of a line. */
  readonly bytes: number;
  /** Offset in the file. */
  readonly offset: number;
}

export interface ModuleImage {
  readonly id: number;
  readonly sections: readonly Section[];
  /** Of the file. */
  readonly bytes: number;
}

const KIB = 1024;
const TEXT_KIB: readonly number[] = [4, 8, 8, 16, 16, 32, 64, 128];
export const TEXT_MAX_BYTES = 128 * KIB;

/** Bytes of a module whose text has so many. */
export function moduleBytesMax(textBytes: number): number {
  return 2 * textBytes + 16 * KIB;
}

/** A module from 32 random bits; `textBytes`: of this size, 0: drawn. */
export function makeModule(id: number, word: number, textBytes: number): ModuleImage {
  const text = textBytes === 0 ? TEXT_KIB[word & 7]! * KIB : textBytes;
  const part = (shift: number): number => (text * (1 + ((word >>> shift) & 3))) / 8;
  const small = (shift: number): number => 256 * (1 + ((word >>> shift) & 15));
  const sizes: readonly (readonly [SectionType, number])[] = [
    ['TEXT', text],
    ['RODATA', part(3)],
    ['DATA', part(5)],
    ['INITTEXT', small(8)],
    ['INITDATA', small(12)],
  ];
  let offset = 0;
  const sections = sizes.map(([type, size]) => {
    const bytes = Math.max(1, Math.ceil(size / LINE_BYTES)) * LINE_BYTES;
    const section = { type, bytes, offset };
    offset += bytes;
    return section;
  });
  return { id, sections, bytes: offset };
}

/** The words of the file. */
export function contentsOf({ id }: ModuleImage): PokeSource {
  return (cpu, offset) => {
    const line = Math.floor(offset / LINE_BYTES);
    cpu.lo = offset % LINE_BYTES === 0 ? lineWord(id, line) : 0x91000000 | (offset & 0xffff);
    return true;
  };
}

/** Executes every line of a section once: ret = 0, or 1 if it is not what was loaded. */
export function* runSection(cpu: Cpu, id: number, section: Section, at: Address): Program {
  for (let done = 0; done < section.bytes; done += LINE_BYTES) {
    const { hi, lo } = addBytes(at, done);
    while (!cpu.fetch(hi, lo)) yield;
    cpu.ret = cpu.lo === lineWord(id, (section.offset + done) / LINE_BYTES) ? 0 : 1;
    if (cpu.ret !== 0) return;
  }
}
