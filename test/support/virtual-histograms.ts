/** Plain lists of measured values to the form in which the engine's recorder gives them back. */

import { bucketIndex } from '../../src/metrics/histogram-layout.ts';
import type { HistogramData } from '../../src/metrics/recorder.ts';
import type { Recorded } from '../oracle/naive-measures.ts';

export function histogramsOf(recorded: readonly Recorded[]): HistogramData[] {
  const groups = new Map<string, Recorded[]>();
  for (const value of recorded) {
    const place = `${value.metric},${value.node},${value.phase}`;
    groups.set(place, [...(groups.get(place) ?? []), value]);
  }
  const made = [...groups.values()].map((values): HistogramData => {
    const first = values[0]!;
    const times = values.map(({ ps }) => ps);
    const buckets = new Map<number, number>();
    for (const ps of times) {
      const index = bucketIndex(Math.floor(ps / 1000));
      buckets.set(index, (buckets.get(index) ?? 0) + 1);
    }
    const indexes = [...buckets.keys()].sort((a, b) => a - b);
    return {
      metric: first.metric,
      node: first.node,
      phase: first.phase,
      indexes: Uint32Array.from(indexes),
      counts: Float64Array.from(indexes, (index) => buckets.get(index)!),
      count: times.length,
      minPs: Math.min(...times),
      maxPs: Math.max(...times),
      sumPs: times.reduce((sum, ps) => sum + ps, 0),
      overflow: 0,
    };
  });
  return made.sort((a, b) => a.metric - b.metric || a.node - b.node || a.phase - b.phase);
}
