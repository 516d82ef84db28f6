/**
 * lib/test_vmalloc.c (v6.13): kernel threads that run its cases, each in an order of its own, and
 * report as the module does. A thread is a CPU; CPUs beyond nr_threads are idle and take flushes.
 *
 * Deviations: loops and long lists are scaled, and so is the limit at which lazily freed areas are
 * purged; what Linux leaves to a work item (the purge) the freeing CPU does; figures are over all
 * threads, not per thread; cases whose allocators aren't here are refused
 * (common/vmalloc-tests.ts).
 */

import { UserError } from '../src/base/errors.ts';
import type { Cpu, Program } from '../src/cpu/cpu.ts';
import { Order } from '../src/cpu/operations.ts';
import { rcuExitIdle } from '../src/kernel/base/rcu.ts';
import { bootRcu, Rcu, type RcuImage } from '../src/kernel/base/rcu-callbacks.ts';
import { bootExecmem, type ExecmemImage, execmemBytes } from '../src/kernel/execmem/boot.ts';
import { resolveExecmemOptions } from '../src/kernel/execmem/options.ts';
import { openExecmemParts } from '../src/kernel/execmem/parts.ts';
import type { BootMemory } from '../src/memory/boot.ts';
import { type Address, toLinear } from '../src/memory/physical-address.ts';
import { Metric } from '../src/metrics/definition.ts';
import { BARRIER_BYTES, barrier } from './common/barrier.ts';
import { numberOf } from './common/values.ts';
import { TEST_VMALLOC_PARAMETERS, testVmallocReport } from './common/vmalloc-test-report.ts';
import {
  runVmallocTest,
  VMALLOC_TESTS,
  type VmallocTest,
  type VmallocTestOptions,
} from './common/vmalloc-tests.ts';
import type { BootedKernel, Workload, WorkloadContext, WorkloadPhase } from './workload.ts';

const STREAM_SIZE = 0;
const STREAM_ORDER = 1;
/** Words of a case: how often it passed, how often it failed; all threads together. */
const RESULT_BYTES = 8;
const MASK_BITS = VMALLOC_TESTS.length;

/** Plain data. */
export interface TestVmallocImage {
  readonly execmem: ExecmemImage;
  readonly rcu: RcuImage;
  readonly start: Address;
  /** Physical address: by bit of the mask. */
  readonly results: Address;
}

/** Cases of the mask, in order of their bits. */
function testsOf({ parameters }: WorkloadContext): readonly VmallocTest[] {
  const mask = numberOf(parameters, 'run_test_mask');
  if (mask >= 2 ** MASK_BITS) {
    throw new UserError(
      `run_test_mask: bit ${Math.floor(Math.log2(mask))} is no test; the last is bit ` +
        `${MASK_BITS - 1} (${VMALLOC_TESTS.at(-1)!.name})`,
    );
  }
  const tests = VMALLOC_TESTS.filter(({ bit }) => (mask & (1 << bit)) !== 0);
  const refused = tests.find((test) => test.refused !== undefined);
  if (refused !== undefined) {
    throw new UserError(
      `run_test_mask: bit ${refused.bit} (${2 ** refused.bit}, ${refused.name}) cannot run: ` +
        `${refused.refused!} here; leave it out`,
    );
  }
  return tests;
}

function threadsOf({ parameters, placement }: WorkloadContext): number {
  const threads = Math.max(1, numberOf(parameters, 'nr_threads'));
  if (threads > placement.cpus.length) {
    throw new UserError(
      `nr_threads: ${threads} threads need as many CPUs, not ${placement.cpus.length}; use ` +
        `-c ${threads}`,
    );
  }
  return threads;
}

function optionsOf({ parameters }: WorkloadContext): VmallocTestOptions {
  return {
    loops: numberOf(parameters, 'test_loop_count'),
    pages: Math.max(1, numberOf(parameters, 'nr_pages')),
    useHuge: parameters['use_huge'] === true,
    junk: numberOf(parameters, 'junk'),
    busyList: numberOf(parameters, 'busyList'),
    stream: STREAM_SIZE,
  };
}

/** Areas that a thread holds at once, and those that wait for a purge. */
function areasOf(context: WorkloadContext): number {
  const { junk, busyList } = optionsOf(context);
  const lazy = numberOf(context.parameters, 'lazyPagesMax');
  return threadsOf(context) * (2 * junk + busyList + 128) + lazy + 64;
}

function pagesBytes(context: WorkloadContext): number {
  const { junk, busyList, pages, useHuge } = optionsOf(context);
  const held = 2 * Math.max(2 * junk, busyList) + 3 * pages + 512 + (useHuge ? 2048 : 0);
  // All threads may be on one node; tables of page tables, with room for alignment.
  return threadsOf(context) * held * 4096 + (areasOf(context) / 64) * 4096 + 2 ** 22;
}

