/**
 * Where the time went: the time of each metric that has parts (definition.ts, partOf) divided among
 * them, from exact sums. What no part covers is `other`.
 */

import { PS_PER_NS } from '../base/units.ts';
import { METRICS } from './definition.ts';
import type { NamedHistogram } from './naming.ts';
import type { TimePart } from './result.ts';

export const OTHER_PART = 'other';

/** Uses the totals alone (all nodes, all measured phases). Largest part first, `other` last. */
export function timeParts(histograms: readonly NamedHistogram[]): TimePart[] {
  const totals = new Map(histograms.map(({ name, data }) => [name, data]));
  const parts: TimePart[] = [];
  for (const whole of METRICS) {
    const total = totals.get(whole.name);
    if (total === undefined || total.sumPs === 0) continue;
    const part = (name: string, sumPs: number): TimePart => ({
      name,
      of: whole.name,
      ns: sumPs / PS_PER_NS,
      nsPerOperation: sumPs / total.count / PS_PER_NS,
      share: Math.min(1, sumPs / total.sumPs),
    });
    const inner = METRICS.filter(({ partOf, name }) => partOf === whole.name && totals.has(name))
      .map(({ name }) => part(name, totals.get(name)!.sumPs))
      .sort((a, b) => b.ns - a.ns);
    if (inner.length === 0) continue;
    const coveredPs = inner.reduce((sum, { name }) => sum + totals.get(name)!.sumPs, 0);
    parts.push(...inner, part(OTHER_PART, Math.max(0, total.sumPs - coveredPs)));
  }
  return parts;
}
