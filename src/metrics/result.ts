/** Types of a run's result, without the cost of loading the schema that they derive from. */

import type { z } from 'zod';
import type { runResultSchema } from './result-schema.ts';

type DeepReadonly<T> = T extends object ? { readonly [K in keyof T]: DeepReadonly<T[K]> } : T;

/** What `run --json` prints and result.json holds. */
export type RunResult = DeepReadonly<z.infer<typeof runResultSchema>>;

export type HistogramSummary = RunResult['histograms'][string];
export type PhaseResult = RunResult['phases'][number];
export type TimePart = RunResult['parts'][number];
export type HotLine = RunResult['hotLines'][number];
