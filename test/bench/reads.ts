/**
 * Reads of private memory: hits in 32 KiB and random reads over 1 GiB, each beside the same reads
 * of a plain array. 4 KiB pages, so that TLB, walk cache and page tables take part.
 */

import { GIB, KIB } from '../../src/base/units.ts';
import type { Cpu, Program } from '../../src/cpu/cpu.ts';
import { Order } from '../../src/cpu/operations.ts';
import type { Benchmark, Measured } from './benchmark.ts';
import { cpusOn, defaultMachine, runOnPrivateMemory } from './raw-machine.ts';
import { bareRate, Stopwatch } from './stopwatch.ts';

const SMALL_BYTES = 32 * KIB;
const PAGE_SHIFT = 12;
const LINE_SHIFT = 6;
const MILLION = 1e6;

/** The 32-bit xorshift of Marsaglia: one source of random lines for programs and bare loops. */
function next(state: number): number {
  let x = state;
  x ^= x << 13;
  x ^= x >>> 17;
  return x ^ (x << 5);
}

/** Makes a CPU's program for so many reads more; it goes on where the last one ended. */
type Reader = (cpu: Cpu) => (reads: number) => Program;

function randomReader(bytes: number): Reader {
  const lineMask = bytes / 64 - 1;
  return (cpu) => {
    let state = cpu.id + 1;
    return function* (reads) {
      for (let i = 0; i < reads; i++) {
        state = next(state);
        const address = (state & lineMask) << LINE_SHIFT;
        while (!cpu.load64(0, address, Order.Relaxed)) yield;
      }
      cpu.mark();
    };
  };
}

function orderedReader(bytes: number): Reader {
  return (cpu) => {
    let address = 0;
    return function* (reads) {
      for (let i = 0; i < reads; i++) {
        while (!cpu.load64(0, address, Order.Relaxed)) yield;
        address = (address + 8) & (bytes - 1);
      }
      cpu.mark();
    };
  };
}

/** Reads between two looks at the stopwatch: of memory that hits, of memory that doesn't. */
const SLICE_OF_HITS = 2000;
const SLICE_OF_MISSES = 50;

/** Millions of reads per second by all CPUs together; `warmUp` reads by each before. */
function measureReads(
  cpuCount: number,
  nodes: number,
  bytes: number,
  warmUp: number,
  reader: Reader,
): number {
  const machine = defaultMachine();
  const watch = new Stopwatch(cpuCount);
  const slice = bytes > SMALL_BYTES ? SLICE_OF_MISSES : SLICE_OF_HITS;
  let done = 0;
  runOnPrivateMemory({
    machine,
    cpus: cpusOn(machine, cpuCount, nodes),
    bytesPerCpu: bytes,
    pageShift: PAGE_SHIFT,
    *program(cpu): Program {
      const read = reader(cpu);
      yield read(warmUp);
      watch.start();
      while (!watch.ended) {
        const counts = watch.running;
        yield read(slice);
        if (counts) done += slice;
      }
    },
  });
  return done / watch.seconds / MILLION;
}

/** Random 8-byte reads of 32 KiB by so many CPUs, millions per second: also for growth. */
export function randomHitRate(cpuCount: number): number {
  const nodes = cpuCount === 1 ? 1 : 2;
  return measureReads(cpuCount, nodes, SMALL_BYTES, 20_000, randomReader(SMALL_BYTES));
}

export function randomReadRate(cpuCount: number, bytes: number, warmUp: number): number {
  return measureReads(cpuCount, cpuCount === 1 ? 1 : 2, bytes, warmUp, randomReader(bytes));
}

function bareHits(inOrder: boolean): number {
  const words = new Int32Array(SMALL_BYTES / 4);
  const lineMask = SMALL_BYTES / 64 - 1;
  const loop = (reads: number): number => {
    let sum = 0;
    let state = 1;
    for (let i = 0; i < reads; i++) {
      if (inOrder) state = (state + 2) & (words.length - 1);
      else state = next(state);
      sum = (sum + words[inOrder ? state : (state & lineMask) << 4]!) | 0;
    }
    return sum;
  };
  return bareRate(100 * MILLION, loop) / MILLION;
}

/** Each address depends on the value read before, as in a pointer chase. */
function bareChase(): number {
  const words = new Int32Array(GIB / 4);
  for (let i = 0; i < words.length; i += 1024) words[i] = 1;
  const loop = (reads: number): number => {
    let state = 1;
    for (let i = 0; i < reads; i++) {
      state = next(state ^ words[(state & (GIB / 64 - 1)) << 4]!) | 1;
    }
    return state;
  };
  return bareRate(1.5 * MILLION, loop) / MILLION;
}

export const privateHitsRandom: Benchmark = {
  name: 'privateHitsRandom',
  description: '1 CPU, 8-byte loads of random lines in 32 KiB, 4 KiB pages',
  boundIs: 'the same loads of a typed array',
  unit: 'M/s',
  goal: { of: 'value', atLeast: 40 },
  measure: (): Measured => ({
    value: randomHitRate(1),
    bound: bareHits(false),
  }),
};

export const privateHitsSequential: Benchmark = {
  name: 'privateHitsSequential',
  description: '1 CPU, 8-byte loads in order over 32 KiB, 4 KiB pages',
  boundIs: 'the same loads of a typed array',
  unit: 'M/s',
  goal: { of: 'value', atLeast: 100 },
  measure: (): Measured => ({
    value: measureReads(1, 1, SMALL_BYTES, 20_000, orderedReader(SMALL_BYTES)),
    bound: bareHits(true),
  }),
};

export const privateHits64Cpus: Benchmark = {
  name: 'privateHits64Cpus',
  description: '64 CPUs on 2 nodes, 8-byte loads of random lines in 32 KiB each, 4 KiB pages',
  boundIs: 'the same loads of one typed array',
  unit: 'M/s',
  goal: { of: 'value', atLeast: 40 },
  measure: (): Measured => ({
    value: randomHitRate(64),
    bound: bareHits(false),
  }),
};

export const randomReads1GiB: Benchmark = {
  name: 'randomReads1GiB',
  description: '1 CPU, 8-byte loads of random lines in 1 GiB, 4 KiB pages: TLB misses and walks',
  boundIs: 'dependent random loads of a 1 GiB typed array',
  unit: 'M/s',
  goal: { of: 'ratio', atLeast: 0.25 },
  measure: (): Measured => ({
    value: randomReadRate(1, GIB, 0.8 * MILLION),
    bound: bareChase(),
  }),
};

export const randomReads16Cpus: Benchmark = {
  name: 'randomReads16Cpus',
  description: '16 CPUs on 2 nodes, 8-byte loads of random lines in 256 MiB each, 4 KiB pages',
  boundIs: 'dependent random loads of a 1 GiB typed array',
  unit: 'M/s',
  goal: null,
  measure: (): Measured => ({
    value: randomReadRate(16, GIB / 4, 0.05 * MILLION),
    bound: bareChase(),
  }),
};
