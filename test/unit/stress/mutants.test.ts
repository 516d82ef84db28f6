/**
 * Seeded mistakes: each is found by an oracle that is expected to, what needs a weaker memory model
 * and every control stays silent. A short form of `npm run mutants`, which does this with many
 * seeds and every strategy.
 */

import { describe, expect, it } from 'vitest';
import { runSchedule } from '../../../src/engine/explore/run-schedule.ts';
import type { Mutant } from '../../../src/stress/mutant.ts';
import { CONTROLS, MUTANTS } from '../../../src/stress/mutants/catalogue.ts';
import { measure } from '../../../src/stress/mutants/score-performance.ts';
import { STRATEGIES, strategyOptions } from '../../../src/stress/mutants/score-strategies.ts';
import { observeExplorer } from '../../../src/stress/oracles/all.ts';
import { ORACLE_NAMES } from '../../../src/stress/oracles/catalogue.ts';
import { openTarget } from '../../../src/stress/run-target.ts';

const EXPECTED_STEPS = 200;
const KILL_SCHEDULES = 1500;
const SILENT_SCHEDULES = 100;
/** Long schedules get fewer. */
const SILENT_STEPS = 60_000;

/** What the first failing schedule says: an oracle's name, or ''. */
function firstFinding(mutant: Mutant, schedules: number, stepsMax = Infinity): string {
  const target = mutant.make();
  const { explorer } = openTarget(target, target.usual, {
    model: mutant.model === 'sc' ? 'sc' : 'tso',
    seed: 1,
    stepLimit: 8000,
    observe: (opened) => observeExplorer(opened, target),
  });
  const strategies = STRATEGIES.map(({ make }) => make(strategyOptions(1, EXPECTED_STEPS)));
  let stepsDone = 0;
  for (let schedule = 0; schedule < schedules && stepsDone < stepsMax; schedule++) {
    for (const strategy of strategies) {
      const { outcome, finding, steps } = runSchedule(explorer, strategy, schedule);
      stepsDone += steps;
      if (outcome === 'failed') return finding!.oracle;
    }
  }
  return '';
}

describe('mutants', () => {
  const here = MUTANTS.filter(({ notHere }) => notHere === undefined);

  it.each(here.filter(({ oracles }) => oracles.length > 0))('$id $name is found', (mutant) => {
    expect(mutant.oracles).toContain(firstFinding(mutant, KILL_SCHEDULES));
  });

  it.each([...here.filter(({ oracles }) => oracles.length === 0), ...CONTROLS])(
    '$id $name is silent',
    (mutant) => {
      expect(firstFinding(mutant, SILENT_SCHEDULES, SILENT_STEPS)).toBe('');
    },
  );

  const measured = here.flatMap(({ id, name, measured }) =>
    measured ? { id, name, measured } : [],
  );

  it.each(measured)('$id $name shows in its figure', ({ measured }) => {
    expect(measure(measured, 1, 0).verdict).toBe('killed');
  });

  it('have an id each, and expect oracles that exist', () => {
    const ids = [...MUTANTS, ...CONTROLS].map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    for (const { oracles } of MUTANTS) {
      for (const oracle of oracles) expect(ORACLE_NAMES).toContain(oracle);
    }
  });
});