function bootTest(
  boot: BootMemory,
  context: WorkloadContext,
  kernel: BootedKernel,
): TestVmallocImage {
  const { machine, placement, parameters } = context;
  testsOf(context);
  const node = machine.nodeOfCpu[placement.cpus[0]!]!;
  const results = boot.allocateNamed('test results', node, MASK_BITS * RESULT_BYTES);
  const start = toLinear(boot.allocate(node, BARRIER_BYTES, BARRIER_BYTES));
  const rcu = bootRcu(boot, node, placement.cpus);
  const lazyPagesMax = numberOf(parameters, 'lazyPagesMax');
  const execmem = bootExecmem(boot, {
    options: resolveExecmemOptions(parameters, machine),
    map: kernel.map,
    userRoots: kernel.userRoots,
    smp: kernel.smp!,
    replicatedText: false,
    areas: areasOf(context),
    lazyPagesMax,
  });
  return { execmem, rcu, start, results };
}

/** shuffle_array: an order of the thread's own. */
function orderOf(cpu: Cpu, context: WorkloadContext): readonly number[] {
  const order = testsOf(context).map((_, index) => index);
  if (context.parameters['sequential_test_order'] === true) return order;
  for (let index = order.length - 1; index > 0; index--) {
    const other = cpu.random(STREAM_ORDER) % (index + 1);
    [order[index], order[other]] = [order[other]!, order[index]!];
  }
  return order;
}

function* thread(cpu: Cpu, image: TestVmallocImage, context: WorkloadContext): Program {
  const parts = openExecmemParts(cpu, context.machine, image.execmem);
  const { vmalloc } = parts;
  const rcu = new Rcu(image.rcu, [(at, hi, lo) => vmalloc.free(at, hi, lo)]);
  const task = context.placement.cpus.indexOf(cpu.id);
  while (!rcuExitIdle(cpu)) yield;
  const threads = threadsOf(context);
  if (task < threads) {
    yield barrier(cpu, image.start.hi, image.start.lo, threads);
    yield testFunction(cpu, image, context, { vmalloc, rcu });
  }
  yield rcu.finish(cpu);
  yield parts.smp.calls.leave(cpu);
}

/** test_func. */
function* testFunction(
  cpu: Cpu,
  image: TestVmallocImage,
  context: WorkloadContext,
  parts: Parameters<typeof runVmallocTest>[2],
): Program {
  const tests = testsOf(context);
  const options = optionsOf(context);
  const results = toLinear(image.results);
  for (const index of orderOf(cpu, context)) {
    const { bit } = tests[index]!;
    cpu.phase(index);
    for (let turn = 0; turn < numberOf(context.parameters, 'test_repeat_count'); turn++) {
      cpu.begin(Metric.VmallocTest);
      yield runVmallocTest(cpu, bit, parts, options);
      cpu.end(Metric.VmallocTest);
      const at = results.lo + bit * RESULT_BYTES + (cpu.ret === 0 ? 0 : 4);
      while (!cpu.add32(results.hi, at, 1, Order.Relaxed)) yield;
      cpu.mark();
    }
  }
  cpu.phase(tests.length);
}

function phasesOf(context: WorkloadContext): readonly WorkloadPhase[] {
  const tests = testsOf(context).map(({ name }) => ({ name: name.replace(/_test$/, '') }));
  return [...tests, { name: 'finished', warmUp: true }];
}

export const testVmalloc: Workload = {
  name: 'test_vmalloc',
  description: 'the cases of test_vmalloc.ko on all of its threads',
  source: 'lib/test_vmalloc.c, v6.13',
  parameters: TEST_VMALLOC_PARAMETERS,
  kernelOptions: ['execmem'],
  seedMoves: ['sizes and alignments of the random cases', 'order of the cases by thread'],
  phases: phasesOf,
  streams: ['size', 'order'],
  defaultMachine: 'graviton4_2p',
  defaultCpus: (_machine, parameters) => Math.max(1, Number(parameters['nr_threads'] ?? 1)),
  helperCpus: () => 0,
  runsOnX86: true,
  minimumCpus: 1,
  backedBytes: (context) =>
    execmemBytes(context.machine, areasOf(context)) + pagesBytes(context) + 8192,
  operations: (context) =>
    threadsOf(context) *
    testsOf(context).length *
    numberOf(context.parameters, 'test_repeat_count'),
  boot: bootTest,
  program: (cpu, image, context) =>
    context.placement.cpus.includes(cpu.id)
      ? thread(cpu, image as TestVmallocImage, context)
      : null,
  report: (facts, image, context) =>
    testVmallocReport(facts, context, {
      tests: testsOf(context),
      threads: threadsOf(context),
      results: (image as TestVmallocImage).results,
    }),
};
