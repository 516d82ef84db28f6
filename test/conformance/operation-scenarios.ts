/**
 * What the CPU operations promise, apart from any lock: results of every attempt on memory,
 * sleeping and waking, acknowledgement of TLBIs by CPUs in any state. Violations as in
 * lock-scenarios.ts.
 */

import type { Cpu, Program } from '../../src/cpu/cpu.ts';
import { Condition, Order, Scope, Tlbi } from '../../src/cpu/operations.ts';
import type { Address } from '../../src/memory/physical-address.ts';
import type { Scenario, ScenarioImage } from './engine.ts';
import { bootWords, startTogether, violation, Word } from './lock-scenarios.ts';

type Expected = readonly [hi: number, lo: number];

/** Counts a violation and leaves the number of the check in words[Owner]. */
function* expectResult(
  cpu: Cpu,
  image: ScenarioImage,
  check: number,
  expected: Expected,
  ok = cpu.ok,
): Program {
  if (cpu.hi === expected[0] && cpu.lo === expected[1] && cpu.ok === ok) return;
  const { hi, lo } = image.words[Word.Owner]!;
  while (!cpu.store32(hi, lo, check, Order.Relaxed)) yield;
  yield* violation(cpu, image);
}

function* narrowAccesses(cpu: Cpu, image: ScenarioImage, { hi, lo }: Address): Program {
  while (!cpu.store32(hi, lo, 0x11223344, Order.Relaxed)) yield;
  while (!cpu.load8(hi, lo + 1, Order.Relaxed)) yield;
  yield* expectResult(cpu, image, 1, [0, 0x33]);
  while (!cpu.store8(hi, lo + 3, 0xff, Order.Relaxed)) yield;
  while (!cpu.load32(hi, lo, Order.Relaxed)) yield;
  yield* expectResult(cpu, image, 2, [0, 0xff223344 | 0]);
  while (!cpu.swap16(hi, lo + 2, 0x8001, Order.Relaxed)) yield;
  yield* expectResult(cpu, image, 3, [0, 0xff22]);
  while (!cpu.store16(hi, lo, 0xabcd, Order.Relaxed)) yield;
  while (!cpu.load32(hi, lo, Order.Relaxed)) yield;
  yield* expectResult(cpu, image, 4, [0, 0x8001abcd | 0]);
}

function* wordAtomics(cpu: Cpu, image: ScenarioImage, { hi, lo }: Address): Program {
  while (!cpu.store32(hi, lo, 0x7fffffff, Order.Release)) yield;
  while (!cpu.add32(hi, lo, 1, Order.Relaxed)) yield;
  yield* expectResult(cpu, image, 10, [0, 0x7fffffff]);
  while (!cpu.cas32(hi, lo, 5, 6, Order.Relaxed)) yield;
  yield* expectResult(cpu, image, 11, [0, -0x80000000], false);
  while (!cpu.cas32(hi, lo, 0x80000000, 6, Order.Relaxed)) yield;
  yield* expectResult(cpu, image, 12, [0, -0x80000000], true);
  while (!cpu.set32(hi, lo, 0x10, Order.Relaxed)) yield;
  yield* expectResult(cpu, image, 13, [0, 6]);
  while (!cpu.clear32(hi, lo, 0x2, Order.Relaxed)) yield;
  yield* expectResult(cpu, image, 14, [0, 0x16]);
  while (!cpu.swap32(hi, lo, -1, Order.Relaxed)) yield;
  yield* expectResult(cpu, image, 15, [0, 0x14]);
}

function* wideAtomics(cpu: Cpu, image: ScenarioImage, { hi, lo }: Address): Program {
  while (!cpu.store64(hi, lo, 1, 0xffffffff | 0, Order.Relaxed)) yield;
  while (!cpu.add64(hi, lo, 0, 1, Order.Relaxed)) yield;
  yield* expectResult(cpu, image, 20, [1, -1]);
  while (!cpu.load64(hi, lo, Order.Acquire)) yield;
  yield* expectResult(cpu, image, 21, [2, 0]);
  while (!cpu.cas64(hi, lo, 2, 1, 9, 9, Order.Relaxed)) yield;
  yield* expectResult(cpu, image, 22, [2, 0], false);
  while (!cpu.cas64(hi, lo, 2, 0, -3, 7, Order.Relaxed)) yield;
  yield* expectResult(cpu, image, 23, [2, 0], true);
  while (!cpu.swap64(hi, lo, 4, 5, Order.Relaxed)) yield;
  yield* expectResult(cpu, image, 24, [-3, 7]);
  while (!cpu.load32(hi, lo + 4, Order.Relaxed)) yield;
  yield* expectResult(cpu, image, 25, [0, 4]);
  while (!cpu.zeroLine(hi, lo)) yield;
  while (!cpu.load64(hi, lo, Order.Relaxed)) yield;
  yield* expectResult(cpu, image, 26, [0, 0]);
}

