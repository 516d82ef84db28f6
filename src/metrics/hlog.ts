/**
 * Histogram interval logs (.hlog, HdrHistogram's log format 1.3): one interval line per seed and
 * tag, so that standard tools merge the lines of a tag and numalab reads them as replicates.
 * Start = index of the seed, length = emulated seconds, Interval_Max in ms, values in ns.
 *
 * Deviations, all legal in the format: fractions are written to the picosecond, so that lengths and
 * maxima are exact; comments name the seeds and close the file, so that a file cut at a line's end
 * is noticed. Logs of other tools are read too; their intervals are numbered per tag.
 */

import { UserError } from '../base/errors.ts';
import { PS_PER_MS, PS_PER_NS, PS_PER_S } from '../base/units.ts';
import { METRICS } from './definition.ts';
import type { HdrCodec } from './hdr-codec.ts';
import { bucketIndex, HIGHEST_NS } from './histogram-layout.ts';
import { type NamedHistogram, parseHistogramName, type SeedHistograms } from './naming.ts';
import type { HistogramData } from './recorder.ts';

const FORMAT = '#[Histogram log format version 1.3]';
const OWN_LINE = '#[Latency histograms of numalab, values in ns]';
const LEGEND = '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"';

export function writeHlog(seeds: readonly SeedHistograms[], codec: HdrCodec): string {
  const lines = [
    FORMAT,
    OWN_LINE,
    `#[Seeds: ${seeds.map(({ seed }) => seed).join(' ')}]`,
    '#[BaseTime: 0.000 (seconds since epoch)]',
    '#[StartTime: 0.000 (seconds since epoch), Thu Jan 01 00:00:00 UTC 1970]',
    LEGEND,
  ];
  let intervals = 0;
  seeds.forEach(({ emulatedNs, histograms }, seedIndex) => {
    const length = fixed(Math.round(emulatedNs * PS_PER_NS), PS_PER_S, 12);
    for (const { name, data } of histograms) {
      const max = fixed(data.maxPs, PS_PER_MS, 9);
      const start = `${seedIndex}.000`;
      lines.push(`Tag=${checkTag(name)},${start},${length},${max},${codec.encode(data)}`);
      intervals++;
    }
  });
  lines.push(endLine(intervals), '');
  return lines.join('\n');
}

function endLine(intervals: number): string {
  return `#[End of log: ${intervals} intervals]`;
}

/** The format separates by commas and readers trim blanks. */
function checkTag(tag: string): string {
  if (tag === '' || /[\s,]/.test(tag)) {
    throw new UserError(
      `histogram name '${tag}': an .hlog tag has no comma or blank; rename the phase or metric`,
    );
  }
  return tag;
}

/** Picoseconds as a decimal fraction of `unitPs`, digit by digit: no rounding. */
function fixed(ps: number, unitPs: number, digits: number): string {
  return `${Math.floor(ps / unitPs)}.${String(ps % unitPs).padStart(digits, '0')}`;
}

interface Interval {
  readonly tag: string;
  /** Seed index in own files. */
  readonly start: number;
  readonly lengthNs: number;
  readonly data: HistogramData;
}

/** `file` only names the log in errors. Seeds of a log that doesn't name them are 0, 1, ... */
export function readHlog(text: string, file: string, codec: HdrCodec): SeedHistograms[] {
  const lines = text.split(/\r\n|\r|\n/);
  const own = lines.includes(OWN_LINE);
  const intervals: Interval[] = [];
  let seeds: number[] | null = null;
  let ended = false;
  lines.forEach((line, index) => {
    const fail = (what: string): never => {
      throw new UserError(`${file}:${index + 1}: ${what}; write the log again with run --out`);
    };
    if (line.startsWith('#[Seeds:')) seeds = parseSeeds(line) ?? fail('damaged list of seeds');
    else if (line.startsWith('#[End of log:')) {
      if (line !== endLine(intervals.length)) {
        fail(`${intervals.length} intervals before '${line}': lines are missing`);
      }
      ended = true;
    } else if (line.trim() !== '' && !line.startsWith('#') && !line.startsWith('"Start')) {
      intervals.push(parseInterval(line, own, codec, fail));
    }
  });
  const last = text.endsWith('\n') ? lines.length - 1 : lines.length;
  if (own && !ended) {
    throw new UserError(
      `${file}:${last}: the log is cut off after ${intervals.length} intervals;` +
        ' write it again with run --out',
    );
  }
  if (intervals.length === 0 && !own) {
    throw new UserError(`${file}:${last}: no histogram in it; give an .hlog file`);
  }
  if (own && seeds === null) {
    throw new UserError(`${file}:${last}: the list of seeds is missing; write the log again`);
  }
  return bySeed(intervals, own ? seeds : null, `${file}:${last}`);
}

