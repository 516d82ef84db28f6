/**
 * Promises: the KVM selftests run to their end on the virtual engine with all checkers on, take the
 * faults that the kernel takes in each phase, and print the tests' own words.
 */

import { describe, expect, it } from 'vitest';
import { Metric } from '../../../src/metrics/definition.ts';
import { accessTrackingPerfTest } from '../../../workloads/access_tracking_perf_test.ts';
import { demandPagingTest } from '../../../workloads/demand_paging_test.ts';
import { dirtyLogPerfTest } from '../../../workloads/dirty_log_perf_test.ts';
import { kvmPageTableTest } from '../../../workloads/kvm_page_table_test.ts';
import { loadWorkload } from '../../../workloads/registry.ts';
import { phasesOf, type Workload } from '../../../workloads/workload.ts';
import { runVirtually, type VirtualRun } from './virtual-harness.ts';

/** Exits of the guest in a phase. */
function faultsIn(run: VirtualRun, workload: Workload, phase: string): number {
  const index = phasesOf(workload, run.context).findIndex(({ name }) => name === phase);
  expect(index).toBeGreaterThanOrEqual(0);
  return run.facts.latency(Metric.FaultService, null, index)?.count ?? 0;
}

describe('dirty_log_perf_test', () => {
  const run = (words: string): VirtualRun => runVirtually(dirtyLogPerfTest, `v=2 b=256K ${words}`);
  const pages = 2 * 64;

  it('takes write-protection faults from iteration 2 on, as manual protection means', () => {
    const result = run('i=3');
    const counts = ['populate', 'dirty-1', 'dirty-2', 'dirty-3'].map((phase) =>
      faultsIn(result, dirtyLogPerfTest, phase),
    );
    expect(counts).toEqual([pages, 0, pages, pages]);
    expect(result.report).toMatch(/^Test iterations: 3$/m);
    expect(result.report).toMatch(/^Populate memory time: 0\.\d{9}s$/m);
    expect(result.report).toMatch(/^Enabling dirty logging time: 0\.\d{9}s$/m);
    expect(result.report).toMatch(/^Iteration 2 dirty memory time: 0\.\d{9}s$/m);
    expect(result.report).toMatch(/^Iteration 3 clear dirty log time: 0\.\d{9}s$/m);
    expect(result.report).toMatch(
      /^Get dirty log over 3 iterations took 0\.\d{9}s\. \(Avg 0\.\d{9}s\/iteration\)$/m,
    );
    expect(result.report).toContain('memory is scaled: perVcpuMemory=256K');
  });

  it('-g protects at once and never clears by ioctl', () => {
    const result = run('g=on');
    expect(faultsIn(result, dirtyLogPerfTest, 'dirty-1')).toBe(pages);
    expect(result.report).not.toContain('clear dirty log');
    expect(result.facts.latency(Metric.DirtyLogClear, null, null)).toBeNull();
  });

  it('splits blocks in iteration 2 of THP-backed memory and clears in chunks', () => {
    const result = runVirtually(dirtyLogPerfTest, 'v=2 b=2M s=anonymous_thp k=1M');
    expect(result.facts.counters['stage2.splits']).toBe(2);
    expect(faultsIn(result, dirtyLogPerfTest, 'dirty-2')).toBe(2 * 512);
    expect(result.facts.latency(Metric.DirtyLogClear, null, null)?.count).toBe(2 * 4);
  });

  it('goes on while logging is disabled (-e), in several memslots (-x), at random (-a)', () => {
    const result = run('e=on x=4 a=on w=50');
    expect(result.outcome.ending.kind).toBe('finished');
    expect(result.facts.latency(Metric.DirtyLogGet, null, null)?.count).toBe(2 * 4);
  });

  it('runs guests with 48-bit addresses and with 64K pages', () => {
    expect(run('m=2').report).toContain('Testing guest mode: PA-bits:48,  VA-bits:48,  4K pages');
    expect(faultsIn(run('m=P40V48_64K'), dirtyLogPerfTest, 'dirty-2')).toBe(2 * 4);
  });

  it('lives with MMU notifiers that fire', () => {
    for (const notifier of ['migrate', 'numa-balancing']) {
      const result = run(`notifier=${notifier} notifierRate=1000000`);
      expect(result.facts.counters['notifier.fired']).toBeGreaterThan(0);
    }
  });

  it('refuses memory that does not divide, and too few CPUs', () => {
    expect(() => run('x=3')).toThrow(/cannot be evenly divided into slots/);
    expect(() => run('k=4K')).toThrow(/clearChunk/);
    expect(() => run('-c2')).toThrow(/needs 3 CPUs/);
  });
});

