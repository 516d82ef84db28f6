/**
 * What is different on x86: last-level caches at the requester's side, so that remote memory read
 * again costs what local memory does, until somebody writes it; and no broadcast invalidation.
 */

import { expect, test } from 'vitest';
import type { Cpu, Program } from '../../../../src/cpu/cpu.ts';
import { Condition, Order, Tlbi } from '../../../../src/cpu/operations.ts';
import type { Machine } from '../../../../src/machine/machine.ts';
import { type Address, addBytes, toLinear } from '../../../../src/memory/physical-address.ts';
import { Counter } from '../../../../src/metrics/definition.ts';
import type { Scenario } from '../../../conformance/engine.ts';
import { makeTestMachine } from '../../../support/test-machine.ts';
import { runScenario } from '../../../support/virtual-scenario.ts';

const LINES = 256;
const DEBUG = { witness: true, shuffle: 0, translations: true, repeats: true };
const base = makeTestMachine({ cpuCount: 4, nodeCount: 2 });
/** Private caches that hold a quarter of the lines. */
const SMALL: Machine = {
  ...base,
  l1d: { ...base.l1d, bytes: 1024, sets: 8, ways: 2 },
  l2: { ...base.l2, bytes: 4096, sets: 8, ways: 8 },
};

function* readAll(cpu: Cpu, first: Address): Program {
  for (let line = 0; line < LINES; line++) {
    const { hi, lo } = addBytes(first, 64 * line);
    while (!cpu.load32(hi, lo, Order.Relaxed)) yield;
  }
}

/** CPU 0 reads lines of node 1 again and again; CPU 2, of node 1, writes one of them meanwhile. */
function rereading(machine: Machine) {
  const rounds: number[] = [];
  const scenario: Scenario = {
    boot: (boot) => {
      const line = (node: number): Address => toLinear(boot.allocate(node, 64));
      return { locks: [], words: [toLinear(boot.allocate(1, 64 * LINES)), line(0)] };
    },
    *program(cpu, { words }) {
      const [first, turn] = words as [Address, Address];
      if (cpu.id === 2) {
        while (!cpu.cond32(turn.hi, turn.lo, Condition.Equal, -1, 1, Order.Acquire)) yield;
        const { hi, lo } = addBytes(first, 64 * 7);
        while (!cpu.store32(hi, lo, 5, Order.Relaxed)) yield;
        while (!cpu.store32(turn.hi, turn.lo, 2, Order.Release)) yield;
        return;
      }
      for (let round = 0; round < 4; round++) {
        const start = timeOf(cpu);
        yield* readAll(cpu, first);
        rounds.push((timeOf(cpu) - start) / LINES / 1000);
        if (round !== 2) continue;
        while (!cpu.store32(turn.hi, turn.lo, 1, Order.Release)) yield;
        while (!cpu.cond32(turn.hi, turn.lo, Condition.Equal, -1, 2, Order.Acquire)) yield;
        const { hi, lo } = addBytes(first, 64 * 7);
        while (!cpu.load32(hi, lo, Order.Relaxed)) yield;
        expect(cpu.lo).toBe(5);
      }
    },
  };
  const parameters = { lock: '', cpuCount: 2, rounds: 0 };
  const place = { machine, cpus: [0, 2], debug: DEBUG };
  const outcome = runScenario(scenario, parameters, 1, place);
  return { rounds, hits: outcome.counter(Counter.LlcRemoteHits) };
}

function timeOf(cpu: Cpu): number {
  return (cpu as unknown as { readonly clock: number }).clock;
}

test('remote lines read again: last-level latency of the own node, or of the home', () => {
  const own = rereading({ ...SMALL, llcPlacement: 'requester' });
  expect(own.hits).toBeGreaterThan(2 * LINES);
  expect(own.rounds[0]).toBeGreaterThan(200);
  expect(own.rounds[1]).toBeCloseTo(30, 0);
  expect(own.rounds[3]).toBeCloseTo(30, 0);
  const homes = rereading({ ...SMALL, llcPlacement: 'home' });
  expect(homes.hits).toBe(0);
  expect(homes.rounds[1]).toBeCloseTo(130, 0);
});

test.each(['VaLE1Is', 'AsidE1Is', 'IcIalluIs', 'IcIvau'] as const)('no %s on x86', (name) => {
  const scenario: Scenario = {
    boot: (boot) => ({ locks: [], words: [toLinear(boot.allocate(0, 64))] }),
    *program(cpu, { words }) {
      const { hi, lo } = words[0]!;
      while (!cpu.tlbi(Tlbi[name], hi, lo, 0)) yield;
    },
  };
  const machine: Machine = { ...base, architecture: 'x86' };
  const parameters = { lock: '', cpuCount: 1, rounds: 0 };
  const place = { machine, cpus: [0], debug: DEBUG };
  expect(() => runScenario(scenario, parameters, 1, place)).toThrow(`broadcast ${name} on test`);
});
