/**
 * Parameters of test_vmalloc and what the module prints (lib/test_vmalloc.c, v6.13:
 * do_concurrent_test), in the names and the order of the module.
 */

import type { Parameter } from '../../src/base/parameters.ts';
import type { Address } from '../../src/memory/physical-address.ts';
import { Metric } from '../../src/metrics/definition.ts';
import type { ReportLine, RunFacts, WorkloadContext } from '../workload.ts';
import { numberOf } from './values.ts';
import type { VmallocTest } from './vmalloc-tests.ts';

const KERNEL_LOOPS = 1_000_000;
const KERNEL_BUSY_LIST = 15_000;
/** Pages in 32 MiB: for each bit of the number of CPUs. */
const KERNEL_JUNK = 8192;

export const TEST_VMALLOC_PARAMETERS: readonly Parameter[] = [
  {
    name: 'nr_threads',
    kind: 'count',
    default: '4',
    minimum: 0,
    maximum: 65535,
    description: 'threads that run the tests, one CPU each; 0: one, as the module has it',
  },
  {
    name: 'sequential_test_order',
    kind: 'flag',
    default: 'off',
    description: 'every thread runs the tests in the same order',
  },
  {
    name: 'run_test_mask',
    kind: 'count',
    default: '639',
    minimum: 1,
    maximum: 2 ** 32 - 1,
    description:
      '1 fix_size, 2 full_fit, 4 long_busy_list, 8 random_size, 16 fix_align, ' +
      '32 random_size_align, 64 align_shift (fails), 512 kvfree_rcu_2_arg',
  },
  {
    name: 'test_repeat_count',
    kind: 'count',
    default: '1',
    minimum: 1,
    maximum: 1_000_000,
    description: 'repetitions of every test',
  },
  {
    name: 'test_loop_count',
    kind: 'count',
    default: '20',
    minimum: 1,
    maximum: KERNEL_LOOPS,
    description: `loops of every test; the module has ${KERNEL_LOOPS}`,
  },
  {
    name: 'nr_pages',
    kind: 'count',
    default: '0',
    minimum: 0,
    maximum: 65536,
    description: 'pages of fix_size; 0: one',
  },
  {
    name: 'use_huge',
    kind: 'flag',
    default: 'off',
    description: 'fix_size by vmalloc_huge',
  },
  {
    name: 'junk',
    kind: 'count',
    default: '64',
    minimum: 1,
    maximum: 2 ** 17,
    description: `list of full_fit; the module has fls(CPUs) * ${KERNEL_JUNK}`,
  },
  {
    name: 'busyList',
    kind: 'count',
    default: '128',
    minimum: 1,
    maximum: KERNEL_BUSY_LIST,
    description: `list of long_busy_list; the module has ${KERNEL_BUSY_LIST}`,
  },
  {
    name: 'lazyPagesMax',
    kind: 'count',
    default: '1024',
    minimum: 1,
    maximum: 2 ** 20,
    description: `lazily freed pages that start a purge; Linux: fls(CPUs) * ${KERNEL_JUNK}`,
  },
];

export interface TestVmallocResult {
  readonly tests: readonly VmallocTest[];
  readonly threads: number;
  /** Physical address: passed and failed by bit. */
  readonly results: Address;
}

export function testVmallocReport(
  facts: RunFacts,
  { machine, parameters }: WorkloadContext,
  { tests, threads, results }: TestVmallocResult,
): readonly ReportLine[] {
  const repeat = numberOf(parameters, 'test_repeat_count');
  const loops = numberOf(parameters, 'test_loop_count');
  let totalNs = 0;
  const lines = tests.map(({ bit, name }, phase) => {
    const passed = facts.peek32(results.hi, results.lo + bit * 8);
    const failed = facts.peek32(results.hi, results.lo + bit * 8 + 4);
    const each = facts.latency(Metric.VmallocTest, null, phase);
    totalNs += each === null ? 0 : each.meanNs * each.count;
    const average = each === null ? 0 : Math.floor(each.meanNs / 1000);
    return (
      `Summary: ${name} passed: ${passed} failed: ${failed} repeat: ${repeat} loops: ${loops} ` +
      `avg: ${average} usec`
    );
  });
  const cycles = Math.round((totalNs / threads / 1000) * machine.clockMhz);
  const workers = threads === 1 ? 'worker0' : `worker0..worker${threads - 1} (mean)`;
  lines.push(
    `All test took ${workers}=${cycles} cycles`,
    'insmod: could not insert module test_vmalloc.ko: Resource temporarily unavailable ' +
      '(-EAGAIN, as always: nothing stays loaded)',
    `purges: ${facts.counters['vmalloc.purges'] ?? 0}, flush_tlb_kernel_range: ` +
      `${facts.counters['flush_tlb_kernel_range'] ?? 0}`,
  );
  const scaled = scaledWords(parameters, machine.cpuCount, tests);
  if (scaled.length > 0) lines.push(`scaled: ${scaled.join(', ')}`);
  return lines.map((text) => ({ text }));
}

function scaledWords(
  parameters: WorkloadContext['parameters'],
  cpus: number,
  tests: readonly VmallocTest[],
): string[] {
  const kernelLimit = (32 - Math.clz32(cpus)) * KERNEL_JUNK;
  const figures: readonly (readonly [string, number, number | null])[] = [
    ['test_loop_count', KERNEL_LOOPS, null],
    ['junk', kernelLimit, 1],
    ['busyList', KERNEL_BUSY_LIST, 2],
    ['lazyPagesMax', kernelLimit, null],
  ];
  return figures
    .filter(([name, own]) => numberOf(parameters, name) !== own)
    .filter(([, , bit]) => bit === null || tests.some((test) => test.bit === bit))
    .map(([name, own]) => `${name} ${numberOf(parameters, name)} (${own})`);
}
