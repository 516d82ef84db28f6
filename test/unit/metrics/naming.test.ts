/** Promise: histogram names are the documented ones and parse back to what they came from. */

import { describe, expect, it } from 'vitest';
import { COUNTERS, METRICS } from '../../../src/metrics/definition.ts';
import { histogramName, mergeSeeds, parseHistogramName } from '../../../src/metrics/naming.ts';
import { ALL } from '../../../src/metrics/recorder.ts';
import { timeParts } from '../../../src/metrics/time-parts.ts';
import { sampleSeed } from './sample-result.ts';

describe('registry of metrics and counters', () => {
  it('names each once, without characters that files or names reserve', () => {
    const names = [...METRICS, ...COUNTERS].map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const name of names) expect(name).toMatch(/^[A-Za-z][A-Za-z0-9._-]*$/);
  });

  it('makes every part a part of a metric that exists', () => {
    for (const { partOf } of METRICS) {
      if (partOf !== undefined) expect(METRICS.map(({ name }) => name)).toContain(partOf);
    }
  });
});

describe('names of histograms', () => {
  it('are metric, metric@node and metric#phase', () => {
    expect(histogramName('fault.service', ALL, '')).toBe('fault.service');
    expect(histogramName('fault.service', 0, '')).toBe('fault.service@node0');
    expect(histogramName('fault.service', ALL, 'dirty-2')).toBe('fault.service#dirty-2');
  });

  it('come apart as they were put together', () => {
    for (const [node, phase] of [
      [ALL, ''],
      [3, ''],
      [ALL, 'dirty-2'],
      [12, 'a@b'],
    ] as const) {
      const name = histogramName('lock.wait', node, phase);
      expect(parseHistogramName(name)).toEqual({ metric: 'lock.wait', node, phase });
    }
  });

  it('leave warm-up out of totals and nodes but keep it under its own name', () => {
    const { histograms } = sampleSeed(1, 1);
    const counts = Object.fromEntries(histograms.map(({ name, data }) => [name, data.count]));
    expect(counts).toMatchObject({
      'fault.service': 2500,
      'fault.service@node0': 1250,
      'fault.service@node1': 1250,
      'fault.service#populate': 500,
      'fault.service#dirty-1': 2500,
    });
  });

  it('stay in order when seeds are merged', () => {
    const names = sampleSeed(1, 1).histograms.map(({ name }) => name);
    const merged = mergeSeeds([sampleSeed(1, 1), sampleSeed(2, 1)]);
    expect(merged.filter(({ name }) => !name.includes('#')).map(({ name }) => name)).toEqual(
      names.filter((name) => !name.includes('#')),
    );
    expect(merged[0]!.data.count).toBe(5000);
  });
});

describe('where the time went', () => {
  it('divides a metric among its parts, the rest being other, from exact sums', () => {
    const parts = timeParts(sampleSeed(1, 1).histograms);
    expect(parts.map(({ name }) => name)).toEqual(['fault.lockWait', 'fault.walk', 'other']);
    expect(parts.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1, 12);
    expect(parts[0]!.share).toBeCloseTo(0.5, 3);
  });
});
