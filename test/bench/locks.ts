/**
 * Lines that CPUs take from each other: bare transactions, and locks of the registry, where every
 * transfer of the lock word, the queue nodes and the protected line is emulated.
 *
 * The bound is the least that a line transaction costs any emulator of this shape: the program is
 * resumed once and a word changes.
 */

import { LINE_BYTES, MIB } from '../../src/base/units.ts';
import type { Cpu, Program } from '../../src/cpu/cpu.ts';
import { Order } from '../../src/cpu/operations.ts';
import { type Address, toLinear } from '../../src/memory/physical-address.ts';
import { makeLock } from '../../src/sync/registry.ts';
import type { Benchmark, Measured } from './benchmark.ts';
import { cpusOn, defaultMachine, runRaw } from './raw-machine.ts';
import { bareRate, Stopwatch } from './stopwatch.ts';

const MILLION = 1e6;
const CPUS = 16;
const BOUND = 'one resume of a generator and one typed-array addition per line transaction';

interface Contended {
  readonly perSecond: number;
  /** Requests served by homes, per operation. */
  readonly transactions: number;
}

type Operation = (cpu: Cpu, shared: Address) => Program;

/** Operations by all CPUs, `warmUp` by each before the measured ones. */
function contend(
  cpuCount: number,
  nodes: number,
  warmUp: number,
  bytes: number,
  operation: Operation,
): Contended {
  const machine = defaultMachine();
  const cpus = cpusOn(machine, cpuCount, nodes);
  const watch = new Stopwatch(cpuCount);
  let counted = 0;
  let all = 0;
  const result = runRaw<Address>({
    machine,
    cpus,
    backedBytes: MIB + 2 * bytes,
    boot: (memory) => toLinear(memory.allocate(0, bytes, 2 * LINE_BYTES)),
    *program(cpu, shared): Program {
      for (let i = 0; i < warmUp; i++, all++) yield operation(cpu, shared);
      watch.start();
      for (; !watch.ended; all++) {
        yield operation(cpu, shared);
        if (watch.running) counted++;
        cpu.mark();
      }
    },
  });
  return { perSecond: counted / watch.seconds, transactions: result.transactions / all };
}

function lockRate(name: string, nodes: number, cpuCount: number): Contended {
  const lock = makeLock(name);
  const data = Math.ceil(lock.bytes / LINE_BYTES + 1) * LINE_BYTES;
  return contend(cpuCount, nodes, 50, data + LINE_BYTES, function* (cpu, { hi, lo }) {
    yield lock.acquire(cpu, hi, lo);
    while (!cpu.load32(hi, lo + data, Order.Relaxed)) yield;
    const value = cpu.lo + 1;
    while (!cpu.store32(hi, lo + data, value, Order.Relaxed)) yield;
    yield lock.release(cpu, hi, lo);
  });
}

/** Acquisitions per second, in millions: also for growth. */
export function mcsRate(cpuCount: number): number {
  return lockRate('mcs', 2, cpuCount).perSecond / MILLION;
}

function lockBenchmark(name: string, nodes: number, goal: number | null): Benchmark {
  return {
    name: nodes === 1 ? name : `${name}${nodes}Nodes`,
    description: `${name} lock, ${CPUS} CPUs, nodes: ${nodes}, no think time`,
    boundIs: BOUND,
    unit: 'M acquisitions/s',
    goal: goal === null ? null : { of: 'value', atLeast: goal },
    measure: (): Measured => {
      const { perSecond, transactions } = lockRate(name, nodes, CPUS);
      return {
        value: perSecond / MILLION,
        bound: bareGenerators() / transactions / MILLION,
        note: `${transactions.toFixed(1)} line transactions each`,
      };
    },
  };
}

export const mcs = lockBenchmark('mcs', 1, 0.35);
export const mcs2Nodes = lockBenchmark('mcs', 2, null);
export const ticket = lockBenchmark('ticket', 1, 0.15);
export const ticket2Nodes = lockBenchmark('ticket', 2, null);

export const lineTransactions: Benchmark = {
  name: 'lineTransactions',
  description: '16 CPUs on 1 node, atomic additions to 64 shared lines in turn',
  boundIs: BOUND,
  unit: 'M/s',
  goal: { of: 'value', atLeast: 3 },
  measure: (): Measured => {
    const lines = 64;
    const contended = contend(CPUS, 1, 20, lines * LINE_BYTES, function* (cpu, { hi, lo }) {
      const first = cpu.id * 4;
      for (let line = 0; line < lines; line++) {
        const at = lo + ((first + line) % lines) * LINE_BYTES;
        while (!cpu.add32(hi, at, 1, Order.Relaxed)) yield;
      }
    });
    return {
      value: (contended.perSecond * contended.transactions) / MILLION,
      bound: bareGenerators() / MILLION,
    };
  },
};

function bareGenerators(): number {
  const words = new Int32Array(1024);
  function* adder(from: number): Generator<undefined, void> {
    for (let at = from; ; at = (at + 1) & 1023) {
      words[at]!++;
      yield;
    }
  }
  const adders = Array.from({ length: CPUS }, (_, index) => adder(index));
  return bareRate(20 * MILLION, (operations) => {
    for (let i = 0; i < operations; i++) adders[i & (CPUS - 1)]!.next();
    return words[0]!;
  });
}
