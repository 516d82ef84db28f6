/** Runs the built command line for its JSON, as many at a time as the host has cores. */

import { availableParallelism } from 'node:os';
import { timeRun } from '../bench/command-line.ts';

/** Percentiles are null where there are too few samples. */
export interface Histogram {
  readonly count: number;
  readonly mean: number;
  readonly p50: number | null;
  readonly p99: number | null;
  readonly p999: number | null;
}

/** The parts of a result that are compared. */
export interface Result {
  readonly machineHash: string;
  readonly phases: readonly {
    readonly name: string;
    readonly emulatedNs: number;
    readonly nsPerOperation: number | null;
  }[];
  readonly counters: Readonly<Record<string, number>>;
  readonly histograms: Readonly<Record<string, Histogram>>;
  /** key=value that no kernel has. */
  readonly whatIf: readonly string[];
  /** The workload's own printed lines. */
  readonly report: readonly string[];
}

export async function emulate(words: readonly string[]): Promise<Result> {
  const { stdout } = await timeRun(['run', ...words, '--json', '--quiet', '--threads', '1']);
  return JSON.parse(stdout) as Result;
}

/** Results in order of the items. */
export async function inParallel<Item, Value>(
  items: readonly Item[],
  action: (item: Item) => Promise<Value>,
): Promise<Value[]> {
  const values: Value[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < items.length) {
      const index = next++;
      values[index] = await action(items[index]!);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, lane));
  return values;
}