describe('demand_paging_test', () => {
  const words = 'v=2 b=256K';

  it('brings pages without userfaultfd', () => {
    const { facts, report } = runVirtually(demandPagingTest, words);
    expect(facts.counters['uffd.messages']).toBe(0);
    expect(report).toMatch(/^Total guest execution time:\t0\.\d{9}s$/m);
    expect(report).toMatch(/^Per-vcpu demand paging rate:\t\d+\.\d{6} pgs\/sec\/vcpu$/m);
    expect(report).toMatch(/^Overall demand paging rate:\t\d+\.\d{6} pgs\/sec$/m);
  });

  for (const mode of ['u=MISSING', 'u=MINOR s=shmem', 'u=MISSING a=on r=2', 'u=MISSING o=on']) {
    it(`brings every page by one message, ${mode}`, () => {
      const { facts } = runVirtually(demandPagingTest, `${words} ${mode}`);
      const pages = 2 * 64;
      expect(facts.latency(Metric.FaultUserfault, null, null)!.count).toBeGreaterThanOrEqual(pages);
      expect(facts.counters['uffd.messages']).toBeGreaterThanOrEqual(pages);
    });
  }

  it('gives the CPUs to vCPUs and readers alike', () => {
    const { context } = runVirtually(demandPagingTest, 'b=64K u=MISSING -c8');
    expect(context.parameters['vcpus']).toBe(3);
  });

  it('refuses MINOR on private memory, in the words of the test', () => {
    expect(() => runVirtually(demandPagingTest, `${words} u=MINOR`)).toThrow(
      /userfaultfd MINOR mode requires shared memory; pick a different -s/,
    );
  });
});

describe('access_tracking_perf_test', () => {
  it('takes access-flag faults on idle pages where hardware does not set the flag', () => {
    const result = runVirtually(accessTrackingPerfTest, 'v=2 b=8M', 'stingray_a72_8c');
    const faults = faultsIn(result, accessTrackingPerfTest, 'write-idle');
    expect(faults).toBeGreaterThan(2 * 500);
    expect(result.facts.counters['fault.accessFlag']).toBeGreaterThanOrEqual(faults);
    expect(faultsIn(result, accessTrackingPerfTest, 'read-populated')).toBe(0);
    expect(result.report).toMatch(/^Writing to populated memory {3}: 0\.\d{9}s$/m);
    expect(result.report).toMatch(/^Mark memory idle {14}: 0\.\d{9}s$/m);
  });

  it('warns when a TLB keeps most of a small region', () => {
    const { report } = runVirtually(accessTrackingPerfTest, 'v=1 b=512K');
    expect(report).toContain('WARNING: vCPU0: Too many pages still idle (128 out of 128)');
  });
});

describe('memslot_modification_stress_test', () => {
  for (const zap of ['immediate', 'deferred-root']) {
    it(`adds and deletes the memslot under running vCPUs, zap=${zap}`, async () => {
      const memslotTest = await loadWorkload('memslot_modification_stress_test');
      const words = `v=3 b=256K i=4 d=2us zap=${zap}`;
      const { facts, report } = runVirtually(memslotTest, words);
      expect(facts.latency(Metric.MemslotModify, null, null)?.count).toBe(2 * 4);
      expect(report).toMatch(
        /^Finished creating vCPUs\nStarted all vCPUs\nAll vCPU threads joined$/m,
      );
    });
  }
});

describe('kvm_page_table_test', () => {
  it('protects pages when logging starts and relaxes them under all vCPUs', () => {
    const result = runVirtually(kvmPageTableTest, 'v=3 b=256K');
    expect(faultsIn(result, kvmPageTableTest, 'update-mappings')).toBeGreaterThanOrEqual(64);
    expect(result.report).toMatch(/^KVM_CREATE_MAPPINGS: total execution time: 0\.\d{9}s$/m);
    expect(result.report).toMatch(/^KVM_UPDATE_MAPPINGS: total execution time: 0\.\d{9}s$/m);
    expect(result.report).toMatch(/^KVM_ADJUST_MAPPINGS: total execution time: 0\.\d{9}s$/m);
    expect(result.report).toContain('Testing memory size(aligned): 0x40000');
  });

  for (const backing of ['anonymous_thp', 'anonymous_hugetlb']) {
    it(`splits blocks and rebuilds them, s=${backing}`, () => {
      const { facts } = runVirtually(kvmPageTableTest, `v=3 b=3M s=${backing}`);
      expect(facts.counters['stage2.splits']).toBe(2);
      expect(facts.counters['stage2.promoted']).toBe(2);
    });
  }
});
