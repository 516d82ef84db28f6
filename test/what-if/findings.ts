/**
 * What the tables say, in words made from the numbers: how much the same rate of loads adds to a
 * bystander's p99, and what a further load costs in flushes and IPIs, the first pack left out: the
 * difference between the two rates. Nothing here is expected or tuned; where it comes out otherwise
 * than predicted, the words change with it.
 */

import type { Result } from '../validate/emulate.ts';
import { INTERVALS_US, type Section } from './points.ts';
import { type Measured, rowOf } from './rows.ts';

const FLUSHES = 'flush_tlb_kernel_range';
const IPIS = 'ipi.sent';

export interface MeasuredSection {
  readonly section: Section;
  readonly measured: readonly Measured[];
}

export function findings(sections: readonly MeasuredSection[]): string {
  return ['## What the tables say', '', ...sections.map(sentence)].join('\n');
}

/** How often a counter moves per load, between a run with few loads and one with more. */
export function perFurtherLoad(few: Result, more: Result, name: string): number | null {
  const of = ({ counters }: Result, counter: string): number => counters[counter] ?? 0;
  const loads = of(more, 'bpf.loads') - of(few, 'bpf.loads');
  return loads <= 0 ? null : (of(more, name) - of(few, name)) / loads;
}

function sentence({ section, measured }: MeasuredSection): string {
  const quiet = measured.find(({ point }) => point.design === null)!;
  const quietP99 = rowOf(quiet, quiet.result).p99Ns ?? 0;
  const designs = section.designs.map((design) => {
    const [few, more] = measured.filter(({ point }) => point.design === design);
    const row = rowOf(few!, quiet.result);
    const per = (name: string): string =>
      (perFurtherLoad(few!.result, more!.result, name) ?? 0).toFixed(1);
    const added = Math.round((row.p99Ns ?? 0) - quietP99);
    return { name: design.name, added, flushes: per(FLUSHES), ipis: per(IPIS) };
  });
  const byAdded = [...designs].sort((a, b) => b.added - a.added);
  const list = (texts: readonly string[]): string => texts.join(', ');
  return [
    `- ${section.title}. ns that loads every ${INTERVALS_US[0]} us add to p99:`,
    `  ${list(byAdded.map(({ name, added }) => `${name} ${added}`))}.`,
    '  Flushes and IPIs that a further load costs:',
    `  ${list(designs.map(({ name, flushes, ipis }) => `${name} ${flushes} and ${ipis}`))}.`,
  ].join('\n');
}
