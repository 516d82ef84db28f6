/**
 * Histograms against simple references: hdr-histogram-js (percentiles, encoding) and recording
 * everything into one recorder (merging).
 */

import fc from 'fast-check';
import { HistogramLogReader } from 'hdr-histogram-js';
import { describe, expect, it } from 'vitest';
import { loadHdrCodec } from '../../src/metrics/hdr-codec.ts';
import {
  addAll,
  mergeHistograms,
  PERCENTILES,
  valueAtFractionNs,
} from '../../src/metrics/histogram.ts';
import { HIGHEST_NS } from '../../src/metrics/histogram-layout.ts';
import { readHlog, writeHlog } from '../../src/metrics/hlog.ts';
import { nameHistograms } from '../../src/metrics/naming.ts';
import { type HistogramData, Recorder } from '../../src/metrics/recorder.ts';

const codec = await loadHdrCodec();
const PHASES = [{ name: 'warm', warmUp: true }, { name: 'run-1' }];
const LAYOUT = { metrics: 3, nodes: 2, phases: 2 };

/** Values of every magnitude up to an hour, in ps. */
const valuePs = fc
  .tuple(fc.integer({ min: 0, max: 51 }), fc.double({ min: 0, max: 1, noNaN: true }))
  .map(([bits, fraction]) => Math.min(HIGHEST_NS * 1000, Math.floor(2 ** bits * (1 + fraction))));
const sample = fc.tuple(
  fc.integer({ min: 0, max: 2 }),
  fc.integer({ min: 0, max: 1 }),
  fc.integer({ min: 0, max: 1 }),
  valuePs,
);
const samples = fc.array(sample, { minLength: 1, maxLength: 300 });
type Sample = readonly [number, number, number, number];

function record(list: readonly Sample[]): HistogramData[] {
  const recorder = new Recorder(LAYOUT);
  for (const [metric, node, phase, ps] of list) recorder.record(metric, node, phase, ps);
  return recorder.snapshot();
}

function buckets(data: HistogramData): [number, number][] {
  return Array.from(data.indexes, (index, position) => [index, data.counts[position]!]);
}

describe('histograms', () => {
  it('give the percentiles of hdr-histogram-js', () => {
    fc.assert(
      fc.property(fc.array(valuePs, { minLength: 1, maxLength: 500 }), (values) => {
        const [data] = record(values.map((ps) => [0, 0, 0, ps]));
        const reference = codec.toHdr({ ...data!, indexes: new Uint32Array(), count: 0 });
        for (const ps of values) reference.recordValue(Math.floor(ps / 1000));
        for (const { numerator, denominator } of PERCENTILES) {
          const expected = reference.getValueAtPercentile((100 * numerator) / denominator);
          expect(valueAtFractionNs(data!, numerator, denominator)).toBe(expected);
        }
      }),
      { numRuns: 200 },
    );
  });

  it('merge to what one recorder would have recorded', () => {
    fc.assert(
      fc.property(fc.array(samples, { minLength: 1, maxLength: 4 }), (workers) => {
        expect(mergeHistograms(workers.flatMap(record))).toEqual(record(workers.flat()));
      }),
      { numRuns: 200 },
    );
  });

  it('merge in any order', () => {
    fc.assert(
      fc.property(samples, samples, (left, right) => {
        const ofOne = (list: readonly Sample[]) => record(list.map(([, , , ps]) => [0, 0, 0, ps]));
        const a = ofOne(left);
        const b = ofOne(right);
        expect(addAll([...a, ...b])).toEqual(addAll([...b, ...a]));
      }),
    );
  });

  it('survive encoding and decoding, bucket by bucket', () => {
    fc.assert(
      fc.property(fc.array(valuePs, { minLength: 1, maxLength: 200 }), (values) => {
        const [data] = record(values.map((ps) => [0, 0, 0, ps]));
        const decoded = codec.decode(codec.encode(data!));
        expect(buckets(decoded)).toEqual(buckets(data!));
        expect(decoded.count).toBe(data!.count);
      }),
      { numRuns: 100 },
    );
  });

  it('survive a log, and the library reads the same intervals', () => {
    const seconds = fc.integer({ min: 0, max: 10_000_000_000 });
    fc.assert(
      fc.property(fc.array(fc.tuple(samples, seconds), { minLength: 1, maxLength: 3 }), (runs) => {
        const seeds = runs.map(([list, emulatedNs], index) => ({
          seed: 41 + index,
          emulatedNs,
          histograms: nameHistograms(record(list), PHASES),
        }));
        const text = writeHlog(seeds, codec);
        const read = readHlog(text, 'test.hlog', codec);
        expect(read.map(({ seed }) => seed)).toEqual(seeds.map(({ seed }) => seed));
        const reader = new HistogramLogReader(text, 64);
        seeds.forEach(({ histograms, emulatedNs }, index) => {
          expect(read[index]!.histograms.map(({ name }) => name)).toEqual(
            histograms.map(({ name }) => name),
          );
          histograms.forEach(({ name, data }, position) => {
            const back = read[index]!.histograms[position]!.data;
            expect(buckets(back)).toEqual(buckets(data));
            expect(back).toMatchObject({ count: data.count, maxPs: data.maxPs });
            expect(read[index]!.emulatedNs).toBeCloseTo(emulatedNs, 3);
            const standard = reader.nextIntervalHistogram();
            expect(standard).toMatchObject({ tag: name, totalCount: data.count });
            expect(standard!.startTimeStampMsec).toBe(index * 1000);
          });
        });
        expect(reader.nextIntervalHistogram()).toBeNull();
      }),
      { numRuns: 30 },
    );
  });
});
