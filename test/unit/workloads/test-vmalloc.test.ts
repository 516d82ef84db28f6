/**
 * Promises: test_vmalloc runs every case of the mask on every thread, prints the module's lines,
 * fails align_shift and nothing else, gives back all memory (every checker is on), and refuses what
 * is not here by the bit of the mask.
 */

import { describe, expect, it } from 'vitest';
import { testVmalloc } from '../../../workloads/test_vmalloc.ts';
import { runVirtually } from './virtual-harness.ts';

const SMALL = 'test_loop_count=3 junk=4 busyList=6 lazyPagesMax=64';

describe('test_vmalloc', () => {
  for (const machine of ['graviton3_1p', 'xeon_skylake_6140_2p']) {
    it(`runs its cases on ${machine}`, () => {
      const words = `${SMALL} nr_threads=2 test_repeat_count=2 -c3`;
      const { report, facts } = runVirtually(testVmalloc, words, machine);
      const summaries = report.split('\n').filter((line) => line.startsWith('Summary: '));
      expect(summaries).toHaveLength(8);
      for (const line of summaries) {
        const fails = line.includes('align_shift');
        const counts = fails ? 'passed: 0 failed: 4' : 'passed: 4 failed: 0';
        expect(line).toMatch(
          new RegExp(`^Summary: \\w+ ${counts} repeat: 2 loops: 3 avg: \\d+ usec$`),
        );
      }
      expect(report).toMatch(/All test took worker0\.\.worker1 \(mean\)=\d+ cycles/);
      expect(report).toContain('-EAGAIN');
      expect(facts.counters['vmalloc.purges']).toBeGreaterThan(0);
      expect(facts.counters['rcu.callbacks']).toBe(12);
    });
  }

  it('allocates huge pages of many', () => {
    const words = `${SMALL} run_test_mask=1 nr_pages=512 use_huge=on nr_threads=0`;
    const { report } = runVirtually(testVmalloc, words, 'graviton3_1p');
    expect(report).toContain('fix_size_alloc_test passed: 1 failed: 0');
    expect(report).toContain('All test took worker0=');
  });

  it('refuses what is not here', () => {
    const run = (words: string) => (): unknown => runVirtually(testVmalloc, words);
    expect(run('run_test_mask=128')).toThrow(
      'run_test_mask: bit 7 (128, pcpu_alloc_test) cannot run: no per-CPU allocator here; ' +
        'leave it out',
    );
    expect(run('run_test_mask=4294967295')).toThrow(/bit 31 is no test; the last is bit 10/);
    expect(run('nr_threads=5 -c4')).toThrow(/5 threads need as many CPUs, not 4; use -c 5/);
  });
});
