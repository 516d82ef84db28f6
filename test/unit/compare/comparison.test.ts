/**
 * Promise: compared runs are paired by seed, ratios and spreads come from the pairs, equal is
 * called identical.
 */

import { describe, expect, it } from 'vitest';
import { comparisonJson } from '../../../src/compare/compare-json.ts';
import { type ComparedRun, compareRuns } from '../../../src/compare/comparison.ts';
import { renderComparison } from '../../../src/compare/render-comparison.ts';
import { sampleResult, sampleSeed } from '../metrics/sample-result.ts';

const LOOK = { width: 100, color: false, unicode: true };

function run(label: string, scales: readonly number[], digest: string, firstSeed = 1): ComparedRun {
  const seeds = scales.map((scale, index) => sampleSeed(firstSeed + index, scale));
  return { label, result: sampleResult(seeds, digest.repeat(64)), seeds };
}

const A = run('faults=exclusive', [1, 1], 'c');
const B = run('faults=parallel', [0.25, 1 / 9], 'd');
const text = (runs: readonly ComparedRun[], all = false) =>
  renderComparison(compareRuns(runs), { all }, LOOK);

describe('comparison', () => {
  it('takes ratios seed by seed: geometric mean, least and greatest', () => {
    const [ratio] = compareRuns([A, B]).ratios;
    expect(ratio!.identical).toBe(false);
    expect(ratio!.seeds).toEqual([1, 2]);
    const p50 = ratio!.metrics['fault.service']!.p50!;
    expect(p50.perSeed.map(({ seed }) => seed)).toEqual([1, 2]);
    expect(p50.min).toBeCloseTo(1 / 9, 2);
    expect(p50.max).toBeCloseTo(0.25, 2);
    expect(p50.geometricMean).toBeCloseTo(1 / 6, 2);
    expect(ratio!.emulatedTime!.geometricMean).toBeCloseTo(1 / 6, 9);
  });

  it('pairs by seed number, whatever the order, and needs no equal sets', () => {
    const shuffled = { ...B, seeds: [...B.seeds].reverse() };
    expect(compareRuns([A, shuffled]).ratios[0]!.metrics).toEqual(
      compareRuns([A, B]).ratios[0]!.metrics,
    );
    expect(compareRuns([A, run('x', [1, 1], 'e', 2)]).ratios[0]!.seeds).toEqual([2]);
    const strangers = [A, run('x', [2, 2], 'e', 50)];
    expect(compareRuns(strangers).ratios[0]!.metrics).toEqual({});
    expect(text(strangers)).toContain('no seed in common');
  });

  it('gives no ratio where a seed has too few samples for the percentile', () => {
    const { metrics } = compareRuns([A, B]).ratios[0]!;
    expect(metrics['fault.service']!.p999).toBeUndefined();
    expect(metrics['fault.service']!.p99).toBeDefined();
  });

  it('says identical for equal digests, and only then', () => {
    expect(text([A, { ...A, label: 'again' }])).toContain('A and B are identical: same digest ccc');
    expect(text([A, B])).not.toContain('identical');
    const sameHistograms = { ...A, result: sampleResult(A.seeds, 'f'.repeat(64)) };
    expect(text([A, sameHistograms])).not.toContain('identical');
  });

  it('without digests compares every bucket of every seed', () => {
    const log = { ...A, result: null };
    expect(text([log, { ...log, label: 'copy' }])).toContain('identical: same histograms');
    const other = { ...B, result: null };
    expect(compareRuns([log, other]).ratios[0]!.identical).toBe(false);
    const fewer = { ...log, seeds: log.seeds.slice(1) };
    expect(compareRuns([log, fewer]).ratios[0]!.identical).toBe(false);
  });

  it('prints percentiles side by side, ratio and spread, and where the time went', () => {
    const shown = text([A, B]);
    expect(shown).toMatch(/^A {2}faults=exclusive: .* \(baseline\)\nB {2}faults=parallel/);
    expect(shown).toMatch(/\n {2}p50 +5\.75 +\S+ +0\.16\d {2}0\.11\d\.\.0\.250\n/);
    expect(shown).toMatch(/\n {2}B\/A {2}seed 2 +0\.111 /);
    expect(shown).toMatch(/where fault\.service went +A per op +share +B per op +share\n/);
    expect(shown).toMatch(/\n {2}fault\.lockWait +2\.88 us +50\.0 % /);
    expect(shown).toContain('no verdict: the statistics');
    expect(shown).not.toContain('@node');
    expect(text([A, B], true)).toContain('fault.service@node1 (us)');
  });

  it('keeps every spread when there are many runs: more tables, not fewer columns', () => {
    const many = [A, ...['e', 'f', '1', '2', '3'].map((digest) => run(digest, [2, 3], digest))];
    const shown = text(many);
    expect(
      shown
        .match(/\n {2}p50 .*/g)!
        .join('')
        .match(/2\.00\.\.3\.00/g)!.length,
    ).toBe(10);
    expect(shown.split('\n').filter((line) => line.length > 100)).toEqual([]);
  });

  it('as JSON has schema, baseline, run objects and ratios', () => {
    const json = JSON.parse(JSON.stringify(comparisonJson(compareRuns([A, B]))));
    expect(Object.keys(json)).toEqual(['schema', 'baseline', 'runs', 'ratios']);
    expect(json.baseline).toBe('faults=exclusive');
    expect(json.runs[1]).toMatchObject({
      label: 'faults=parallel',
      workload: 'dirty_log_perf_test',
    });
    expect(json.ratios[0].metrics['fault.service'].p99.perSeed).toHaveLength(2);
  });
});
