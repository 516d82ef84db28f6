/**
 * Promises: the will-it-scale workloads touch what they say, print main.c's lines, leave no frame
 * behind, in both modes and under every lock variant.
 */

import { expect, test } from 'vitest';
import { EventKind } from '../../../src/cpu/operations.ts';
import { mmap1 } from '../../../workloads/mmap1.ts';
import { pageFault1 } from '../../../workloads/page_fault1.ts';
import { pageFault2 } from '../../../workloads/page_fault2.ts';
import { pageFault3 } from '../../../workloads/page_fault3.ts';
import { makeTestMachine } from '../../support/test-machine.ts';
import { type Finished, type HarnessOptions, runOnStepEngine } from './harness.ts';

const GIB = 2 ** 30;

/** Runs with frames counted: pages without bytes that are still held at the end. */
function run(workload: typeof mmap1, options: HarnessOptions): Finished & { held: number } {
  const held = new Set<string>();
  const finished = runOnStepEngine(workload, {
    machine: makeTestMachine({ cpuCount: 3, nodeCount: 1, memoryBytesPerNode: GIB }),
    ...options,
    hooks: {
      onEvent: (cpu, kind, hi, lo) => {
        if (lo >>> 0 < cpu.backedBytes) return;
        const frame = `${hi}:${lo >>> 12}`;
        if (kind === EventKind.FrameAllocated) held.add(frame);
        if (kind === EventKind.FrameFreed) held.delete(frame);
      },
    },
  });
  return { ...finished, held: held.size };
}

const SMALL = { size: '24K', sampleTime: '1us', warmup: '1', iterations: '2' };

test.each([
  ['processes', 'per-vma'],
  ['processes', 'rwsem'],
  ['threads', 'per-vma'],
  ['threads', 'rwsem'],
])('page_fault1 with %s and %s frees everything and prints rates', (mode, mmapLock) => {
  for (let seed = 1; seed <= 4; seed++) {
    const { facts, report, held } = run(pageFault1, {
      seed,
      assignments: { ...SMALL, mode },
      extraParameters: { mmapLock },
    });
    expect(held).toBe(0);
    expect(facts.counters['minor-faults']).toBeGreaterThanOrEqual(3 * 6);
    expect(facts.counters['minor-faults']).toBe(facts.counters['operations']);
    const lines = report.split('\n');
    expect(lines[0]).toBe('testcase:Anonymous memory page fault');
    expect(lines[1]).toMatch(/^scaled: size 24K \(128M\), samples of 1.00 us \(1 s\), 1 warm-up/);
    expect(lines.slice(2).map((line) => line.replace(/\d+/g, 'N'))).toEqual([
      'warmup',
      'min:N max:N total:N',
      'measurement',
      'min:N max:N total:N',
      'min:N max:N total:N',
      'average:N',
    ]);
  }
});

test('page_fault2 copies each page and keeps the files; page_fault3 only maps them', () => {
  for (let seed = 1; seed <= 4; seed++) {
    for (const workload of [pageFault2, pageFault3]) {
      const { held, facts } = run(workload, { seed, assignments: SMALL });
      // Six pages of each of the three files stay in the page cache.
      expect(held).toBe(18);
      expect(facts.counters['minor-faults']).toBe(facts.counters['operations']);
    }
  }
});

test('mmap1 faults never and allocates nothing', () => {
  for (const mode of ['processes', 'threads']) {
    const { held, facts } = run(mmap1, { assignments: { ...SMALL, size: '128M', mode } });
    expect(held).toBe(0);
    expect(facts.counters['minor-faults']).toBe(0);
    expect(facts.counters['pgalloc']).toBe(0);
    expect(facts.counters['operations']).toBeGreaterThan(3);
  }
});
