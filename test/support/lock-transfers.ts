/**
 * What a lock costs on the virtual engine and whom it prefers: line transfers per hand-over, per
 * read and per write, and from the order of the owners Jain's index (Jain, Chiu, Hawe 1984) and the
 * longest bypass. Costs are what more rounds, or one more step, add to a run, so that beginnings
 * and ends don't count. The order is noted beside the emulation and costs it nothing.
 */

import { assert } from '../../src/base/assert.ts';
import { Condition, Order } from '../../src/cpu/operations.ts';
import { Counter } from '../../src/metrics/definition.ts';
import type { ReadWriteLock } from '../../src/sync/lock.ts';
import { jainIndex } from '../../workloads/common/lock-report.ts';
import { type ConformanceOutcome, lockOf, type Scenario } from '../conformance/engine.ts';
import { bootWords, handOvers, onlyReaders, Word } from '../conformance/lock-scenarios.ts';
import { runScenario, type ScenarioPlace } from './virtual-scenario.ts';

const SEED = 1;

export interface HandOverFigures {
  /** Lines that a CPU received, wherever they came from, per hand-over to another CPU. */
  readonly lines: number;
  /** Of these, from the other nodes. */
  readonly remoteLines: number;
  /** Part of the hand-overs that went to another node. */
  readonly betweenNodes: number;
  /** Of the acquisitions per CPU until the first one has all of its rounds. */
  readonly jain: number;
  /** Acquisitions by others between two of one CPU, until then. */
  readonly longestBypass: number;
}

function sum(outcome: ConformanceOutcome, ...counters: readonly number[]): number {
  return counters.reduce((all, counter) => all + outcome.counter(counter), 0);
}

interface Rounds {
  readonly outcome: ConformanceOutcome;
  /** CPUs in the order in which they had the lock. */
  readonly owners: readonly number[];
  /** Hand-overs: acquisitions by another CPU than the last one. */
  readonly count: number;
}

/** Every CPU asks again and again, `rounds` and twice as many times. */
export function handOverFigures(
  lock: string,
  rounds: number,
  place: ScenarioPlace,
): HandOverFigures {
  const cpuCount = place.cpus.length;
  const run = (times: number): Rounds => {
    const owners: number[] = [];
    const entered = (cpu: number): unknown => owners.push(cpu);
    const parameters = { lock, cpuCount, rounds: times, entered };
    const outcome = runScenario(handOvers, parameters, SEED, place);
    assert(owners.length === times * cpuCount, `${lock}: ${owners.length} acquisitions`);
    const count = owners.filter((cpu, i) => i > 0 && owners[i - 1] !== cpu).length;
    return { outcome, owners, count };
  };
  const some = run(rounds);
  const more = run(2 * rounds);
  const count = Math.max(1, more.count - some.count);
  const added = (...counters: readonly number[]): number =>
    (sum(more.outcome, ...counters) - sum(some.outcome, ...counters)) / count;
  return {
    lines: added(Counter.Misses) - added(Counter.Upgrades),
    remoteLines: added(Counter.RemoteTransfers, Counter.RemoteDram),
    ...fairness(untilFirstIsDone(more.owners, 2 * rounds), place),
  };
}

function untilFirstIsDone(owners: readonly number[], rounds: number): readonly number[] {
  const had = new Map<number, number>();
  const end = owners.findIndex((cpu) => {
    const count = (had.get(cpu) ?? 0) + 1;
    had.set(cpu, count);
    return count === rounds;
  });
  assert(end >= 0, 'no CPU made its rounds');
  return owners.slice(0, end + 1);
}

/** The wait for the first acquisition, and one that doesn't end, are bypasses too. */
function fairness(
  owners: readonly number[],
  { machine, cpus }: ScenarioPlace,
): Pick<HandOverFigures, 'betweenNodes' | 'jain' | 'longestBypass'> {
  const last = new Map(cpus.map((cpu) => [cpu, -1]));
  const had = new Map(cpus.map((cpu) => [cpu, 0]));
  let longestBypass = 0;
  let handedOver = 0;
  let betweenNodes = 0;
  owners.forEach((cpu, i) => {
    longestBypass = Math.max(longestBypass, i - last.get(cpu)! - 1);
    last.set(cpu, i);
    had.set(cpu, had.get(cpu)! + 1);
    const previous = i === 0 ? cpu : owners[i - 1]!;
    if (previous !== cpu) handedOver++;
    if (machine.nodeOfCpu[previous] !== machine.nodeOfCpu[cpu]) betweenNodes++;
  });
  for (const at of last.values()) longestBypass = Math.max(longestBypass, owners.length - at - 1);
  const share = betweenNodes / Math.max(1, handedOver);
  return { betweenNodes: share, jain: jainIndex([...had.values()]), longestBypass };
}

/** Lines that a reader receives from another CPU per read, nobody writing. */
export function transfersPerRead(lock: string, rounds: number, place: ScenarioPlace): number {
  const cpuCount = place.cpus.length;
  const [some, more] = [rounds, 2 * rounds].map((times) => {
    const outcome = runScenario(onlyReaders, { lock, cpuCount, rounds: times }, SEED, place);
    return sum(outcome, Counter.LocalTransfers, Counter.RemoteTransfers);
  });
  return (more! - some!) / (rounds * cpuCount);
}

/** Reads by everybody; when all are done, one CPU writes, or does not. */
function readsThenWrite(writes: boolean): Scenario {
  return {
    boot: bootWords,
    *program(cpu, image, parameters) {
      const lock = lockOf(parameters) as ReadWriteLock;
      const { hi, lo } = image.locks[0]!;
      const done = image.words[Word.Turn]!;
      for (let i = 0; i < parameters.rounds; i++) {
        yield lock.acquireRead(cpu, hi, lo);
        cpu.compute(100_000);
        yield lock.releaseRead(cpu, hi, lo);
      }
      while (!cpu.add32(done.hi, done.lo, 1, Order.Release)) yield;
      if (cpu.lo !== 0) return;
      const all = parameters.cpuCount;
      const kind = Condition.AtLeastWrapping;
      while (!cpu.cond32(done.hi, done.lo, kind, -1, all, Order.Acquire)) yield;
      if (!writes) return;
      yield lock.acquire(cpu, hi, lo);
      yield lock.release(cpu, hi, lo);
    },
  };
}

/** Lines that one write moves, at every CPU, after everybody has read. */
export function linesOfWriteAfterReads(lock: string, rounds: number, place: ScenarioPlace): number {
  const parameters = { lock, cpuCount: place.cpus.length, rounds };
  const [without, one] = [false, true].map((writes) => {
    const outcome = runScenario(readsThenWrite(writes), parameters, SEED, place);
    return sum(outcome, Counter.Misses) - sum(outcome, Counter.Upgrades);
  });
  return one! - without!;
}
