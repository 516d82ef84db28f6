/** Promises: no identifier is held twice, reserved ones are never given, exhaustion is reported. */

import { expect, test } from 'vitest';
import type { Cpu, Program } from '../../../../src/cpu/cpu.ts';
import { ENOSPC } from '../../../../src/kernel/base/errno.ts';
import { allocateId, bootIdAllocator, freeId } from '../../../../src/kernel/base/id-allocator.ts';
import { StepEngine } from '../../../support/step-engine.ts';

test('identifiers are unique under races, with frees in between', () => {
  for (let seed = 1; seed <= 100; seed++) {
    const engine = new StepEngine({ cpuCount: 4, nodeCount: 2, seed });
    const ids = bootIdAllocator(engine.boot, 'vmid_map', 0, 40, 1);
    const held = new Set<number>();
    function* program(cpu: Cpu): Program {
      const mine: number[] = [];
      for (let i = 0; i < 20; i++) {
        if (mine.length < 9 && cpu.random(0) % 3 !== 0) {
          yield* allocateId(cpu, ids);
          expect(cpu.ret).toBeGreaterThan(0);
          expect(held.has(cpu.ret)).toBe(false);
          held.add(cpu.ret);
          mine.push(cpu.ret);
        } else if (mine.length > 0) {
          const id = mine.pop()!;
          held.delete(id);
          yield* freeId(cpu, ids, id);
        }
      }
    }
    engine.run([program, program, program, program]);
  }
});

test('says when none is left, hands out what came back, refuses a double free', () => {
  const engine = new StepEngine({ cpuCount: 1, nodeCount: 1 });
  const ids = bootIdAllocator(engine.boot, 'vmid_map', 0, 33, 1);
  function* program(cpu: Cpu): Program {
    for (let id = 1; id < 33; id++) {
      yield* allocateId(cpu, ids);
      expect(cpu.ret).toBe(id);
    }
    yield* allocateId(cpu, ids);
    expect(cpu.ret).toBe(-ENOSPC);
    yield* freeId(cpu, ids, 7);
    yield* allocateId(cpu, ids);
    expect(cpu.ret).toBe(7);
    yield* freeId(cpu, ids, 1);
    yield* freeId(cpu, ids, 1);
  }
  expect(() => engine.run([program])).toThrow(/nobody holds it/);
});
