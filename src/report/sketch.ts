/**
 * Small pictures in one line of text: the shape of a histogram over a logarithmic axis, and bars.
 * Unicode blocks, or ASCII where the locale isn't UTF-8. Display only, so logarithms are allowed.
 */

import { bucketLowestNs, bucketWidthNs } from '../metrics/histogram-layout.ts';
import type { HistogramData } from '../metrics/recorder.ts';
import type { Look } from './color.ts';

const BLOCKS = [
  ' ',
  '\u2581',
  '\u2582',
  '\u2583',
  '\u2584',
  '\u2585',
  '\u2586',
  '\u2587',
  '\u2588',
];
const DENSITY = [' ', '.', ':', '-', '=', '+', '*', '#', '@'];
const LEFT_BLOCKS = ['', '\u258f', '\u258e', '\u258d', '\u258c', '\u258b', '\u258a', '\u2589'];

export interface Axis {
  readonly lowestNs: number;
  readonly highestNs: number;
}

/** The range of all the histograms of a metric, so that their shapes can be compared. */
export function sharedAxis(histograms: readonly HistogramData[]): Axis {
  const lowestPs = Math.min(...histograms.map(({ minPs }) => minPs));
  const highestPs = Math.max(...histograms.map(({ maxPs }) => maxPs));
  return { lowestNs: lowestPs / 1000, highestNs: highestPs / 1000 };
}

/** One character per column; a column with any value at all is never blank. */
export function shape(data: HistogramData, axis: Axis, columns: number, look: Look): string {
  const heights = new Float64Array(columns);
  const start = Math.log2(Math.max(1, axis.lowestNs));
  const span = Math.log2(Math.max(1, axis.highestNs)) - start;
  data.indexes.forEach((index, position) => {
    const middle = bucketLowestNs(index) + bucketWidthNs(index) / 2;
    const at = span <= 0 ? 0 : (Math.log2(Math.max(1, middle)) - start) / span;
    const column = Math.min(columns - 1, Math.max(0, Math.floor(at * columns)));
    heights[column]! += data.counts[position]!;
  });
  const highest = Math.max(...heights);
  const glyphs = look.unicode ? BLOCKS : DENSITY;
  return Array.from(heights, (height) => {
    if (height === 0) return ' ';
    return glyphs[Math.max(1, Math.round((height / highest) * 8))]!;
  }).join('');
}

/** A horizontal bar, `fraction` of `columns` long. */
export function bar(fraction: number, columns: number, look: Look): string {
  const length = Math.min(1, Math.max(0, fraction)) * columns;
  if (!look.unicode) return '#'.repeat(Math.round(length));
  const whole = Math.floor(length);
  return '\u2588'.repeat(whole) + LEFT_BLOCKS[Math.floor((length - whole) * 8)]!;
}
