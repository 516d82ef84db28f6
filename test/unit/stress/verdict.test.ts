/** Promise: a clean pass says how much it is worth, and when it is worth nothing. */

import { describe, expect, it } from 'vitest';
import type { CampaignResult } from '../../../src/stress/campaign.ts';
import { resolveTarget } from '../../../src/stress/registry.ts';
import { probabilityText } from '../../../src/stress/report.ts';
import { meaningOf, missProbability } from '../../../src/stress/verdict.ts';

const TICKET = { name: 'ticket', mutant: '', lock: null };
const target = await resolveTarget(TICKET);
const ALL = target.goals.map(({ name }) => name);

function resultWith(more: Partial<CampaignResult>, cpus = 3): CampaignResult {
  return {
    setup: {
      target: TICKET,
      size: { cpus, operations: 2 },
      model: 'tso',
      strategy: 'mix',
      seed: 1,
      stepLimit: 1000,
      oracles: [],
    },
    schedules: 100,
    isComplete: true,
    steps: 5000,
    stepsMax: 80,
    limited: 0,
    reached: new Set(ALL),
    byStrategy: new Map([['pct2', 50]]),
    failed: 0,
    failures: [],
    digest: '',
    seconds: 1,
    search: null,
    ...more,
  };
}

describe('a pass', () => {
  it('with every goal is a pass', () => {
    const meaning = meaningOf(resultWith({}), target);
    expect(meaning.verdict).toBe('passed');
    expect(meaning.residuals).toHaveLength(1);
    expect(meaning.residuals[0]).toMatchObject({ depth: 2, schedules: 50 });
    expect(meaning.residuals[0]!.missProbability).toBeCloseTo((1 - 1 / (6 * 80)) ** 50, 9);
  });

  it('that missed a goal in reach is vacuous, and only incomplete when time ended it', () => {
    const reached = new Set(ALL.filter((name) => name !== 'two waiters'));
    expect(meaningOf(resultWith({ reached }), target).verdict).toBe('vacuous');
    const unfinished = resultWith({ reached, isComplete: false });
    expect(meaningOf(unfinished, target).verdict).toBe('incomplete');
  });

  it('names what so few CPUs cannot reach', () => {
    const reached = new Set(ALL.filter((name) => name !== 'two waiters'));
    const meaning = meaningOf(resultWith({ reached }, 2), target);
    expect(meaning.verdict).toBe('passed');
    expect(meaning.outOfReach.map(({ name }) => name)).toEqual(['two waiters']);
  });
});

describe('the bound', () => {
  it('is that of PCT', () => {
    // 2.996 / p schedules miss with 5 % (concurrency testing handbook: 4 threads, 80 steps).
    expect(missProbability(4, 80, 2, 959)).toBeCloseTo(0.05, 2);
    expect(missProbability(4, 80, 3, 76_700)).toBeCloseTo(0.05, 2);
  });

  it.each([
    [0.5, '0.50'],
    [0.05, '5.0e-2'],
    [0, '1e-99'],
  ])('%d is printed as %s', (probability, text) => {
    expect(probabilityText(probability)).toBe(text);
  });
});