/** Every kind of condition, on a word for which it holds; and a deadline that passes. */
function* conditions(cpu: Cpu, image: ScenarioImage, { hi, lo }: Address): Program {
  const word = 0xfffffff0 | 0;
  const held: readonly (readonly [Condition, number, number])[] = [
    [Condition.Equal, 0xf0, 0xf0],
    [Condition.Equal, -1, 0xfffffff0],
    [Condition.NotEqual, 0xff, 0xff],
    [Condition.AtLeastWrapping, -1, 0xffffffe0],
    [Condition.AtLeastWrapping, -1, 0x90000000],
    [Condition.AnyBitClear, 0x1f, 0],
    [Condition.AnyBitSet, 0x1f, 0],
  ];
  while (!cpu.store32(hi, lo, word, Order.Relaxed)) yield;
  for (const [index, [kind, mask, operand]] of held.entries()) {
    while (!cpu.cond32(hi, lo, kind, mask, operand, Order.Acquire)) yield;
    yield* expectResult(cpu, image, 30 + index, [0, word]);
  }
  const never = Condition.Equal;
  const until = cpu.deadline(1_000_000);
  while (!cpu.cond32Until(hi, lo, never, -1, 1, until, Order.Acquire)) yield;
  yield* expectResult(cpu, image, 40, [0, word], false);
  const held32 = Condition.AnyBitSet;
  while (!cpu.cond32Until(hi, lo, held32, -1, 0, until, Order.Acquire)) yield;
  yield* expectResult(cpu, image, 41, [0, word], true);
}

/** Results of every attempt, on the words of a lock that nobody uses. */
export const results: Scenario = {
  boot: bootWords,
  *program(cpu, image) {
    const word = image.words[Word.Turn]!;
    if (cpu.id !== 0) return;
    yield narrowAccesses(cpu, image, word);
    yield wordAtomics(cpu, image, word);
    yield wideAtomics(cpu, image, word);
    yield conditions(cpu, image, word);
  },
};

/** 64-bit adds from all sides: no carry may get lost. */
export const wideSum: Scenario = {
  boot: bootWords,
  *program(cpu, image, parameters) {
    const { hi, lo } = image.words[Word.Turn]!;
    yield* startTogether(cpu, image, parameters);
    for (let i = 0; i < parameters.rounds; i++) {
      while (!cpu.add64(hi, lo, 0, 0x80000001 | 0, Order.Relaxed)) yield;
      while (!cpu.swap16(image.words[Word.Owner]!.hi, image.words[Word.Owner]!.lo, i, 0)) yield;
    }
  },
};

/** A ring of sleepers: each CPU waits for its turn asleep, and wakes the next one. */
export const sleepers: Scenario = {
  boot: bootWords,
  *program(cpu, image, parameters) {
    const turn = image.words[Word.Turn]!;
    const { cpuCount, rounds } = parameters;
    for (let i = 0; i < rounds; i++) {
      for (;;) {
        while (!cpu.load32(turn.hi, turn.lo, Order.Acquire)) yield;
        if (cpu.lo % cpuCount === cpu.id) break;
        while (!cpu.idle()) yield;
      }
      const next = cpu.lo + 1;
      while (!cpu.store32(turn.hi, turn.lo, next, Order.Release)) yield;
      while (!cpu.wake(next % cpuCount)) yield;
      cpu.mark();
    }
  },
};

/**
 * CPU 0 broadcasts TLBIs and waits for their acknowledgement, while CPU 1 has interrupts masked and
 * waits for a word that only CPU 0's progress changes, and the others have finished.
 */
export const shootdowns: Scenario = {
  boot: bootWords,
  *program(cpu, image, parameters) {
    const gate = image.words[Word.Gate]!;
    if (cpu.id === 0) {
      for (let i = 0; i < parameters.rounds; i++) {
        while (!cpu.tlbi(Tlbi.VmallE1Is, 0, 0, 0)) yield;
        while (!cpu.dsb(Scope.InnerShareable)) yield;
        while (!cpu.add32(gate.hi, gate.lo, 1, Order.Release)) yield;
        cpu.mark();
      }
    } else if (cpu.id === 1) {
      cpu.interrupts(false);
      const all = parameters.rounds;
      while (!cpu.cond32(gate.hi, gate.lo, Condition.Equal, -1, all, Order.Acquire)) yield;
      cpu.interrupts(true);
    }
  },
};
