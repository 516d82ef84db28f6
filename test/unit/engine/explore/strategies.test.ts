/**
 * Promise: each strategy depends on seed and schedule number alone, finds what a random walk finds,
 * and does what it is for: PCT keeps its bound, URW is uniform, starve lets one wait long.
 */

import { describe, expect, it } from 'vitest';
import type { Cpu, Program } from '../../../../src/cpu/cpu.ts';
import { Order } from '../../../../src/cpu/operations.ts';
import { estimateSteps } from '../../../../src/engine/explore/estimate-steps.ts';
import { runSchedule } from '../../../../src/engine/explore/run-schedule.ts';
import {
  makeStrategy,
  STRATEGY_NAMES,
} from '../../../../src/engine/explore/strategies/strategies.ts';
import type { Strategy, StrategyOptions } from '../../../../src/engine/explore/strategy.ts';
import { type OpenPrograms, openPrograms, type Words } from '../../../support/explore-programs.ts';

const OPTIONS: StrategyOptions = { seed: 3, expectedSteps: 40, depth: 2, fairAfter: 500 };

function* loads(cpu: Cpu, { x }: Words, count: number): Program {
  for (let i = 0; i < count; i++) while (!cpu.load32(x!.hi, x!.lo, Order.Relaxed)) yield;
}

function* storeOne(cpu: Cpu, { x }: Words): Program {
  while (!cpu.store32(x!.hi, x!.lo, cpu.id + 1, Order.Relaxed)) yield;
}

function agentsOf({ explorer }: OpenPrograms, strategy: Strategy, schedule: number): string {
  runSchedule(explorer, strategy, schedule);
  return explorer.agents.slice(0, explorer.stepCount).join('');
}

describe.each(STRATEGY_NAMES)('%s', (name) => {
  it('is a function of seed and number', () => {
    const programs = [0, 1, 2].map(() => (cpu: Cpu, words: Words) => loads(cpu, words, 5));
    const open = openPrograms(programs, { model: 'tso' });
    const first = makeStrategy(name, OPTIONS);
    const forward = [0, 1, 2, 3, 4, 5, 6, 7].map((i) => agentsOf(open, first, i));
    const second = makeStrategy(name, OPTIONS);
    const backward = [7, 6, 5, 4, 3, 2, 1, 0].map((i) => agentsOf(open, second, i));
    expect(backward.reverse()).toEqual(forward);
    expect(new Set(forward).size).toBeGreaterThan(1);
    const other = makeStrategy(name, { ...OPTIONS, seed: 4 });
    expect([0, 1, 2, 3, 4, 5, 6, 7].map((i) => agentsOf(open, other, i))).not.toEqual(forward);
  });

  it.each(['sc', 'tso'] as const)('finds both orders of two stores under %s', (model) => {
    const open = openPrograms([storeOne, storeOne], { model });
    const strategy = makeStrategy(name, OPTIONS);
    const seen = new Set<number>();
    for (let i = 0; i < 60; i++) {
      expect(runSchedule(open.explorer, strategy, i).outcome).toBe('passed');
      seen.add(open.value('x'));
    }
    expect([...seen].sort()).toEqual([1, 2]);
  });
});

describe('pct', () => {
  it('finds a bug of depth 2 as often as it promises', () => {
    // CPU 1 stores 1; only right between the two loads of CPU 0, among 18 others, is it seen.
    const open = openPrograms([
      function* (cpu, words) {
        yield* loads(cpu, words, 9);
        const { hi, lo } = words['x']!;
        while (!cpu.load32(hi, lo, Order.Relaxed)) yield;
        const before = cpu.lo;
        while (!cpu.load32(hi, lo, Order.Relaxed)) yield;
        if (before !== cpu.lo) throw new Error('between');
        yield* loads(cpu, words, 9);
      },
      storeOne,
    ]);
    const strategy = makeStrategy('pct', { ...OPTIONS, expectedSteps: 21 });
    let found = 0;
    for (let i = 0; i < 4000; i++) {
      if (runSchedule(open.explorer, strategy, i).outcome === 'failed') found++;
    }
    // At least 1 / (n k) with n = 2, k = 21; the agents of drains and the like are never enabled.
    expect(found / 4000).toBeGreaterThan((1 / (2 * 21)) * 0.8);
  });

  it('goes on fairly after its budget', () => {
    const open = openPrograms([
      function* (cpu, { x }) {
        do while (!cpu.load32(x!.hi, x!.lo, Order.Relaxed)) yield;
        while (cpu.lo === 0);
      },
      storeOne,
    ]);
    const strategy = makeStrategy('pct', OPTIONS);
    for (let i = 0; i < 50; i++) {
      expect(runSchedule(open.explorer, strategy, i).outcome).toBe('passed');
    }
  });
});

describe('urw', () => {
  it('makes every interleaving about as likely', () => {
    const open = openPrograms([
      (cpu, words) => loads(cpu, words, 1),
      (cpu, words) => loads(cpu, words, 4),
    ]);
    const estimate = estimateSteps(open.explorer, 1);
    expect(estimate.expectedSteps).toBe(5);
    expect(estimate.expectedByAgent.slice(0, 2)).toEqual([1, 4]);
    const strategy = makeStrategy('urw', { ...OPTIONS, ...estimate });
    const counts = new Map<string, number>();
    for (let i = 0; i < 5000; i++) {
      const agents = agentsOf(open, strategy, i);
      counts.set(agents, (counts.get(agents) ?? 0) + 1);
    }
    expect(counts.size).toBe(5);
    for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(150);
  });
});

describe('starve', () => {
  it('lets others run far ahead more often than a random walk', () => {
    const open = openPrograms([0, 1].map(() => (cpu, words) => loads(cpu, words, 20)));
    const longest = (strategy: Strategy): number => {
      let count = 0;
      for (let i = 0; i < 300; i++) {
        if (/0{12}|1{12}/.test(agentsOf(open, strategy, i).slice(0, 20))) count++;
      }
      return count;
    };
    const starved = longest(makeStrategy('starve', OPTIONS));
    const walked = longest(makeStrategy('random', OPTIONS));
    expect(starved).toBeGreaterThan(5 * walked + 5);
  });
});

describe('a name', () => {
  it('that is none is refused with the list', () => {
    expect(() => makeStrategy('pcd', OPTIONS)).toThrow(
      "there is no strategy 'pcd'; there are random, pct, pos, urw, starve",
    );
  });
});
