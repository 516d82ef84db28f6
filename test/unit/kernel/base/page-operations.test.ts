/** Promises: pages with bytes are really zeroed and copied; pages without take one attempt. */

import { expect, test } from 'vitest';
import type { Cpu, Program } from '../../../../src/cpu/cpu.ts';
import {
  cleanInvalidatePages,
  copyPages,
  zeroPages,
} from '../../../../src/kernel/base/page-operations.ts';
import { toLinear } from '../../../../src/memory/physical-address.ts';
import { StepEngine } from '../../../support/step-engine.ts';

function attempts(program: (cpu: Cpu, engine: StepEngine) => Program): number {
  const engine = new StepEngine({ cpuCount: 1, nodeCount: 1 });
  engine.run([(cpu) => program(cpu, engine)]);
  return engine.cpus[0]!.attempts;
}

test('copies and zeroes contents line by line', () => {
  const count = attempts(function* (cpu, engine) {
    const from = engine.boot.allocate(0, 4096, 4096);
    const to = engine.boot.allocate(0, 4096, 4096);
    for (let at = 0; at < 4096; at += 4) engine.boot.write32(from, at, at + 1);
    const [f, t] = [toLinear(from), toLinear(to)];
    yield* copyPages(cpu, t.hi, t.lo, f.hi, f.lo, 4096);
    for (let at = 0; at < 4096; at += 4) expect(engine.peek32(to, at)).toBe(at + 1);
    yield* zeroPages(cpu, t.hi, t.lo, 4096);
    for (let at = 0; at < 4096; at += 4) expect(engine.peek32(to, at)).toBe(0);
    yield* cleanInvalidatePages(cpu, t.hi, t.lo, 4096);
  });
  expect(count).toBe(2 * 512 + 64 + 64);
});

test('takes one attempt per page without bytes, and a line each when forced', () => {
  const run = (lineByLine: boolean) =>
    attempts(function* (cpu, engine) {
      const a = toLinear(engine.boot.allocateUnbacked(0, 4096));
      const b = toLinear(engine.boot.allocateUnbacked(0, 4096));
      yield* zeroPages(cpu, a.hi, a.lo, 4096, lineByLine);
      yield* copyPages(cpu, b.hi, b.lo, a.hi, a.lo, 4096, lineByLine);
      yield* cleanInvalidatePages(cpu, b.hi, b.lo, 4096, lineByLine);
    });
  expect(run(false)).toBe(3);
  expect(run(true)).toBe(64 + 128 + 64);
});
