/**
 * What a benchmark is: a name, a goal and a function that measures a rate and, in the same process
 * and minute, the rate of a bare loop that does the same work with nothing emulated. The ratio is
 * what can be compared between hosts.
 */

export interface Measured {
  readonly value: number;
  /** The bare loop, in the same unit; null where there is none. */
  readonly bound: number | null;
  /** Further figures of the same run, for the table. */
  readonly note?: string;
}

export interface Goal {
  readonly of: 'value' | 'ratio';
  readonly atLeast?: number;
  readonly atMost?: number;
}

export interface Benchmark {
  readonly name: string;
  /** The pattern that is measured. */
  readonly description: string;
  /** What the bound is. */
  readonly boundIs: string;
  readonly unit: string;
  readonly goal: Goal | null;
  /** Takes minutes: runs with --full, or when named. */
  readonly long?: boolean;
  measure(): Promise<Measured> | Measured;
}

/** One line of `--json`. */
export interface Row {
  readonly value: number;
  readonly unit: string;
  readonly bound: number | null;
  readonly ratio: number | null;
}

export function rowOf(benchmark: Benchmark, measured: Measured): Row {
  const { value, bound } = measured;
  return { value, unit: benchmark.unit, bound, ratio: bound === null ? null : value / bound };
}

/** null: no goal. */
export function isReached(goal: Goal | null, row: Row): boolean | null {
  const figure = goal?.of === 'ratio' ? row.ratio : row.value;
  if (goal === null || figure === null) return null;
  return figure >= (goal.atLeast ?? 0) && figure <= (goal.atMost ?? Number.POSITIVE_INFINITY);
}
