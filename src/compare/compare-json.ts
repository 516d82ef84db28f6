/** What `compare --json` prints: `{schema, baseline, runs, ratios}`. */

import type { RunResult } from '../metrics/result.ts';
import type { Comparison, RunRatios } from './comparison.ts';

/** A run known by its .hlog alone has only its histograms. */
export type JsonRun =
  | (RunResult & { readonly label: string })
  | { readonly label: string; readonly histograms: RunResult['histograms'] };

export interface ComparisonJson {
  readonly schema: 'numalab-compare-1';
  /** Label of the run that ratios divide by. */
  readonly baseline: string;
  readonly runs: readonly JsonRun[];
  readonly ratios: readonly RunRatios[];
}

export function comparisonJson(comparison: Comparison): ComparisonJson {
  return {
    schema: 'numalab-compare-1',
    baseline: comparison.sides[0]!.label,
    runs: comparison.sides.map(({ label, result, histograms }) =>
      result === null ? { label, histograms } : { label, ...result },
    ),
    ratios: comparison.ratios,
  };
}
