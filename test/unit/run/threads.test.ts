/** Promise: --threads N is obeyed exactly; whole nodes share a worker, or are split evenly. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AutoThreads } from '../../../src/run/auto-threads.ts';
import { autoWorkerLimit, mapThreads, parseThreads } from '../../../src/run/threads.ts';
import { makeTestMachine } from '../../support/test-machine.ts';

const all = (count: number): number[] => Array.from({ length: count }, (_, cpu) => cpu);

describe('mapThreads', () => {
  const machine = makeTestMachine({ cpuCount: 16, nodeCount: 4 });

  it('keeps nodes whole while there are no more workers than nodes', () => {
    expect(mapThreads(machine, all(16), 1).workerOfNode).toEqual([0, 0, 0, 0]);
    expect(mapThreads(machine, all(16), 2).workerOfNode).toEqual([0, 0, 1, 1]);
    expect(mapThreads(machine, all(16), 3).workerOfNode).toEqual([0, 0, 1, 2]);
    expect(mapThreads(machine, all(16), 4).workerOfNode).toEqual([0, 1, 2, 3]);
  });

  it('splits nodes evenly beyond that; the first worker of a node runs its home', () => {
    const eight = mapThreads(machine, all(16), 8);
    expect(eight.workerOfNode).toEqual([0, 2, 4, 6]);
    expect(eight.workerOfCpu).toEqual([0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7]);
  });

  it('gives homes of nodes without active CPUs to a neighbour', () => {
    const map = mapThreads(machine, [4, 5, 12], 2);
    expect(map.workerCount).toBe(2);
    expect(map.workerOfNode[1]).toBe(0);
    expect(map.workerOfNode[3]).toBe(1);
  });

  it('uses every worker, and a node never misses its home, for any CPUs and count', () => {
    const cpus = fc.uniqueArray(fc.integer({ min: 0, max: 15 }), { minLength: 1 });
    fc.assert(
      fc.property(cpus, fc.integer({ min: 1, max: 20 }), (active, count) => {
        const map = mapThreads(machine, active, count);
        expect(map.workerCount).toBe(Math.min(count, active.length));
        const used = new Set(active.map((cpu) => map.workerOfCpu[cpu]!));
        expect([...used].sort((a, b) => a - b)).toEqual(all(map.workerCount));
        const busy = new Set(active.map((cpu) => machine.nodeOfCpu[cpu]!));
        for (const node of busy) {
          const workers = active
            .filter((cpu) => machine.nodeOfCpu[cpu] === node)
            .map((cpu) => map.workerOfCpu[cpu]!);
          expect(Math.min(...workers)).toBe(map.workerOfNode[node]);
          if (map.workerCount <= busy.size) expect(new Set(workers).size).toBe(1);
        }
      }),
    );
  });
});

describe('auto', () => {
  it('never separates close nodes or small ones, and stays within the cores', () => {
    const far = makeTestMachine({ cpuCount: 64, nodeCount: 4 });
    const close = makeTestMachine({ cpuCount: 64, nodeCount: 4, hopNs: 9 });
    expect(autoWorkerLimit(far, all(64), 8)).toBe(4);
    expect(autoWorkerLimit(far, all(64), 2)).toBe(2);
    expect(autoWorkerLimit(far, all(64), 0)).toBe(1);
    expect(autoWorkerLimit(far, all(40), 8)).toBe(1);
    expect(autoWorkerLimit(close, all(64), 8)).toBe(1);
  });

  it('splits long runs with much to do while a message travels, and decides once', () => {
    const machine = makeTestMachine({ cpuCount: 32, nodeCount: 2, hopNs: 50 });
    const auto = () => new AutoThreads(machine, 2, 1000);
    // One emulated us is 20 hops: 500 accesses are 25 each.
    const long = auto();
    expect(long.consider(10, 1e6, 1, 10_000)).toBe(false);
    expect(long.choice).toBe(0);
    expect(long.consider(60, 1e6, 10, 500)).toBe(true);
    expect(long.choice).toBe(2);
    expect(long.consider(70, 1e6, 10, 10_000)).toBe(false);
    const short = auto();
    expect(short.consider(60, 1e6, 100, 10_000)).toBe(false);
    expect(short.choice).toBe(1);
    const hot = auto();
    expect(hot.consider(60, 1e6, 10, 490)).toBe(false);
    expect(hot.choice).toBe(1);
    const blind = new AutoThreads(machine, 2, 0);
    expect(blind.consider(200, 1e6, 10, 10_000)).toBe(false);
    expect(blind.consider(300, 1e6, 10, 10_000)).toBe(true);
    expect(new AutoThreads(machine, 1, 0).choice).toBe(1);
  });
});

describe('--threads', () => {
  it('is auto, per-cpu or a number', () => {
    expect(parseThreads('auto')).toBe('auto');
    expect(parseThreads('per-cpu')).toBe('per-cpu');
    expect(parseThreads('4')).toBe(4);
    for (const bad of ['0', '-1', 'percpu', '1.5', '', '5000']) {
      expect(() => parseThreads(bad), bad).toThrow(/--threads/);
    }
  });
});
