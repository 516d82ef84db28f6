/**
 * Runs a specification: seeds side by side on one pool of worker threads, each booted and then run
 * by one or more workers; merges what they give back. The main thread takes part in no barrier, so
 * it hears errors and Ctrl-C while the workers compute.
 */

import { availableParallelism } from 'node:os';
import { InterruptedError } from '../base/errors.ts';
import { AutoThreads } from './auto-threads.ts';
import { RunPool } from './pool.ts';
import { Progress, type ProgressSink } from './progress.ts';
import { type FinishedRun, resultOf } from './result.ts';
import { contextOf, type RunSpec } from './run-spec.ts';
import { SeedRun } from './seed-run.ts';
import { autoWorkerLimit } from './threads.ts';

export interface RunSurroundings {
  /** Aborted: the run ends with an InterruptedError and leaves no thread. */
  readonly signal: AbortSignal;
  /** Where progress goes; null = nowhere. */
  readonly progress: ProgressSink | null;
}

/** Workers per seed, at most: --threads, or what auto may grow to. */
export function workerLimit(spec: RunSpec): number {
  const { cpus } = spec.placement;
  if (spec.engine === 'host') return cpus.length;
  if (spec.threads === 'per-cpu') return cpus.length;
  if (spec.threads !== 'auto') return Math.min(spec.threads, cpus.length);
  const coresLeft = Math.floor(availableParallelism() / spec.jobs);
  return autoWorkerLimit(spec.machine, cpus, coresLeft);
}

export async function runSpecification(
  spec: RunSpec,
  surroundings: RunSurroundings,
): Promise<FinishedRun> {
  if (spec.engine === 'host') {
    const { runOnHostEngine } = await import('./host-run.ts');
    return runOnHostEngine(spec, surroundings);
  }
  const perSeed = workerLimit(spec);
  const context = contextOf(spec, spec.seeds[0]!);
  const operations = spec.workload.operations?.(context) ?? 0;
  const progress = new Progress(
    { seeds: spec.seeds.length, operationsPerSeed: operations },
    surroundings.progress,
  );
  const pool = new RunPool(perSeed * spec.jobs);
  const auto = spec.threads === 'auto' ? new AutoThreads(spec.machine, perSeed, operations) : null;
  // One failing seed ends the others, too.
  const stop = new AbortController();
  const signal = AbortSignal.any([surroundings.signal, stop.signal]);
  try {
    const outcomes = await inParallel(spec.seeds, spec.jobs, async (seed, index) => {
      try {
        const run = new SeedRun(spec, seed, index, pool, progress, signal);
        return await (auto === null ? run.complete(perSeed) : run.completeAuto(auto));
      } catch (error) {
        stop.abort();
        throw error;
      } finally {
        progress.seedFinished(index);
      }
    });
    return resultOf(spec, outcomes);
  } finally {
    progress.stop();
    await pool.destroy();
  }
}

/** At most `limit` at a time, results in order; the first failure is the one that counts. */
async function inParallel<Item, Result>(
  items: readonly Item[],
  limit: number,
  action: (item: Item, index: number) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  const failures: unknown[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < items.length && failures.length === 0) {
      const index = next++;
      try {
        results[index] = await action(items[index]!, index);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: limit }, lane));
  // What stopped because another seed failed is a consequence.
  const cause = failures.find((error) => !(error instanceof InterruptedError)) ?? failures[0];
  if (cause !== undefined) throw cause;
  return results;
}
