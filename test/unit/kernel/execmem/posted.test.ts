/**
 * Promise: the posted execmem_alloc is emulated with its mistakes, each a step that can be
 * replaced. As posted it releases a lock that it does not hold, leaves a freed vm on all_text_vm
 * and gives back one vm at most; with the steps corrected checkers and audits have nothing to say.
 */

import { describe, expect, it } from 'vitest';
import type { Cpu, Program } from '../../../../src/cpu/cpu.ts';
import { Order } from '../../../../src/cpu/operations.ts';
import { EINVAL, ENOMEM, EOPNOTSUPP } from '../../../../src/kernel/base/errno.ts';
import { trapWord } from '../../../../src/kernel/execmem/executable-memory.ts';
import type { ExecmemParts } from '../../../../src/kernel/execmem/parts.ts';
import { makePosted } from '../../../../src/kernel/execmem/posted.ts';
import {
  fixedSteps,
  type PostedSteps,
  postedSteps,
} from '../../../../src/kernel/execmem/posted-steps.ts';
import { auditTiling, textVms } from '../../../../src/kernel/execmem/tiling.ts';
import { fillWith } from '../../../../src/kernel/patching/text-poke.ts';
import { Counter } from '../../../../src/metrics/definition.ts';
import { runExecmem } from '../../../support/execmem-run.ts';

const MIB = 2 ** 20;
const options = { allocator: 'execmem-posted' } as const;
/** Frees fill nothing, which takes long for megabytes. */
const withoutPoke = { ...options, poke: 'none' } as const;

function* take(
  cpu: Cpu,
  memory: ReturnType<typeof makePosted>,
  bytes: number,
): Generator<Program | undefined, { hi: number; lo: number }, undefined> {
  yield* memory.allocate(cpu, bytes);
  expect(cpu.ret).toBe(0);
  return { hi: cpu.hi, lo: cpu.lo };
}

function* outOfMemory(cpu: Cpu, parts: ExecmemParts, steps: PostedSteps): Program {
  yield* makePosted(parts, steps).allocate(cpu, 64);
  expect(cpu.ret).toBe(-ENOMEM);
}

/** Three blocks, of which the first is freed; `first` says where it was. */
function* freeTheOldest(cpu: Cpu, parts: ExecmemParts, steps: PostedSteps): Program {
  const memory = makePosted(parts, steps);
  const oldest = yield* take(cpu, memory, 2 * MIB);
  yield* take(cpu, memory, 2 * MIB);
  yield* memory.free(cpu, oldest.hi, oldest.lo, 2 * MIB);
}

/** A program across two blocks: both become free with it. */
function* freeTwoAtOnce(cpu: Cpu, parts: ExecmemParts, steps: PostedSteps): Program {
  const memory = makePosted(parts, steps);
  const large = yield* take(cpu, memory, 2 * MIB - 64);
  const across = yield* take(cpu, memory, 128);
  yield* memory.free(cpu, large.hi, large.lo, 2 * MIB - 64);
  yield* memory.free(cpu, across.hi, across.lo, 128);
}

describe('execmem_alloc as posted', () => {
  it('releases a lock that it does not hold when vmalloc fails', () => {
    const run = (steps: PostedSteps) =>
      runExecmem({
        options,
        pagesBytes: 0,
        program: (cpu, parts) => outOfMemory(cpu, parts, steps),
      });
    expect(() => run(postedSteps)).toThrow(/locks: CPU 0 .*free_text_area_lock/);
    run(fixedSteps);
  });

  it('leaves a freed vm on the list', () => {
    const audit = (steps: PostedSteps): string[] => {
      const run = runExecmem({
        options: withoutPoke,
        program: (cpu, parts) => freeTheOldest(cpu, parts, steps),
      });
      return auditTiling(run.memory.peek32.bind(run.memory), run.image);
    };
    expect(audit(postedSteps).join()).toMatch(/from vmalloc is not all in an area/);
    expect(audit(fixedSteps)).toEqual([]);
  });

  it('gives back one vm per free at most', () => {
    const left = (steps: PostedSteps): number => {
      const run = runExecmem({
        options: withoutPoke,
        program: (cpu, parts) => freeTwoAtOnce(cpu, parts, steps),
      });
      const peek = run.memory.peek32.bind(run.memory);
      expect(run.counter(Counter.ExecmemPopulated)).toBe(2);
      expect(auditTiling(peek, run.image)).toEqual([]);
      return textVms(peek, run.image).length;
    };
    expect(left(postedSteps)).toBe(1);
    expect(left(fixedSteps)).toBe(0);
  });

  it('zeroes fresh text, fills freed text with traps, and fills one allocation only', () => {
    runExecmem({
      options,
      *program(cpu, parts) {
        const memory = makePosted(parts, postedSteps);
        const kept = yield* take(cpu, memory, 64);
        const text = yield* take(cpu, memory, 128);
        while (!cpu.load32(text.hi, text.lo, Order.Relaxed)) yield;
        expect(cpu.lo).toBe(0);
        yield* memory.install(cpu, text.hi, text.lo, 192, fillWith(7));
        expect(cpu.ret).toBe(-EINVAL);
        yield* memory.install(cpu, text.hi, text.lo + 128, 64, fillWith(7));
        expect(cpu.ret).toBe(-EINVAL);
        yield* memory.install(cpu, text.hi, text.lo + 64, 64, fillWith(7));
        expect(cpu.ret).toBe(0);
        yield* memory.free(cpu, text.hi, text.lo, 128);
        while (!cpu.load32(text.hi, text.lo, Order.Relaxed)) yield;
        expect(cpu.lo).toBe(trapWord(parts.machine));
        while (!cpu.load32(kept.hi, kept.lo, Order.Relaxed)) yield;
        expect(cpu.lo).toBe(0);
      },
    });
  });

  it('cannot fill without a poke', () => {
    runExecmem({
      options: withoutPoke,
      *program(cpu, parts) {
        const memory = makePosted(parts, postedSteps);
        const text = yield* take(cpu, memory, 64);
        yield* memory.install(cpu, text.hi, text.lo, 64, fillWith(7));
        expect(cpu.ret).toBe(-EOPNOTSUPP);
      },
    });
  });
});
