/**
 * CPUs that wait: conditions, interrupts, idling, barriers. Each test names what must not get lost.
 * Costs are 10 ns each on the made-up machine, IPIs 500 ns, hops 50 ns, the grid 25 ns.
 */

import { describe, expect, it } from 'vitest';
import type { Cpu, Program } from '../../../../src/cpu/cpu.ts';
import { Condition, Level, Order, Scope, Tlbi } from '../../../../src/cpu/operations.ts';
import type { Address } from '../../../../src/memory/physical-address.ts';
import { Counter } from '../../../../src/metrics/definition.ts';
import type { RandomImage } from '../../../support/random-program-memory.ts';
import { makeHostHandler, remapPage } from '../../../support/random-program-tables.ts';
import { makeTestMachine } from '../../../support/test-machine.ts';
import { runPrograms } from '../../../support/virtual-programs.ts';

const { Relaxed, Acquire } = Order;
const machine = makeTestMachine({ cpuCount: 4, nodeCount: 2 });

/** Parks until word `index` is 1. */
function* await1(cpu: Cpu, image: RandomImage, index = 0): Program {
  const { hi, lo } = image.words[index]!;
  while (!cpu.cond32(hi, lo, Condition.Equal, -1, 1, Acquire)) yield;
}

function* set(cpu: Cpu, image: RandomImage, index: number, value: number): Program {
  const { hi, lo } = image.words[index]!;
  while (!cpu.store32(hi, lo, value, Relaxed)) yield;
}

function setsWordOnInterrupt(cpu: Cpu, image: RandomImage, index: number): void {
  cpu.setInterrupt(0, function* handler(inner) {
    yield* set(inner, image, index, 1);
  });
}

describe('interrupts and parked conditions (ER-I2)', () => {
  it('takes an interrupt that was on its way when the CPU parked', () => {
    const ran = runPrograms(machine, [
      function* sender(cpu, image) {
        // Sent at once, arrives after CPU 1 has parked; nobody else touches CPU 1's line.
        while (!cpu.ipi(1, 0)) yield;
        yield* await1(cpu, image, 1);
        yield* set(cpu, image, 0, 1);
      },
      function* waiter(cpu, image) {
        setsWordOnInterrupt(cpu, image, 1);
        yield* await1(cpu, image, 0);
      },
    ]);
    expect(ran.result.ending.kind).toBe('finished');
    expect(ran.counter(1, Counter.IpiTaken)).toBe(1);
  });

  it('takes one that came while a woken condition asked for its line again', () => {
    // CPU 0 changes the word without fulfilling the condition, over and over, and sends an IPI at
    // every distance from the change.
    for (let delay = 0; delay < 120_000; delay += 7_000) {
      const ran = runPrograms(machine, [
        function* sender(cpu, image) {
          cpu.compute(600_000 - delay);
          while (!cpu.ipi(2, 0)) yield;
          cpu.compute(500_000 + delay);
          yield* set(cpu, image, 0, 2);
          yield* await1(cpu, image, 1);
          yield* set(cpu, image, 0, 1);
        },
        undefined,
        function* waiter(cpu, image) {
          setsWordOnInterrupt(cpu, image, 1);
          yield* await1(cpu, image, 0);
        },
      ]);
      expect(ran.result.ending.kind, `delay ${delay}`).toBe('finished');
    }
  });

  it('holds interrupts back while they are masked, but acknowledges TLBIs (ER-I5)', () => {
    const seen: string[] = [];
    const ran = runPrograms(machine, [
      function* sender(cpu, image) {
        while (!cpu.ipi(1, 0)) yield;
        while (!cpu.tlbi(Tlbi.VmallHostIs, 0, 0, 0)) yield;
        while (!cpu.dsb(Scope.InnerShareable)) yield;
        seen.push('dsb');
        yield* set(cpu, image, 0, 1);
      },
      function* masked(cpu, image) {
        cpu.interrupts(false);
        cpu.setInterrupt(0, function* handler(inner) {
          seen.push('interrupt');
          yield* set(inner, image, 2, 1);
        });
        yield* await1(cpu, image, 0);
        seen.push('unmask');
        cpu.interrupts(true);
        yield* set(cpu, image, 1, 1);
      },
    ]);
    expect(ran.result.ending.kind).toBe('finished');
    expect(seen).toEqual(['dsb', 'unmask', 'interrupt']);
  });

  it('lets a finished CPU take interrupts (I6)', () => {
    const ran = runPrograms(machine, [
      function* sender(cpu, image) {
        cpu.compute(5_000_000);
        while (!cpu.ipi(3, 0)) yield;
        yield* await1(cpu, image, 1);
      },
      undefined,
      undefined,
      function* done(cpu, image) {
        setsWordOnInterrupt(cpu, image, 1);
        yield* set(cpu, image, 2, 1);
      },
    ]);
    expect(ran.result.ending.kind).toBe('finished');
  });
});

