/**
 * What a second worker thread gains, beside what a second process gains in the same minutes; and
 * whether `--threads auto` finds the best number. Whole commands are timed, less the time of the
 * same command with next to nothing to do, so start and boot don't count.
 */

import type { Benchmark, Measured } from './benchmark.ts';
import { ownWorkload, timeRun } from './command-line.ts';
import { median } from './stopwatch.ts';

interface Load {
  readonly name: string;
  readonly description: string;
  /** Words of the command; `amount` operations per CPU. */
  words(amount: number): readonly string[];
  /** About 4 s on one worker. */
  readonly amount: number;
}

const SPREAD = ['-c', '64', 'placement=spread', '--json', '--quiet'];

const LOADS: readonly Load[] = [
  {
    name: 'manyLocks',
    description: 'lock_contention with 64 locks of their own CPUs, 64 CPUs on 2 nodes',
    words: (amount) => [
      ...['run', 'lock_contention', 'locks=64', 'pick=own', `acquisitions=${amount}`],
      ...SPREAD,
    ],
    amount: 20_000,
  },
  {
    name: 'randomLocks',
    description: 'lock_contention with 256 locks, any CPU any lock, 64 CPUs on 2 nodes',
    words: (amount) => [
      ...['run', 'lock_contention', 'locks=256', 'pick=random', `acquisitions=${amount}`],
      ...SPREAD,
    ],
    amount: 3000,
  },
  {
    name: 'chase',
    description: 'random loads of private 32 MiB, 64 CPUs on 2 nodes',
    words: (amount) => ['run', ownWorkload('private-chase'), `reads=${amount}`, ...SPREAD],
    amount: 20_000,
  },
  {
    name: 'oneLock',
    description: 'lock_contention with one lock, 64 CPUs on 2 nodes',
    words: (amount) => ['run', 'lock_contention', `acquisitions=${amount}`, ...SPREAD],
    amount: 600,
  },
];

function loadNamed(name: string): Load {
  return LOADS.find((load) => load.name === name)!;
}

async function startSeconds(load: Load): Promise<number> {
  return (await timeRun([...load.words(1), '--threads', '1'])).seconds;
}

async function withThreads(load: Load, threads: string, amount: number): Promise<number> {
  return (await timeRun([...load.words(amount), '--threads', threads])).seconds;
}

/** The amount that keeps one worker busy for about so long on this host. */
async function amountFor(load: Load, seconds: number, start: number): Promise<number> {
  const pilot = Math.ceil(load.amount / 10);
  const took = Math.max(0.01, (await withThreads(load, '1', pilot)) - start);
  return Math.ceil((pilot * seconds) / took);
}

async function secondWorker(load: Load, rounds: number): Promise<Measured> {
  const start = await startSeconds(load);
  const amount = await amountFor(load, 3.5, start);
  const workers: number[] = [];
  const processes: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const alone = (await withThreads(load, '1', amount)) - start;
    const two = (await withThreads(load, '2', amount)) - start;
    const pair = await Promise.all([1, 2].map(() => withThreads(load, '1', amount)));
    workers.push(alone / two);
    processes.push((2 * alone) / (Math.max(...pair) - start));
  }
  const note = `median of ${rounds} round${rounds === 1 ? '' : 's'} of about 3.5 s`;
  return { value: median(workers), bound: median(processes), note };
}

function secondWorkerBenchmark(name: string, rounds: number, long: boolean): Benchmark {
  const load = loadNamed(name);
  return {
    name: `secondWorker.${name}${rounds > 1 ? `.${rounds}` : ''}`,
    description: `${load.description}: gain of --threads 2 over --threads 1`,
    boundIs: 'what two processes side by side gain',
    unit: 'x',
    goal: { of: 'ratio', atLeast: 0.85 },
    long,
    measure: () => secondWorker(load, rounds),
  };
}

/** Alternating runs; value = time of the best fixed number over time of auto. */
async function autoThreads(load: Load, rounds: number): Promise<Measured> {
  const start = await startSeconds(load);
  const amount = await amountFor(load, 4, start);
  const seconds: Record<string, number[]> = { auto: [], 1: [], 2: [] };
  for (let round = 0; round < rounds; round++) {
    for (const threads of ['auto', '1', '2']) {
      seconds[threads]!.push(await withThreads(load, threads, amount));
    }
  }
  const fixed = [median(seconds['1']!), median(seconds['2']!)];
  const best = fixed[0]! <= fixed[1]! ? '1' : '2';
  const pairs = seconds['auto']!.map((auto, round) => seconds[best]![round]! / auto);
  const note = `best of fixed: --threads ${best}; median of ${rounds} pairs`;
  return { value: median(pairs), bound: 1, note };
}

function autoBenchmark(name: string): Benchmark {
  const load = loadNamed(name);
  return {
    name: `threadsAuto.${name}`,
    description: `${load.description}: speed of --threads auto over the best fixed number`,
    boundIs: 'the best fixed number: 1',
    unit: 'x',
    goal: { of: 'value', atLeast: 0.95 },
    long: true,
    measure: () => autoThreads(load, 10),
  };
}

export const WORKER_BENCHMARKS: readonly Benchmark[] = [
  secondWorkerBenchmark('manyLocks', 1, false),
  secondWorkerBenchmark('chase', 1, false),
  ...['manyLocks', 'randomLocks', 'chase'].map((name) => secondWorkerBenchmark(name, 5, true)),
  ...['manyLocks', 'chase', 'oneLock'].map(autoBenchmark),
];
