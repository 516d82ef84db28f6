/**
 * Promise: a clean pass has seen the branches of the lock, and one that has not says so. A lock
 * whose slow path is cut off excludes as well as ever; only its goals tell. The schedules are those
 * of one seed, so that chance has no part in it.
 */

import { describe, expect, it } from 'vitest';
import { Order } from '../../../src/cpu/operations.ts';
import { runSchedule } from '../../../src/engine/explore/run-schedule.ts';
import type { CampaignSetup } from '../../../src/stress/campaign-task.ts';
import { openSized } from '../../../src/stress/run-schedules.ts';
import { strategyFor } from '../../../src/stress/strategies.ts';
import type { StressSize, StressTarget } from '../../../src/stress/target.ts';
import { lockTarget } from '../../../src/stress/targets/lock-target.ts';
import { type Meaning, meaningOf } from '../../../src/stress/verdict.ts';
import { cnaSteps, makeCnaLock } from '../../../src/sync/cna.ts';
import type { Lock } from '../../../src/sync/lock.ts';
import { noteAcquired } from '../../../src/sync/lock-events.ts';
import { makeMcsLock, mcsSteps } from '../../../src/sync/mcs.ts';
import { makeQueuedSpinlock, queuedSpinTryLock } from '../../../src/sync/qspinlock.ts';
import { LOCKS } from '../../../src/sync/registry.ts';

const SCHEDULES = 400;

/** What so many schedules are worth, as a campaign says it. */
function stressed(target: StressTarget, size: StressSize = target.usual): Meaning {
  const setup: CampaignSetup = {
    target: { name: target.name, mutant: '', lock: null },
    size,
    model: 'sc',
    strategy: 'mix',
    seed: 1,
    stepLimit: 20_000,
    oracles: [],
  };
  const { explorer } = openSized(target, setup, size);
  const strategy = strategyFor('mix', explorer, setup.seed);
  explorer.reached.clear();
  for (let schedule = 0; schedule < SCHEDULES; schedule++) {
    expect(runSchedule(explorer, strategy, schedule).finding).toBeNull();
  }
  const result = {
    setup,
    schedules: SCHEDULES,
    isComplete: true,
    steps: 0,
    stepsMax: 1,
    limited: 0,
    reached: explorer.reached,
    byStrategy: new Map(),
    failed: 0,
    failures: [],
    digest: '',
    seconds: 1,
    search: null,
  };
  return meaningOf(result, target);
}

function targetOf(make: () => Lock): StressTarget {
  const { name, branches = [] } = make();
  return lockTarget({ name, description: name, make, branches });
}

const missedOf = ({ missed }: Meaning): string[] => missed.map(({ name }) => name);

describe('a lock with a branch cut off', () => {
  it('whole: passes', () => {
    const meaning = stressed(targetOf(() => makeQueuedSpinlock()));
    expect(missedOf(meaning)).toEqual([]);
    expect(meaning.verdict).toBe('passed');
  });

  it('a qspinlock that spins instead of its slow path is vacuous', () => {
    const meaning = stressed(
      targetOf(() => ({
        ...makeQueuedSpinlock(),
        *acquire(cpu, hi, lo) {
          do yield* queuedSpinTryLock(cpu, hi, lo);
          while (cpu.ret === 0);
          noteAcquired(cpu, hi, lo, false);
        },
      })),
    );
    expect(meaning.verdict).toBe('vacuous');
    expect(missedOf(meaning)).toContain('pending bit taken');
    expect(missedOf(meaning)).toContain('queue joined as its head');
  });

  it('a CNA lock that leaves its node every time is vacuous', () => {
    const never = { ...cnaSteps, stayLocal: () => false };
    const meaning = stressed(targetOf(() => makeCnaLock(never)));
    expect(meaning.verdict).toBe('vacuous');
    expect(missedOf(meaning)).toContain('handed over inside the node');
    expect(missedOf(meaning)).toContain('second queue begun');
  });

  it('an MCS lock whose last owner never looks for a successor first is vacuous', () => {
    const hasty = {
      ...mcsSteps,
      // The queue is emptied here, before the step that tells of it.
      *leave(...[cpu, hi, lo, self]: Parameters<typeof mcsSteps.leave>) {
        while (!cpu.cas32(hi, lo, self, 0, Order.Release)) yield;
        if (cpu.ok) cpu.lo = 0;
        else yield* mcsSteps.leave(cpu, hi, lo, self);
      },
    };
    const meaning = stressed(targetOf(() => makeMcsLock(hasty)));
    expect(missedOf(meaning)).toEqual(['left an empty queue']);
    expect(meaning.verdict).toBe('vacuous');
  });
});

describe('goals', () => {
  it('say what two CPUs cannot reach', () => {
    const meaning = stressed(
      targetOf(() => makeQueuedSpinlock()),
      { cpus: 2, operations: 2 },
    );
    expect(meaning.verdict).toBe('passed');
    expect(meaning.outOfReach.map(({ name }) => name)).toContain('queue joined as its head');
  });

  it('are there for every lock, with numbers of their own', () => {
    const names = new Map<number, string>();
    for (const [lock, { make }] of Object.entries(LOCKS)) {
      if (lock === 'none') continue;
      const { branches = [] } = make();
      expect(branches.length, lock).toBeGreaterThan(0);
      expect(new Set(branches.map(({ name }) => name)).size, lock).toBe(branches.length);
      for (const { number, name, from, unreachable } of branches) {
        expect(names.get(number) ?? name, lock).toBe(name);
        names.set(number, name);
        expect(from.length > 0, `${lock}: ${name}`).toBe(unreachable === '');
      }
    }
  });
});
