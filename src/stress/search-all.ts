/**
 * `--strategy exhaustive`: every schedule that differs, in one worker, because each one decides
 * which come next. Its size is estimated first; what would hardly end is refused.
 */

import { UserError } from '../base/errors.ts';
import {
  estimateSize,
  requireSearchable,
  type SizeEstimate,
} from '../engine/explore/exhaustive/estimate.ts';
import { fromBoot, runExhaustive } from '../engine/explore/exhaustive/run-exhaustive.ts';
import { type ExhaustiveTask, type ScheduleFailure, Shared } from './campaign-task.ts';
import { openSetup, signatureOf } from './run-schedules.ts';

export interface SearchOutcome {
  /** 'complete', 'failed', or the bound that ended it. */
  readonly outcome: string;
  /** Executions that end, or wait for ever: no two of them are the same but for the order. */
  readonly executions: number;
  /** Cut off because all that they lead to was known. */
  readonly sleepBlocked: number;
  readonly steps: number;
  readonly cut: number;
  readonly estimate: SizeEstimate;
  readonly reached: readonly string[];
  readonly failure: ScheduleFailure | null;
}

export async function searchAll(task: ExhaustiveTask): Promise<SearchOutcome> {
  const { setup, limit } = task;
  const shared = new Int32Array(task.shared);
  const heart = Shared.Hearts + task.worker;
  const { explorer } = await openSetup(setup);
  const { seed, stepLimit, size, target } = setup;
  const makeExecution = fromBoot(explorer);
  const estimate = estimateSize({ makeExecution, stepLimit, seed });
  const what = `${target.name} with ${size.cpus} CPUs, --ops ${size.operations}, ${setup.model},`;
  requireSearchable(estimate, limit, what);
  explorer.reached.clear();
  const { search, failure } = runExhaustive(explorer, {
    executionLimit: limit,
    expired: () => {
      Atomics.add(shared, heart, 1);
      Atomics.add(shared, Shared.Done, 1);
      return Atomics.load(shared, Shared.Stop) !== 0;
    },
  });
  if (search.failure?.error instanceof UserError) throw search.failure.error;
  const executions = search.completed + search.deadlocked;
  return {
    outcome: search.outcome,
    executions,
    sleepBlocked: search.sleepBlocked,
    steps: search.steps,
    cut: search.cut,
    estimate,
    reached: [...explorer.reached],
    failure: failure && {
      schedule: executions,
      strategy: 'exhaustive',
      finding: failure.finding!,
      signature: signatureOf(explorer, failure),
      agents: failure.agents,
      values: failure.values,
    },
  };
}
