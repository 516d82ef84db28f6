/**
 * Split page-table lock: faults count in tables that are retracted under them; every count arrives,
 * no table belongs to two pmds, and the steps that carry that show when they are replaced.
 */

import { describe, expect, it } from 'vitest';
import type { Cpu, Program } from '../../../../src/cpu/cpu.ts';
import { Order } from '../../../../src/cpu/operations.ts';
import { rcuExitIdle } from '../../../../src/kernel/base/rcu.ts';
import { bootRcu, Rcu } from '../../../../src/kernel/base/rcu-callbacks.ts';
import {
  bootPteTables,
  PteLock,
  type PteLockSteps,
  pteLockSteps,
} from '../../../../src/kernel/mm/pte-lock.ts';
import type { Address } from '../../../../src/memory/physical-address.ts';
import { makeTreiberStack } from '../../../../src/sync/treiber-stack.ts';
import { firstFailure, lines, load, raise, require, store } from '../../../support/shared-words.ts';
import { StepEngine } from '../../../support/step-engine.ts';

const CPUS = 4;
const TABLES = 3;
const ROUNDS = 10;
/** Words of a table: whose it is (pmd + 1), and what was counted in it. */
const OWNER = 64;
const COUNT = 128;

interface Totals {
  retracted: number;
}

/** Moves what was counted in a table to the sum. */
function* collect(cpu: Cpu, sum: Address, hi: number, lo: number): Program {
  while (!cpu.swap32(hi, lo + COUNT, 0, Order.Relaxed)) yield;
  const counted = cpu.lo;
  while (!cpu.add32(sum.hi, sum.lo, counted, Order.Relaxed)) yield;
}

type Change = (freeTable: FreeTable) => Partial<PteLockSteps>;
type FreeTable = (cpu: Cpu, hi: number, lo: number) => Program;

function run(seed: number, change: Change): Totals {
  const engine = new StepEngine({ cpuCount: CPUS, seed, stepLimit: 300_000 });
  const rcuImage = bootRcu(engine.boot, 0, [0, 1, 2, 3], 40_000);
  const image = bootPteTables(engine.boot, 0, TABLES);
  const stack = makeTreiberStack();
  const [head, sum, ...pmds] = lines(engine, 4);
  const totals: Totals = { retracted: 0 };
  let done = 0;

  function* freeTable(cpu: Cpu, hi: number, lo: number): Program {
    yield* store(cpu, { hi, lo: lo + OWNER }, 0);
    yield* load(cpu, { hi, lo: lo + COUNT });
    require(cpu.lo === 0, 'a table is freed with counts in it');
    yield* stack.push(cpu, head!.hi, head!.lo, hi, lo);
  }

  function* fault(cpu: Cpu, lock: PteLock, rcu: Rcu, which: number): Program {
    const pmd = pmds[which]!;
    for (;;) {
      yield* lock.lock(cpu, pmd.hi, pmd.lo);
      if (cpu.ret === 1) break;
      yield* stack.pop(cpu, head!.hi, head!.lo);
      if (cpu.ret === 0) {
        yield rcu.poll(cpu);
        continue;
      }
      const { hi, lo } = cpu;
      yield* store(cpu, { hi, lo: lo + OWNER }, which + 1);
      yield* lock.install(cpu, pmd.hi, pmd.lo, hi, lo);
      if (cpu.ret === 0) yield* freeTable(cpu, hi, lo);
    }
    const { hi, lo } = cpu;
    yield* load(cpu, { hi, lo: lo + OWNER });
    require(cpu.lo === which + 1, 'a table belongs to another pmd');
    yield* raise(cpu, { hi, lo: lo + COUNT });
    yield* lock.unlock(cpu, lo);
  }

  function* program(cpu: Cpu): Program {
    const rcu = new Rcu(rcuImage, [freeTable]);
    const lock = new PteLock(image, rcu, 0, { ...pteLockSteps, ...change(freeTable) });
    while (!rcuExitIdle(cpu)) yield;
    if (cpu.id === 0) {
      for (let i = 0; i < TABLES; i++) {
        yield* stack.push(cpu, head!.hi, head!.lo, image.hi, image.lo + i * 4096);
      }
    }
    for (let i = 0; i < ROUNDS; i++) {
      const which = (i + cpu.id) % 2;
      const pmd = pmds[which]!;
      if ((i + cpu.id) % 3 === 0) {
        yield* lock.retract(cpu, pmd.hi, pmd.lo, (self, hi, lo) => collect(self, sum!, hi, lo));
        totals.retracted += cpu.ret;
      } else {
        yield* fault(cpu, lock, rcu, which);
        done++;
      }
      yield rcu.poll(cpu);
    }
    yield rcu.finish(cpu);
  }

  engine.run(Array.from({ length: CPUS }, () => program));
  let counted = engine.peek32(sum!);
  for (let i = 0; i < TABLES; i++) counted += engine.peek32(image, i * 4096 + COUNT);
  require(counted === done, 'a count was lost');
  return totals;
}

const breaks = (change: Change) => firstFailure(300, (seed) => run(seed, change));

describe('split page-table lock', () => {
  it('keeps faults and the retraction of tables apart', () => {
    let retracted = 0;
    for (let seed = 0; seed < 100; seed++) retracted += run(seed, () => ({})).retracted;
    expect(retracted).toBeGreaterThan(100);
  });

  it('is broken by a walker that does not look at the pmd again', () => {
    const recheck: PteLockSteps['recheck'] = function* (cpu, pmdHi, pmdLo) {
      yield* load(cpu, { hi: pmdHi, lo: pmdLo });
      cpu.ret = 1;
    };
    expect(breaks(() => ({ recheck }))).not.toBeNull();
  });

  it('is broken by a table that is freed at once, with its lock', () => {
    const atOnce: Change = (freeTable) => ({
      free: (cpu, _rcu, _headHi, _headLo, _id, hi, lo) => freeTable(cpu, hi, lo),
    });
    expect(breaks(atOnce)).not.toBeNull();
  });
});
