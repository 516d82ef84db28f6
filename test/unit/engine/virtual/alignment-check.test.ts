/** Promise: with checks on, an access that is not on a multiple of its size is a clear error. */

import { describe, expect, it } from 'vitest';
import type { Cpu } from '../../../../src/cpu/cpu.ts';
import { Condition, Order } from '../../../../src/cpu/operations.ts';
import { makeTestMachine } from '../../../support/test-machine.ts';
import { runPrograms } from '../../../support/virtual-programs.ts';

const { Relaxed } = Order;
const machine = makeTestMachine({ cpuCount: 1, nodeCount: 1 });

type Attempt = (cpu: Cpu, hi: number, lo: number) => boolean;

/** One attempt, repeated until performed, `offset` bytes into a line. */
function run(attempt: Attempt, offset: number, repeats = true): void {
  runPrograms(
    machine,
    [
      function* program(cpu, image) {
        const { hi, lo } = image.words[0]!;
        while (!attempt(cpu, hi, lo + offset)) yield;
      },
    ],
    { debug: { repeats } },
  );
}

const ATTEMPTS: readonly [string, number, Attempt][] = [
  ['load64', 8, (cpu, hi, lo) => cpu.load64(hi, lo, Relaxed)],
  ['store64', 8, (cpu, hi, lo) => cpu.store64(hi, lo, 0, 0, Relaxed)],
  ['cas64', 8, (cpu, hi, lo) => cpu.cas64(hi, lo, 0, 0, 0, 0, Relaxed)],
  ['load32', 4, (cpu, hi, lo) => cpu.load32(hi, lo, Relaxed)],
  ['add32', 4, (cpu, hi, lo) => cpu.add32(hi, lo, 0, Relaxed)],
  ['cond32', 4, (cpu, hi, lo) => cpu.cond32(hi, lo, Condition.AnyBitClear, -1, 0, Relaxed)],
  ['swap16', 2, (cpu, hi, lo) => cpu.swap16(hi, lo, 0, Relaxed)],
];

describe.each(ATTEMPTS)('%s', (name, bytes, attempt) => {
  it('performs on a multiple of its size, up to the end of the line', () => {
    for (const offset of [0, 64 - bytes]) run(attempt, offset);
  });

  it('is refused across the end of a line and beside its multiples', () => {
    const text = new RegExp(`^CPU 0: ${name} at 0x\\w+ is no multiple of ${bytes} bytes`);
    for (const offset of [64 - bytes / 2, bytes / 2]) {
      expect(() => run(attempt, offset)).toThrow(text);
    }
  });
});

it('costs nothing and says nothing in a run without checks', () => {
  expect(() => run(ATTEMPTS[0]![2], 60, false)).not.toThrow();
});
