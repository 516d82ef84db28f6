/**
 * Promise: the report says what the run was, aligned, in one unit per metric, within the width.
 */

import { describe, expect, it } from 'vitest';
import { mergeSeeds } from '../../../src/metrics/naming.ts';
import { renderRun } from '../../../src/report/run-report.ts';
import { countersTable, estimatesLines, hotLinesTable } from '../../../src/report/sections.ts';
import { bar } from '../../../src/report/sketch.ts';
import { percent } from '../../../src/report/table.ts';
import { sampleResult, sampleSeed } from '../metrics/sample-result.ts';

const LOOK = { width: 100, color: false, unicode: true };
const seeds = [sampleSeed(1, 1), sampleSeed(2, 1)];
const result = sampleResult(seeds, 'c'.repeat(64));
const merged = mergeSeeds(seeds);
const lines = (look: typeof LOOK) => renderRun(result, merged, look).split('\n');

describe('report of a run', () => {
  it('first says workload, machine, CPUs and seed, last emulated time, seed and digest', () => {
    const [title, placement, facts] = lines(LOOK);
    expect(title).toBe('dirty_log_perf_test on ampere_altra_1p_q80, 4 CPUs');
    expect(placement).toBe('node 0: CPUs 0-2; helpers on CPU 3');
    expect(facts).toContain('seed 1-2, engine virtual, like v6.13');
    expect(lines(LOOK).at(-2)).toBe(`12.3 ms emulated, seed 1-2, digest ${'c'.repeat(64)}`);
  });

  it('has a row per metric and per node, right-aligned, one unit per metric', () => {
    const start = lines(LOOK).findIndex((line) => line.startsWith('latency'));
    const table = lines(LOOK).slice(start, start + 10);
    expect(table[1]).toMatch(/^fault\.service +us +5,000 +2\.00 +5\.75 /);
    expect(table[2]).toMatch(/^ {2}@node0 +us +2,500 /);
    expect(table[7]).toMatch(/^fault\.walk +ns +1,666 +300 /);
    const ends = table.slice(1, 10).map((line) => line.indexOf(' ', line.search(/,|8\d\d /)));
    expect(new Set(ends).size).toBe(1);
  });

  it('says - and why for percentiles with too few samples beyond', () => {
    const text = renderRun(result, merged, LOOK);
    expect(text).toMatch(/fault\.service .* - +- /);
    expect(text).toContain('-: fewer than 10 samples beyond that percentile');
  });

  it('keeps within the width from 72 columns on, sketches going first', () => {
    for (const width of [72, 80, 100, 140]) {
      const long = lines({ ...LOOK, width }).filter((line) => [...line].length > width);
      expect(long.filter((line) => !line.includes('digest'))).toEqual([]);
    }
    expect(renderRun(result, merged, LOOK)).toMatch(/[\u2581-\u2588]{3}/);
  });

  it('is pure ASCII where the locale is not UTF-8, and has no escapes without colour', () => {
    const text = renderRun(result, merged, { ...LOOK, unicode: false });
    expect(text).toMatch(/^[\n\x20-\x7e]*$/);
    expect(renderRun(result, merged, { ...LOOK, color: true })).toContain('\u001b[1m');
  });

  it('needs no histograms: the table stands without sketches', () => {
    expect(renderRun(result, [], LOOK)).not.toMatch(/shape/);
  });

  it('says a deadlock at the top, with who waits for what', () => {
    const stall = {
      kind: 'deadlock',
      seed: 2,
      atNs: 1500,
      report: ['CPU 1 waits for kvm->mmu_lock'],
    };
    const text = renderRun({ ...result, stall } as typeof result, [], LOOK);
    expect(text).toContain('DEADLOCK of the emulated program at 1.50 us, seed 2:\n  CPU 1 waits');
  });
});

describe('sections', () => {
  it('hot lines are sorted by transfers and leave out what never moved', () => {
    const table = hotLinesTable(result.hotLines, LOOK);
    expect(table[1]).toMatch(/^kvm->mmu_lock +6,234 +5,000 +1,234 +98\.1 %/);
    expect(table.join('\n')).not.toContain('cold');
    expect(hotLinesTable([], LOOK)).toEqual([]);
  });

  it('counters read like perf stat and numastat, zeros left out', () => {
    const table = countersTable(result.counters, LOOK).join('\n');
    expect(table).toMatch(/1,000 {2}dTLB-load-misses +# 5\.00 per thousand accesses/);
    expect(table).toMatch(/100 {2}numa_miss +# 25\.0 % of both/);
    expect(table).not.toContain('dsb');
  });

  it('estimates: how many of how many, and which, wrapped', () => {
    expect(estimatesLines(result.estimates, LOOK)).toEqual([
      '2 of 41 parameters used in this run are estimates: costs.faultDecode, latency.walkCache',
    ]);
    const names = Array.from({ length: 30 }, (_, index) => `costs.name${index}`);
    const wrapped = estimatesLines({ used: 41, names }, LOOK);
    expect(wrapped.length).toBeGreaterThan(3);
    expect(Math.max(...wrapped.map((line) => line.length))).toBeLessThanOrEqual(100);
  });

  it('bars have the length of the share', () => {
    expect(bar(0.5, 24, { ...LOOK, unicode: false })).toBe('#'.repeat(12));
    expect([...bar(0.26, 10, LOOK)].length).toBe(3);
    expect(bar(1, 10, LOOK)).toBe('\u2588'.repeat(10));
  });

  it('percentages keep one digit and never round a trace to nothing', () => {
    expect([0, 0.0001, 0.5, 1].map(percent)).toEqual(['0 %', '<0.1 %', '50.0 %', '100 %']);
  });
});
