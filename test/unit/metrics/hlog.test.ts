/**
 * Promise: .hlog files follow the HdrHistogram log format, survive a round trip, and damage is
 * named.
 */

import { build, encodeIntoCompressedBase64 } from 'hdr-histogram-js';
import { describe, expect, it } from 'vitest';
import { UserError } from '../../../src/base/errors.ts';
import { loadHdrCodec } from '../../../src/metrics/hdr-codec.ts';
import { percentileNs } from '../../../src/metrics/histogram.ts';
import { readHlog, writeHlog } from '../../../src/metrics/hlog.ts';
import { nameHistograms } from '../../../src/metrics/naming.ts';
import { Recorder } from '../../../src/metrics/recorder.ts';
import { sampleSeed } from './sample-result.ts';

const codec = await loadHdrCodec();
const text = writeHlog([sampleSeed(7, 1), sampleSeed(8, 1)], codec);
const read = (changed: string) => readHlog(changed, 'dir/latency.hlog', codec);

describe('.hlog', () => {
  it('has one interval line per seed and tag: start = seed index, length in s, max in ms', () => {
    const lines = text.split('\n').filter((line) => line.startsWith('Tag='));
    const names = sampleSeed(7, 1).histograms.length;
    expect(lines.length).toBe(2 * names);
    const data = sampleSeed(8, 1).histograms[0]!.data;
    const ms = `0.${String(data.maxPs).padStart(9, '0')}`;
    expect(lines[names]).toMatch(`Tag=fault.service,1.000,0.012345678125,${ms},HISTFAAA`);
  });

  it('is the same text for the same run: no clock in it', () => {
    expect(writeHlog([sampleSeed(7, 1), sampleSeed(8, 1)], codec)).toBe(text);
  });

  it('gives back seeds, exact maxima and percentiles', () => {
    const [first, second] = read(text);
    expect([first!.seed, second!.seed]).toEqual([7, 8]);
    expect(first!.emulatedNs).toBe(12_345_678.125);
    const original = sampleSeed(7, 1).histograms[0]!.data;
    const back = first!.histograms[0]!.data;
    expect(back.maxPs).toBe(original.maxPs);
    expect(percentileNs(back, 'p99')).toBe(percentileNs(original, 'p99'));
  });

  it('cut off anywhere is one line with file and line', () => {
    for (let end = 200; end < text.length - 1; end += 997) {
      expect(() => read(text.slice(0, end)), `cut at ${end}`).toThrow(/^dir\/latency\.hlog:\d+: /);
      expect(() => read(text.slice(0, end)), `cut at ${end}`).toThrow(UserError);
    }
  });

  it('cut off at the end of a line is noticed too', () => {
    const lines = text.split('\n');
    for (const kept of [lines.length - 2, lines.length - 3, 10]) {
      const cut = `${lines.slice(0, kept).join('\n')}\n`;
      expect(() => read(cut)).toThrow(/dir\/latency\.hlog:\d+: the log is cut off/);
    }
    lines.splice(8, 1);
    expect(() => read(lines.join('\n'))).toThrow(/lines are missing/);
  });

  it('damaged in a line names the line', () => {
    const lines = text.split('\n');
    const at = 9;
    const damage = (change: (line: string) => string): string =>
      lines.map((line, index) => (index === at ? change(line) : line)).join('\n');
    for (const changed of [
      damage((line) => `${line.slice(0, 90)}x${line.slice(91, 200)}y${line.slice(201)}`),
      damage((line) => line.slice(0, -8)),
      damage((line) => line.replace(/,0\.00\d+,HIST/, ',9.000000000,HIST')),
      damage(() => 'rubbish'),
      damage((line) => line.replace(/HIST.*/, 'HIST')),
    ]) {
      expect(() => read(changed)).toThrow(/^dir\/latency\.hlog:10: /);
    }
  });

  it('refuses tags with commas or blanks', () => {
    const data = sampleSeed(1, 1).histograms[0]!.data;
    for (const name of ['a,b', 'a b', '']) {
      const seeds = [{ seed: 1, emulatedNs: 1, histograms: [{ name, data }] }];
      expect(() => writeHlog(seeds, codec)).toThrow(UserError);
    }
  });

  it('refuses what is no log at all', () => {
    expect(() => read('')).toThrow(/no histogram/);
    expect(() => read('hello\nworld\n')).toThrow(/latency\.hlog:1: /);
  });

  it('reads logs of other tools: any precision, no tags, intervals as replicates', () => {
    const foreign = build({ numberOfSignificantValueDigits: 2, bitBucketSize: 64 });
    for (let value = 1; value <= 1000; value++) foreign.recordValue(value * 1000);
    const line = `0.127,1.007,1.000,${encodeIntoCompressedBase64(foreign)}`;
    const log = `#[Histogram log format version 1.2]\n${line}\n${line}\n`;
    const seeds = read(log);
    expect(seeds.map(({ seed }) => seed)).toEqual([0, 1]);
    const p50 = percentileNs(seeds[0]!.histograms[0]!.data, 'p50')!;
    expect(Math.abs(p50 / 500_000 - 1)).toBeLessThan(0.01);
  });

  it('keeps the exact maximum of values above an hour', () => {
    const recorder = new Recorder({ metrics: 1, nodes: 1, phases: 1 });
    recorder.record(0, 0, 0, 5_000_000_000_000_123);
    const histograms = nameHistograms(recorder.snapshot(), [{ name: 'run' }]);
    const back = read(writeHlog([{ seed: 1, emulatedNs: 9e12, histograms }], codec));
    expect(back[0]!.histograms[0]!.data).toMatchObject({ count: 1, maxPs: 5_000_000_000_000_123 });
  });

  it('a run that recorded nothing is a legal log', () => {
    const seeds = [{ seed: 3, emulatedNs: 5, histograms: [] }];
    expect(read(writeHlog(seeds, codec))).toEqual([{ seed: 3, emulatedNs: 0, histograms: [] }]);
  });
});

describe('.hgrm', () => {
  it('is the percentile distribution in us, as standard tools plot it', () => {
    const hgrm = codec.percentileDistribution(sampleSeed(7, 1).histograms[0]!.data);
    expect(hgrm).toMatch(/^ +Value +Percentile TotalCount 1\/\(1-Percentile\)\n/);
    expect(hgrm).toMatch(/Total count {4}= +2500\]/);
    const last = hgrm
      .split('\n')
      .filter((line) => line.includes('1.000000000000'))
      .at(-1)!;
    expect(Number.parseFloat(last)).toBeGreaterThan(2);
    expect(Number.parseFloat(last)).toBeLessThan(10);
  });
});
