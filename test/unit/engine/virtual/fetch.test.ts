/**
 * The instruction side of the virtual engine: which word a fetch executes after a store, and what
 * each step of maintenance and synchronisation changes about it; then times by hand: L1I 1 ns,
 * memory 100.
 *
 * CPU 0 executes a word twice, CPU 2 on the other node patches it in between by its alias. CPU 0
 * fetches another line in between to leave the line that it has fetched last.
 */

import { describe, expect, it } from 'vitest';
import type { Cpu, Program } from '../../../../src/cpu/cpu.ts';
import { Fence, Order, Scope, Tlbi } from '../../../../src/cpu/operations.ts';
import { Counter } from '../../../../src/metrics/definition.ts';
import type { RandomImage } from '../../../support/random-program-memory.ts';
import { makeTestMachine } from '../../../support/test-machine.ts';
import { runPrograms } from '../../../support/virtual-programs.ts';

const { Relaxed } = Order;
const ns = (x: number): number => x * 1000;
/** Patching is over by then. */
const PATCHED_PS = ns(20_000);
const NEW = 0x14000001;

function machineWith(features: { dic: boolean; idc: boolean }) {
  return makeTestMachine({ cpuCount: 4, nodeCount: 2, features });
}
const incoherent = machineWith({ dic: false, idc: false });
const coherent = machineWith({ dic: true, idc: true });

function* fetch(cpu: Cpu, image: RandomImage, line = 0): Program {
  const { hi, lo } = image.text[line]!;
  while (!cpu.fetch(hi, lo + 8)) yield;
}

function* store(cpu: Cpu, image: RandomImage): Program {
  const { hi, lo } = image.textAliases[0]!;
  while (!cpu.store32(hi, lo + 8, NEW, Relaxed)) yield;
}

function* invalidate(cpu: Cpu, image: RandomImage): Program {
  const { hi, lo } = image.textAliases[0]!;
  while (!cpu.cleanLineToPou(hi, lo)) yield;
  while (!cpu.dsb(Scope.InnerShareable)) yield;
  while (!cpu.tlbi(Tlbi.IcIvau, hi, lo, 0)) yield;
  while (!cpu.dsb(Scope.InnerShareable)) yield;
}

type Part = (cpu: Cpu, image: RandomImage) => Program;

/** What CPU 0 executes first and after the patch, with something of its own in between. */
function executed(
  machine: ReturnType<typeof machineWith>,
  patch: Part,
  between: Part,
): readonly number[] {
  const seen: number[] = [];
  runPrograms(machine, [
    function* executor(cpu, image) {
      cpu.setInterrupt(0, function* nothing() {});
      yield* fetch(cpu, image);
      seen.push(cpu.lo);
      cpu.compute(PATCHED_PS);
      yield* between(cpu, image);
      yield* fetch(cpu, image);
      seen.push(cpu.lo);
    },
    undefined,
    function* patcher(cpu, image) {
      cpu.compute(ns(5_000));
      yield* store(cpu, image);
      yield* patch(cpu, image);
    },
  ]);
  return seen;
}

function* nothing(): Program {}

function* elsewhere(cpu: Cpu, image: RandomImage): Program {
  yield* fetch(cpu, image, 1);
}

function* isb(cpu: Cpu): Program {
  while (!cpu.fence(Fence.Isb)) yield;
}

function* interrupt(cpu: Cpu): Program {
  while (!cpu.ipi(0, 0)) yield;
}

