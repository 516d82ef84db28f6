/**
 * Targets of KVM's protocols: the real code is silent and passes every branch that a pass has to
 * pass, and what breaks a rule is heard by the oracle that the target is made for.
 */

import { describe, expect, it } from 'vitest';
import type { Cpu, Program } from '../../../src/cpu/cpu.ts';
import { EventKind, Tlbi } from '../../../src/cpu/operations.ts';
import { runSchedule } from '../../../src/engine/explore/run-schedule.ts';
import { STRATEGIES, strategyOptions } from '../../../src/stress/mutants/score-strategies.ts';
import { observeExplorer } from '../../../src/stress/oracles/all.ts';
import { makeTableReach, WALKED_UNLINKED } from '../../../src/stress/oracles/table-reach.ts';
import { openTarget } from '../../../src/stress/run-target.ts';
import type { StressTarget } from '../../../src/stress/target.ts';
import { dirtyLogTarget } from '../../../src/stress/targets/dirty-log-target.ts';
import { invalidateSequenceTarget } from '../../../src/stress/targets/invalidate-target.ts';
import { memcacheTarget } from '../../../src/stress/targets/memcache-target.ts';
import { pageAllocatorTarget } from '../../../src/stress/targets/page-allocator-target.ts';
import { perVmaLockTarget } from '../../../src/stress/targets/per-vma-lock-target.ts';
import { PROTOCOLS } from '../../../src/stress/targets/protocols.ts';
import { makeUnlocked } from '../../../src/sync/unlocked.ts';

const SILENT_SCHEDULES = 60;
const EXPECTED_STEPS = 250;
const STEP_LIMIT = 20_000;

interface Run {
  readonly oracle: string;
  readonly text: string;
  readonly reached: ReadonlySet<string>;
}

/** Every strategy in turns, until something is found. */
function run(target: StressTarget, schedules: number, model: 'sc' | 'tso'): Run {
  const { explorer } = openTarget(target, target.usual, {
    model,
    seed: 1,
    stepLimit: STEP_LIMIT,
    observe: (opened) => observeExplorer(opened, target),
  });
  const strategies = STRATEGIES.map(({ make }) => make(strategyOptions(1, EXPECTED_STEPS)));
  for (let schedule = 0; schedule < schedules; schedule++) {
    const strategy = strategies[schedule % strategies.length]!;
    const { outcome, finding } = runSchedule(explorer, strategy, schedule);
    if (outcome === 'failed') {
      const { oracle, text } = finding!;
      return { oracle, text, reached: explorer.reached };
    }
  }
  return { oracle: '', text: '', reached: explorer.reached };
}

const NAMES = [
  'vmid-rollover',
  'notifier-retry',
  'notifier-remap',
  'invalidate-sequence',
  'per-vma-lock',
  'page-allocator',
  'memcache',
  'dirty-log',
  'dirty-log-lockless',
  'write-protect-lockless',
  'dirty-hardware',
  'stage2-remap',
  'stage2-collapse',
  'stage2-unmap',
  'stage2-prune',
  'stage2-meet',
  'stage2-lock-descendants',
  'stage2-relax',
  'stage2-split',
];

/** Met by one schedule in some hundreds. */
const RARE = new Set([WALKED_UNLINKED]);

describe('targets of KVM protocols', () => {
  it.each(NAMES)('%s is silent and reaches its goals', (name) => {
    const target = PROTOCOLS[name]!();
    const reached = new Set<string>();
    for (const model of ['sc', 'tso'] as const) {
      const tried = run(target, SILENT_SCHEDULES, model);
      expect(tried.oracle).toBe('');
      for (const goal of tried.reached) reached.add(goal);
    }
    const goals = target.goals.map((goal) => goal.name).filter((goal) => !RARE.has(goal));
    expect(goals.length).toBeGreaterThan(0);
    expect([...reached]).toEqual(expect.arrayContaining(goals));
  });

  const LOCAL: Readonly<Record<number, Tlbi>> = {
    [Tlbi.IpaS2E1Is]: Tlbi.IpaS2E1,
    [Tlbi.VmallE1Is]: Tlbi.VmallE1,
  };

  // biome-ignore lint/correctness/useYield: a program of no access.
  function* sayLocked(cpu: Cpu): Program {
    cpu.ret = 1;
  }

  const brokenLog = (): StressTarget =>
    dirtyLogTarget({
      name: 'broken',
      writeProtect: 'locked',
      steps: { form: (operation) => LOCAL[operation] ?? operation },
    });

  it('many faults of one block at once all end, each with a page of its own', () => {
    const target = PROTOCOLS['stage2-meet']!();
    const { oracle } = run({ ...target, usual: { cpus: 4, operations: 1 } }, 20, 'sc');
    expect(oracle).toBe('');
  });

  it('a table is walked by others, while it is out of the tree', () => {
    const reached: string[] = [];
    const reach = makeTableReach({
      cpuCount: 2,
      isBlocked: () => false,
      interrupts: () => true,
      fail: () => {},
      reach: (goal) => reached.push(goal),
    });
    reach.access!(1, 0, 0x5008, 8, false);
    reach.event!(0, EventKind.TablePageUnlinked, 0, 0x5000);
    reach.access!(0, 0, 0x5008, 8, false);
    reach.access!(1, 0, 0x6008, 8, false);
    expect(reached).toEqual([]);
    reach.access!(1, 0, 0x5008, 8, false);
    reach.event!(0, EventKind.TablePageFreed, 0, 0x5000);
    reach.access!(1, 0, 0x5008, 8, false);
    expect(reached).toEqual([WALKED_UNLINKED]);
  });

  it('a write that no dirty bitmap names is heard by the bitmap alone', () => {
    const { oracle, text } = run({ ...brokenLog(), finish() {} }, 3000, 'sc');
    expect(oracle).toBe('dirty-log');
    expect(text).toContain('no dirty bitmap names');
  });

  it.each<[string, string, () => StressTarget]>([
    ['a dirty log whose write protection is flushed on one CPU only', 'dirty-log', brokenLog],
    ['a sequence that nobody heeds', 'use-after-free', () => invalidateSequenceTarget(() => false)],
    [
      'a writer that does not mark the VMA',
      'torn-read',
      () => perVmaLockTarget({ startWrite: sayLocked }),
    ],
    ['an allocator without its zone lock', 'frames', () => pageAllocatorTarget(makeUnlocked)],
    ['caches without the zone lock', 'frames', () => memcacheTarget(makeUnlocked)],
  ])('%s is heard', (_, expected, make) => {
    const { oracle } = run(make(), 3000, 'sc');
    expect([expected, 'assertion']).toContain(oracle);
  });
});