function parseSeeds(line: string): number[] | null {
  const match = /^#\[Seeds:((?: \d+)+)\]$/.exec(line);
  return match === null ? null : match[1]!.trim().split(' ').map(Number);
}

function parseInterval(
  line: string,
  own: boolean,
  codec: HdrCodec,
  fail: (what: string) => never,
): Interval {
  const match =
    /^(?:Tag=([^,]+),)?(\d+(?:\.\d+)?),(\d+(?:\.\d+)?),(\d+(?:\.\d+)?),([^,\s]+)\s*$/.exec(line);
  if (match === null) return fail('no interval line (Tag=NAME,START,LENGTH,MAX,HISTOGRAM)');
  let decoded: HistogramData;
  try {
    decoded = codec.decode(match[5]!);
  } catch (error) {
    return fail(`damaged histogram (${(error as Error).message})`);
  }
  const tag = match[1] ?? 'latency';
  const maxPs = own ? parseFixed(match[4]!, PS_PER_MS, 9) : decoded.maxPs;
  if (maxPs === null || (own && !isInLastBucket(maxPs, decoded))) {
    return fail('damaged interval: its maximum is not in its histogram');
  }
  const { metric } = parseHistogramName(tag);
  return {
    tag,
    start: Number(match[2]),
    lengthNs: Number(match[3]) * (PS_PER_S / PS_PER_NS),
    data: { ...decoded, metric: METRICS.findIndex(({ name }) => name === metric), maxPs },
  };
}

/** Whatever is above the highest value was encoded as the highest value. */
function isInLastBucket(maxPs: number, { indexes }: HistogramData): boolean {
  const last = indexes.at(-1);
  const index = bucketIndex(Math.min(HIGHEST_NS, Math.floor(maxPs / PS_PER_NS)));
  return last === index;
}

function parseFixed(text: string, unitPs: number, digits: number): number | null {
  const [whole, fraction] = text.split('.');
  if (fraction?.length !== digits) return null;
  return Number(whole) * unitPs + Number(fraction);
}

function bySeed(
  intervals: readonly Interval[],
  seeds: readonly number[] | null,
  where: string,
): SeedHistograms[] {
  const bySeedIndex = new Map<number, { emulatedNs: number; histograms: NamedHistogram[] }>();
  const intervalsOfTag = new Map<string, number>();
  // A seed that recorded nothing has no line; how long it ran is then in result.json alone.
  seeds?.forEach((_, index) => {
    bySeedIndex.set(index, { emulatedNs: 0, histograms: [] });
  });
  for (const { tag, start, lengthNs, data } of intervals) {
    const rank = intervalsOfTag.get(tag) ?? 0;
    intervalsOfTag.set(tag, rank + 1);
    const index = seeds === null ? rank : start;
    if (seeds !== null && seeds[index] === undefined) {
      throw new UserError(
        `${where}: an interval of seed index ${index}, but no such seed is named`,
      );
    }
    const entry = bySeedIndex.get(index) ?? { emulatedNs: 0, histograms: [] };
    entry.emulatedNs = lengthNs;
    if (entry.histograms.some(({ name }) => name === tag)) {
      throw new UserError(`${where}: two intervals of ${tag} for seed index ${index}`);
    }
    entry.histograms.push({ name: tag, data });
    bySeedIndex.set(index, entry);
  }
  return [...bySeedIndex]
    .sort(([a], [b]) => a - b)
    .map(([index, entry]) => ({ seed: seeds?.[index] ?? index, ...entry }));
}
