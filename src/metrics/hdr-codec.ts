/**
 * Recorded histograms to hdr-histogram-js and back: the standard V2 compressed encoding and the
 * percentile distribution. The library is loaded on first use: it costs 76 ms.
 *
 * Always 64-bit buckets (32-bit ones wrap silently), no automatic resizing, an explicit highest
 * value (beyond it the library throws). Exact min, max and sum do not survive the encoding: decoded
 * histograms have bucket bounds and midpoints in their place.
 */

import type { JsHistogram } from 'hdr-histogram-js';
import { assert } from '../base/assert.ts';
import { PS_PER_NS } from '../base/units.ts';
import {
  bucketHighestNs,
  bucketIndex,
  bucketLowestNs,
  bucketWidthNs,
  HIGHEST_NS,
  SIGNIFICANT_DIGITS,
} from './histogram-layout.ts';
import { ALL, type HistogramData } from './recorder.ts';

export interface HdrCodec {
  /** Base64 of the compressed V2 encoding, values in ns. */
  encode(data: HistogramData): string;
  /** Throws an Error of the library on anything that isn't a whole V2 histogram. */
  decode(base64: string): HistogramData;
  /** Text of a .hgrm file, values in us. */
  percentileDistribution(data: HistogramData): string;
  /** The library's own histogram (tests). */
  toHdr(data: HistogramData): JsHistogram;
}

const NS_PER_US = 1000;
const TICKS_PER_HALF = 5;
const BUCKET_BITS = 64;

export async function loadHdrCodec(): Promise<HdrCodec> {
  const hdr = await import('hdr-histogram-js');

  const toHdr = (data: HistogramData): JsHistogram => {
    const histogram = hdr.build({
      bitBucketSize: BUCKET_BITS,
      autoResize: false,
      lowestDiscernibleValue: 1,
      highestTrackableValue: HIGHEST_NS,
      numberOfSignificantValueDigits: SIGNIFICANT_DIGITS,
      useWebAssembly: false,
    });
    assert(histogram instanceof hdr.JsHistogram, 'the library gave another kind of histogram');
    data.indexes.forEach((index, position) => {
      histogram.recordValueWithCount(bucketLowestNs(index), data.counts[position]!);
    });
    // Overflowed values rank last, in the last bucket.
    if (data.overflow > 0) histogram.recordValueWithCount(HIGHEST_NS, data.overflow);
    assert(histogram.totalCount === data.count, 'a histogram lost values on the way to HDR');
    return histogram;
  };

  return {
    toHdr,
    encode: (data) => hdr.encodeIntoCompressedBase64(toHdr(data)),
    decode: (base64) => {
      requireWhole(base64);
      const histogram = hdr.decodeFromCompressedBase64(base64, BUCKET_BITS, false, HIGHEST_NS);
      if (!(histogram instanceof hdr.JsHistogram)) throw new Error('not a plain histogram');
      return fromHdr(histogram);
    },
    percentileDistribution: (data) =>
      toHdr(data).outputPercentileDistribution(TICKS_PER_HALF, NS_PER_US),
  };
}

/** The library reads past the end of a cut text without a word, so the stated length is checked. */
function requireWhole(base64: string): void {
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64) || base64.length % 4 !== 0) {
    throw new Error('not base64, or cut off');
  }
  const bytes = Buffer.from(base64, 'base64');
  if (bytes.length < 8) throw new Error('cut off');
  const stated = bytes.readInt32BE(4);
  if (bytes.length !== 8 + stated) {
    throw new Error(`${bytes.length - 8} bytes of contents where ${stated} are stated`);
  }
}

/** By value, not by index: other tools may have used another precision or unit. */
function fromHdr(histogram: JsHistogram): HistogramData {
  const buckets = new Map<number, number>();
  let overflow = 0;
  for (let index = 0; index < histogram.countsArrayLength; index++) {
    const count = histogram.getCountAtIndex(index);
    if (count === 0) continue;
    if (!Number.isSafeInteger(count) || count < 0) throw new Error('a count is not a whole number');
    const lowest = histogram.valueFromIndex(index);
    if (lowest > HIGHEST_NS) {
      overflow += count;
      continue;
    }
    const value = Math.min(HIGHEST_NS, Math.floor(histogram.medianEquivalentValue(lowest)));
    const own = bucketIndex(value);
    buckets.set(own, (buckets.get(own) ?? 0) + count);
  }
  return fromBuckets(buckets, overflow);
}

function fromBuckets(buckets: ReadonlyMap<number, number>, overflow: number): HistogramData {
  const indexes = Uint32Array.from(buckets.keys()).sort();
  const counts = Float64Array.from(indexes, (index) => buckets.get(index)!);
  let count = overflow;
  let sumNs = overflow * HIGHEST_NS;
  indexes.forEach((index, position) => {
    count += counts[position]!;
    const middle = bucketLowestNs(index) + Math.floor(bucketWidthNs(index) / 2);
    sumNs += counts[position]! * middle;
  });
  if (count === 0) throw new Error('the histogram is empty');
  const last = indexes.at(-1);
  const maxNs = overflow > 0 || last === undefined ? HIGHEST_NS : bucketHighestNs(last);
  return {
    metric: ALL,
    node: ALL,
    phase: ALL,
    indexes,
    counts,
    count,
    minPs: (indexes[0] === undefined ? HIGHEST_NS : bucketLowestNs(indexes[0])) * PS_PER_NS,
    maxPs: maxNs * PS_PER_NS,
    sumPs: sumNs * PS_PER_NS,
    overflow,
  };
}
