/**
 * Promise: sections live in the memory of the type they are mapped to; holes of init text go to
 * small users; pages of RODATA_AFTER_INIT are one module's; never-used and freed text differ.
 */

import { describe, expect, it } from 'vitest';
import type { Cpu, Program } from '../../../../src/cpu/cpu.ts';
import { Order } from '../../../../src/cpu/operations.ts';
import { EINVAL } from '../../../../src/kernel/base/errno.ts';
import { trapWord, unusedTrapWord } from '../../../../src/kernel/execmem/executable-memory.ts';
import {
  realType,
  type SectionTable,
  type SectionType,
  STRICT_SECTIONS,
} from '../../../../src/kernel/execmem/section-types.ts';
import { auditTiling } from '../../../../src/kernel/execmem/tiling.ts';
import { TypedMemory } from '../../../../src/kernel/execmem/typed.ts';
import { auditProtection } from '../../../../src/kernel/execmem/write-xor-execute.ts';
import { fillWith } from '../../../../src/kernel/patching/text-poke.ts';
import type { Address } from '../../../../src/memory/physical-address.ts';
import { runExecmem } from '../../../support/execmem-run.ts';

type Taken = Generator<Program | undefined, Address, undefined>;

function* take(cpu: Cpu, typed: TypedMemory, type: SectionType, bytes: number): Taken {
  yield* typed.allocate(cpu, type, bytes);
  expect(cpu.ret).toBe(0);
  return { hi: cpu.hi, lo: cpu.lo };
}

function* wordAt(cpu: Cpu, { hi, lo }: Address): Generator<Program | undefined, number> {
  while (!cpu.load32(hi, lo, Order.Relaxed)) yield;
  return cpu.lo;
}

function* moduleLife(cpu: Cpu, typed: TypedMemory, machine: Parameters<typeof trapWord>[0]) {
  const init = yield* take(cpu, typed, 'INITTEXT', 256);
  const text = yield* take(cpu, typed, 'TEXT', 256);
  expect(text.lo - init.lo).toBe(256);
  expect(yield* wordAt(cpu, text)).toBe(unusedTrapWord(machine));
  yield* typed.free(cpu, 'INITTEXT', init);
  expect(yield* wordAt(cpu, init)).toBe(trapWord(machine));
  expect(yield* take(cpu, typed, 'TEXT', 64)).toEqual(init);

  const data = yield* take(cpu, typed, 'DATA', 100);
  const more = yield* take(cpu, typed, 'INITDATA', 100);
  expect(more.lo - data.lo).toBe(128);
  yield* typed.fill(cpu, 'DATA', data, 100, fillWith(3));
  expect(yield* wordAt(cpu, data)).toBe(3);

  const rodata = yield* take(cpu, typed, 'RODATA', 64);
  yield* typed.fill(cpu, 'RODATA', rodata, 64, fillWith(5));
  expect(yield* wordAt(cpu, rodata)).toBe(5);

  const late = yield* take(cpu, typed, 'RODATA_AFTER_INIT', 64);
  const other = yield* take(cpu, typed, 'RODATA_AFTER_INIT', 64);
  expect((late.lo | other.lo) & 4095).toBe(0);
  yield* typed.fill(cpu, 'RODATA_AFTER_INIT', late, 64, fillWith(6));
  yield* typed.seal(cpu, 'RODATA_AFTER_INIT', late, 64);
  expect(yield* wordAt(cpu, late)).toBe(6);
  yield* typed.free(cpu, 'DATA', { hi: data.hi, lo: data.lo + 64 });
  expect(cpu.ret).toBe(-EINVAL);
  yield* typed.free(cpu, 'RODATA_AFTER_INIT', other);
}

describe('memory by section type', () => {
  it.each(['arm64', 'x86'] as const)('%s', (architecture) => {
    const run = runExecmem({
      architecture,
      options: { allocator: 'typed' },
      program: (cpu, parts) => moduleLife(cpu, new TypedMemory(parts), parts.machine),
    });
    const peek = run.memory.peek32.bind(run.memory);
    expect(auditTiling(peek, run.image)).toEqual([]);
    const { root } = run.image.table;
    expect(auditProtection(peek, { root, rodata: 'full', architecture }).violations).toEqual([]);
  });

  it('refuses a type that is mapped on to another', () => {
    const table: SectionTable = {
      ...STRICT_SECTIONS,
      DATA: { ...STRICT_SECTIONS.DATA, mapTo: 'INITDATA' },
    };
    expect(() => realType(table, 'INITDATA')).toThrow(/INITDATA is mapped to DATA/);
  });
});
