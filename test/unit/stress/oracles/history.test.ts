/**
 * The oracle of histories over stage 2 under stress: alone, it finds what it is for; and the claim
 * that exclusion is the history of a lock, against every order of sections.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EventKind } from '../../../../src/cpu/operations.ts';
import { runSchedule } from '../../../../src/engine/explore/run-schedule.ts';
import { RandomWalk } from '../../../../src/engine/explore/strategies/random.ts';
import { MUTANTS } from '../../../../src/stress/mutants/catalogue.ts';
import { ORACLES } from '../../../../src/stress/oracles/catalogue.ts';
import { makeExclusion } from '../../../../src/stress/oracles/exclusion.ts';
import { HISTORY, makeHistory } from '../../../../src/stress/oracles/history.ts';
import type { OracleContext } from '../../../../src/stress/oracles/oracle.ts';
import { openTarget } from '../../../../src/stress/run-target.ts';
import type { StressTarget } from '../../../../src/stress/target.ts';
import { PROTOCOLS } from '../../../../src/stress/targets/protocols.ts';

function context(fail: OracleContext['fail'], cpuCount: number): OracleContext {
  return { cpuCount, isBlocked: () => false, interrupts: () => true, fail, reach: () => {} };
}

/** Does this oracle alone say something in so many random schedules? */
function speaks(target: StressTarget, schedules: number, model: 'sc' | 'tso' = 'sc'): boolean {
  const { explorer } = openTarget(target, target.usual, {
    model,
    seed: 1,
    stepLimit: 8000,
    observe: (opened) =>
      makeHistory({
        ...context((finding) => opened.fail(finding), opened.cpuCount),
        word: (hi, lo) => opened.memory.peek32(hi & 0xffff, lo),
      }),
  });
  const strategy = new RandomWalk(1);
  for (let schedule = 0; schedule < schedules; schedule++) {
    const { finding } = runSchedule(explorer, strategy, schedule);
    if (finding?.oracle === HISTORY) return true;
  }
  return false;
}

describe('histories of mappings', () => {
  it.each(['P01', 'P02', 'P05', 'P06', 'P07', 'P12', 'P20'])('tell %s alone', (id) => {
    expect(speaks(MUTANTS.find((mutant) => mutant.id === id)!.make(), 300)).toBe(true);
  });

  it.each(Object.keys(PROTOCOLS).filter((name) => name.startsWith('stage2-')))(
    'of %s are in order',
    (name) => {
      expect(speaks(PROTOCOLS[name]!(), 20, 'tso')).toBe(false);
    },
  );
});

/** Sections of one lock, each by a CPU of its own: [acquired, released] in one order of events. */
const sections = fc.shuffledSubarray([...Array(8).keys()], { minLength: 8 }).map((times) =>
  [0, 1, 2, 3].map((cpu) => {
    const [a, b] = [times[cpu * 2]!, times[cpu * 2 + 1]!];
    return { acquired: Math.min(a, b), released: Math.max(a, b), isWriter: cpu < 2 };
  }),
);

describe('exclusion', () => {
  it('speaks exactly when lock and unlock have no order', () => {
    fc.assert(
      fc.property(sections, (all) => {
        // An acquisition takes effect by `acquired`, a release not before `released`.
        const hasOrder = all.every((a, i) =>
          all.every(
            (b, j) =>
              i >= j ||
              (!a.isWriter && !b.isWriter) ||
              a.released < b.acquired ||
              b.released < a.acquired,
          ),
        );
        let spoke = false;
        const oracle = makeExclusion(context(() => (spoke = true), all.length));
        for (let time = 0; time < 8; time++) {
          const cpu = all.findIndex((s) => s.acquired === time || s.released === time);
          const { isWriter, acquired } = all[cpu]!;
          const write = acquired === time ? EventKind.LockAcquired : EventKind.LockReleased;
          oracle.event!(cpu, isWriter ? write : write + 2, 0, 64);
        }
        expect(spoke).toBe(!hasOrder);
      }),
    );
  });
});

describe('the list of oracles', () => {
  it('says of each in one line what it is, and where it listens', () => {
    for (const { name, description, engines } of ORACLES) {
      expect(name).toMatch(/^[a-z-]+$/);
      expect(description.length).toBeGreaterThan(20);
      expect(description.length).toBeLessThanOrEqual(100);
      expect(engines).toContain('explore');
    }
    expect(new Set(ORACLES.map(({ name }) => name)).size).toBe(ORACLES.length);
  });
});
