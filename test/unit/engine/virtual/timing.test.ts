/**
 * Times of single operations on an otherwise idle machine, computed by hand. L1 2 ns, L2 5, last
 * level 30, memory 100, hop 50; costs 10 ns each; a granted access takes 1 ps.
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
const machine = makeTestMachine({ cpuCount: 4, nodeCount: 2 });

/** Time from a warm start (translations cached, lines not) to the end of the program. */
function timeOf(program: (cpu: Cpu, image: RandomImage) => Program): number {
  const warmUp = function* (cpu: Cpu, image: RandomImage): Program {
    for (const { hi, lo } of image.words) while (!cpu.load32(hi, lo + 8, Relaxed)) yield;
    for (const { hi, lo } of image.words) while (!cpu.cleanInvalidateLine(hi, lo)) yield;
    cpu.compute(ns(10_000));
  };
  const full = runPrograms(machine, [
    function* both(cpu, image) {
      yield* warmUp(cpu, image);
      yield* program(cpu, image);
    },
  ]);
  return full.clock(0) - runPrograms(machine, [warmUp]).clock(0);
}

describe('accesses', () => {
  it('memory of the own node, then L1 hits', () => {
    const time = timeOf(function* (cpu, image) {
      const { hi, lo } = image.words[0]!;
      for (let i = 0; i < 3; i++) while (!cpu.load32(hi, lo, Relaxed)) yield;
    });
    expect(time).toBe(ns(100) + 1 + 2 * ns(2));
  });

  it('memory of the other node: one hop each way', () => {
    const time = timeOf(function* (cpu, image) {
      const { hi, lo } = image.words[1]!;
      while (!cpu.load32(hi, lo, Relaxed)) yield;
    });
    expect(time).toBe(ns(50 + 100 + 50) + 1);
  });

  it('a read leaves the line exclusive: the write that follows costs no request', () => {
    const time = timeOf(function* (cpu, image) {
      const { hi, lo } = image.words[0]!;
      while (!cpu.load32(hi, lo, Relaxed)) yield;
      while (!cpu.store32(hi, lo, 1, Relaxed)) yield;
    });
    expect(time).toBe(ns(100) + 1 + ns(2));
  });

  it('an atomic pays its cost on an owned line, not on top of a grant', () => {
    const time = timeOf(function* (cpu, image) {
      const { hi, lo } = image.words[0]!;
      while (!cpu.add32(hi, lo, 1, Relaxed)) yield;
      while (!cpu.add32(hi, lo, 1, Relaxed)) yield;
    });
    expect(time).toBe(ns(100) + 1 + ns(2 + 10));
  });

  it('a line owned on the other node comes over three hops', () => {
    const ran = runPrograms(machine, [
      function* reader(cpu, image) {
        const { hi, lo } = image.words[0]!;
        while (!cpu.load32(hi, lo + 64, Relaxed)) yield;
        cpu.compute(ns(20_000));
        while (!cpu.load32(hi, lo, Relaxed)) yield;
      },
      undefined,
      function* owner(cpu, image) {
        cpu.compute(ns(5_000));
        const { hi, lo } = image.words[0]!;
        while (!cpu.store32(hi, lo, 1, Relaxed)) yield;
      },
    ]);
    const alone = runPrograms(machine, [
      function* reader(cpu, image) {
        const { hi, lo } = image.words[0]!;
        while (!cpu.load32(hi, lo + 64, Relaxed)) yield;
        cpu.compute(ns(20_000));
      },
    ]);
    expect(ran.clock(0) - alone.clock(0)).toBe(ns(50 + 40 + 50) + 1);
    expect(ran.counter(0, Counter.RemoteTransfers)).toBe(1);
  });
});

describe('barriers and maintenance', () => {
  it('cost what the profile says', () => {
    const time = timeOf(function* (cpu) {
      while (!cpu.fence(Fence.DmbIsh)) yield;
      while (!cpu.fence(Fence.Isb)) yield;
      while (!cpu.dsb(Scope.InnerShareable)) yield;
    });
    expect(time).toBe(ns(30));
  });

  it('a TLBI and its DSB take the Sync\u2019s service, acknowledgement and the barrier', () => {
    const time = timeOf(function* (cpu) {
      while (!cpu.tlbi(Tlbi.VaE1Is, 0, 0x1000, 1)) yield;
      while (!cpu.dsb(Scope.InnerShareable)) yield;
    });
    // Only this node has CPUs: TLBI 10, its service 20, then the Sync's acknowledgement 25, DSB 10.
    expect(time).toBe(ns(10 + 20 + 25 + 10));
  });

  it('a local TLBI needs no agent', () => {
    const time = timeOf(function* (cpu) {
      while (!cpu.tlbi(Tlbi.VaE1, 0, 0x1000, 1)) yield;
      while (!cpu.dsb(Scope.InnerShareable)) yield;
    });
    expect(time).toBe(ns(20));
  });

  it('AT takes time, so that no loop over it is endless (ER-T11)', () => {
    const time = timeOf(function* (cpu, image) {
      const { hi, lo } = image.words[0]!;
      while (!cpu.translate(hi, lo, false)) yield;
    });
    expect(time).toBe(1);
  });
});