describe('conditions and TLB maintenance (ER-X3)', () => {
  it('never test the old frame once a DSB has returned', () => {
    for (let delay = 0; delay < 2_000_000; delay += 9_973) {
      const seen: number[] = [];
      const ran = runPrograms(machine, [
        function* remapper(cpu, image) {
          cpu.compute(1_000_000);
          yield* remapPage(cpu, image.pages[0]!, 0x100);
        },
        function* neighbour(cpu, image) {
          // Wakes the waiter, which asks for its line again while the page goes away.
          cpu.compute(1_000_000 + delay);
          const { hi, lo } = image.pages[0]!.frames[0]!;
          while (!cpu.store32(hi, lo + 4, 1, Relaxed)) yield;
        },
        function* waiter(cpu, image) {
          cpu.setVector(Level.Host, makeHostHandler(image, 1_000));
          const { hi, lo } = image.pages[0]!.va;
          const differs = Condition.NotEqual;
          while (!cpu.cond32(hi, lo, differs, -1, 0x5a000000, Acquire)) yield;
          seen.push(cpu.lo);
        },
      ]);
      expect(ran.result.ending.kind, `delay ${delay}`).toBe('finished');
      // The new frame's value; the old one is poisoned after the DSB.
      expect(seen).toEqual([0x5a000001]);
    }
  });
});

describe('the leaf that a parked condition rests on (rule 32)', () => {
  /** Of a condition that hits the L1D, after an access by a leaf of another size. */
  function retranslated(
    waitsAt: (image: RandomImage) => Address,
    before: (image: RandomImage) => Address,
    invalidated: (image: RandomImage) => Address,
  ): number {
    const ran = runPrograms(machine, [
      function* invalidator(cpu, image) {
        cpu.compute(5_000_000);
        const { hi, lo } = invalidated(image);
        while (!cpu.tlbi(Tlbi.VaE1Is, hi, lo & ~4095, 1)) yield;
        while (!cpu.dsb(Scope.InnerShareable)) yield;
      },
      function* waiter(cpu, image) {
        const { hi, lo } = waitsAt(image);
        while (!cpu.load32(hi, lo, Relaxed)) yield;
        const value = cpu.lo;
        const other = before(image);
        while (!cpu.load32(other.hi, other.lo, Relaxed)) yield;
        const deadline = cpu.deadline(20_000_000);
        const differs = Condition.NotEqual;
        while (!cpu.cond32Until(hi, lo, differs, -1, value, deadline, Acquire)) yield;
      },
    ]);
    expect(ran.result.ending.kind).toBe('finished');
    return ran.counter(1, Counter.Retranslated);
  }
  const page = (image: RandomImage) => image.pages[0]!.va;
  const nextPage = (image: RandomImage) => image.pages[1]!.va;
  /** In the linear map, by blocks of 1 GiB. */
  const word = (image: RandomImage) => image.words[0]!;
  const farInItsBlock = ({ words: [w] }: RandomImage) => ({ hi: w!.hi, lo: w!.lo ^ (1 << 24) });

  it('is a page, when the access before was by a block', () => {
    expect(retranslated(page, word, page)).toBe(1);
    expect(retranslated(page, word, nextPage)).toBe(0);
  });

  it('is a block, when the access before was by a page', () => {
    expect(retranslated(word, page, farInItsBlock)).toBe(1);
    expect(retranslated(word, page, page)).toBe(0);
  });
});

describe('idle', () => {
  it('never loses a wake, whenever it comes', () => {
    for (let delay = 0; delay < 700_000; delay += 13_001) {
      const ran = runPrograms(machine, [
        function* waker(cpu) {
          cpu.compute(delay);
          while (!cpu.wake(1)) yield;
        },
        function* sleeper(cpu) {
          cpu.compute(300_000);
          while (!cpu.idle()) yield;
        },
      ]);
      expect(ran.result.ending.kind, `delay ${delay}`).toBe('finished');
      expect(ran.clock(1)).toBe(Math.max(300_001, delay + 500_001));
    }
  });
});

describe('how runs end', () => {
  it('reports who waits for what when nobody can go on', () => {
    const { result } = runPrograms(machine, [
      function* first(cpu, image) {
        yield* await1(cpu, image, 0);
      },
      function* second(cpu) {
        while (!cpu.idle()) yield;
      },
    ]);
    expect(result.ending.kind).toBe('deadlock');
    const report = result.ending.kind === 'finished' ? [] : result.ending.report;
    expect(report.join('\n')).toMatch(/CPU 0 .*waits for a condition[\s\S]*CPU 1 .*idle/);
  });

  it('reports no progress when operations go on and none completes', () => {
    const { result } = runPrograms(
      machine,
      [
        function* endless(cpu, image): Program {
          for (;;) yield* set(cpu, image, 0, 1);
        },
      ],
      { progressLimitPs: 10_000_000 },
    );
    expect(result.ending).toMatchObject({ kind: 'no-progress', atPs: 10_025_000 });
  });

  it('stops a program that repeats an attempt without yielding (ER-T11)', () => {
    const run = () =>
      runPrograms(machine, [
        // biome-ignore lint/correctness/useYield: that is the mistake.
        function* spinning(cpu, image) {
          const { hi, lo } = image.words[0]!;
          while (!cpu.load32(hi, lo, Relaxed));
        },
      ]);
    expect(run).toThrow('without yielding');
  });
});
