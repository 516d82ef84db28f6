/**
 * What the tables say, in words made from the numbers: how much the fastest loads add to a
 * bystander's p99, and what a pack saves on either architecture. Nothing here is expected or
 * tuned; where it comes out otherwise than predicted, the words change with it.
 */

import type { Section } from './points.ts';
import { type Measured, type Row, rowOf } from './rows.ts';

export interface MeasuredSection {
  readonly section: Section;
  readonly measured: readonly Measured[];
}

export function findings(sections: readonly MeasuredSection[]): string {
  return ['## What the tables say', '', ...sections.map(sentence)].join('\n');
}

/** Nanoseconds of p99 that 10,000 loads per second add, from the highest rate. */
export function slopeOf(row: Row, quiet: Row): number {
  const loads = row.loadsPerSecond - quiet.loadsPerSecond;
  return loads <= 0 ? 0 : (((row.p99Ns ?? 0) - (quiet.p99Ns ?? 0)) * 10_000) / loads;
}

function sentence({ section, measured }: MeasuredSection): string {
  const quiet = measured.find(({ point }) => point.design === null)!;
  const quietRow = rowOf(quiet, quiet.result);
  const fastest = section.designs.map((design) => {
    const own = measured.filter(({ point }) => point.design === design);
    const rows = own.map((each) => rowOf(each, quiet.result));
    const row = rows.reduce((a, b) => (b.loadsPerSecond > a.loadsPerSecond ? b : a));
    return { name: design.name, row, slope: slopeOf(row, quietRow) };
  });
  const order = [...fastest].sort((a, b) => b.slope - a.slope);
  const parts = order.map(({ name, slope }) => `${name} ${slope.toFixed(0)}`);
  const flushes = (name: string): string =>
    (fastest.find((each) => each.name === name)?.row.flushes ?? 0).toFixed(1);
  return (
    `- ${section.title}: ns of p99 per 10,000 loads/s, at the highest rate: ${parts.join(', ')}. ` +
    `Flushes per load: module_alloc ${flushes('module_alloc')}, prog_pack ${flushes('prog_pack')}.`
  );
}