describe('without DIC', () => {
  it('a store reaches no L1I, whatever the other CPU does', () => {
    for (const between of [nothing, elsewhere, isb]) {
      expect(executed(incoherent, nothing, between)).toEqual([0, 0]);
    }
  });

  it('IC IVAU takes the copy, not what is being executed', () => {
    expect(executed(incoherent, invalidate, nothing)).toEqual([0, 0]);
    expect(executed(incoherent, invalidate, elsewhere)).toEqual([0, NEW]);
    expect(executed(incoherent, invalidate, isb)).toEqual([0, NEW]);
  });

  it('an interrupt synchronises', () => {
    function* both(cpu: Cpu, image: RandomImage): Program {
      yield* invalidate(cpu, image);
      yield* interrupt(cpu);
    }
    expect(executed(incoherent, both, nothing)).toEqual([0, NEW]);
    expect(executed(incoherent, interrupt, nothing)).toEqual([0, 0]);
  });

  it('IC IVAU of another line takes nothing', () => {
    function* beside(cpu: Cpu, image: RandomImage): Program {
      const { hi, lo } = image.textAliases[1]!;
      while (!cpu.tlbi(Tlbi.IcIvau, hi, lo, 0)) yield;
      while (!cpu.dsb(Scope.InnerShareable)) yield;
    }
    expect(executed(incoherent, beside, isb)).toEqual([0, 0]);
  });

  it('IC IVAU by the address that is executed is the same line', () => {
    function* byText(cpu: Cpu, image: RandomImage): Program {
      const { hi, lo } = image.text[0]!;
      while (!cpu.tlbi(Tlbi.IcIvau, hi, lo + 60, 0)) yield;
      while (!cpu.dsb(Scope.InnerShareable)) yield;
    }
    expect(executed(incoherent, byText, isb)).toEqual([0, NEW]);
  });

  it("a CPU's own stores don't reach its L1I either", () => {
    const seen: number[] = [];
    runPrograms(incoherent, [
      function* own(cpu, image) {
        for (const step of [nothing, store, isb, invalidate, isb]) {
          yield* step(cpu, image);
          yield* fetch(cpu, image);
          seen.push(cpu.lo);
        }
      },
    ]);
    expect(seen).toEqual([0, 0, 0, 0, NEW]);
  });
});

describe('with DIC', () => {
  it('a store takes the line from the L1I, not what is being executed', () => {
    expect(executed(coherent, nothing, nothing)).toEqual([0, 0]);
    expect(executed(coherent, nothing, elsewhere)).toEqual([0, NEW]);
    expect(executed(coherent, nothing, isb)).toEqual([0, NEW]);
    expect(executed(coherent, interrupt, nothing)).toEqual([0, NEW]);
  });
});

describe('times and counters', () => {
  it('TLB hit: memory, the line fetched last, L1I, L2', () => {
    const run = (fetches: readonly number[]) =>
      runPrograms(incoherent, [
        function* program(cpu, image) {
          yield* fetch(cpu, image, 2);
          for (const line of fetches) yield* fetch(cpu, image, line);
        },
      ]);
    const alone = run([]).clock(0);
    const once = run([0]);
    expect(once.clock(0) - alone).toBe(ns(100) + 1);
    expect(run([0, 0]).clock(0) - alone).toBe(ns(100 + 1) + 1);
    const again = run([0, 1, 0]);
    expect(again.clock(0) - alone).toBe(ns(2 * 100 + 1) + 2);
    expect(again.counter(0, Counter.Fetches)).toBe(4);
    expect(again.counter(0, Counter.L1iMisses)).toBe(3);
    expect(again.counter(0, Counter.FetchL2Misses)).toBe(3);
    expect(again.counter(0, Counter.FetchesLocal)).toBe(3);
    expect(again.counter(0, Counter.ItlbMisses)).toBe(1);
    expect(again.counter(0, Counter.ItlbL1Misses)).toBe(1);
  });

  it('after IC IALLUIS the L2 still has the line', () => {
    const ran = runPrograms(incoherent, [
      function* program(cpu, image) {
        yield* fetch(cpu, image);
        while (!cpu.tlbi(Tlbi.IcIalluIs, 0, 0, 0)) yield;
        yield* isb(cpu);
        yield* fetch(cpu, image);
      },
    ]);
    expect(ran.counter(0, Counter.L1iMisses)).toBe(2);
    expect(ran.counter(0, Counter.FetchL2Misses)).toBe(1);
  });

  it('text of the other node comes from there', () => {
    const ran = runPrograms(incoherent, [
      function* program(cpu, image) {
        yield* fetch(cpu, image, 3);
      },
    ]);
    expect(ran.counter(0, Counter.FetchesRemote)).toBe(1);
    expect(ran.counter(0, Counter.FetchesLocal)).toBe(0);
  });
});
