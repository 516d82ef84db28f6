/**
 * `--strategy exhaustive`: every schedule that differs, in one worker, because each one decides
 * which come next. Its size is estimated first; what would hardly end is refused.
 */

import { UserError } from '../base/errors.ts';
import {
  estimateSize,
  requireSearchable,
  type SizeEstimate,
  upToRenaming,
} from '../engine/explore/exhaustive/estimate.ts';
import { fromBoot, runExhaustive } from '../engine/explore/exhaustive/run-exhaustive.ts';
import { withFewRenamings } from '../engine/explore/exhaustive/symmetry.ts';
import { type ExhaustiveTask, type ScheduleFailure, Shared } from './campaign-task.ts';
import { openSetup, signatureOf } from './run-schedules.ts';

export interface SearchOutcome {
  /** 'complete', 'failed', or the bound that ended it. */
  readonly outcome: string;
  /** Executions that end, or wait for ever: no two of them are the same but for the order. */
  readonly executions: number;
  /** Cut off because all that they lead to was known. */
  readonly sleepBlocked: number;
  /** CPUs whose change of places made no new execution. */
  readonly interchangeable: readonly (readonly number[])[];
  readonly steps: number;
  readonly cut: number;
  readonly estimate: SizeEstimate;
  readonly reached: readonly string[];
  readonly failure: ScheduleFailure | null;
}

/** Steps of an estimate that is only told. */
const ROUGH_BUDGET = 100_000;
/** A loop that may go on for ever is cut off here, beyond what random schedules took. */
const STEPS_BEYOND = 200;

export async function searchAll(task: ExhaustiveTask): Promise<SearchOutcome> {
  const { setup, limit } = task;
  const shared = new Int32Array(task.shared);
  const heart = Shared.Hearts + task.worker;
  const { explorer, target: opened } = await openSetup(setup);
  const { seed, stepLimit, size, target } = setup;
  const makeExecution = fromBoot(explorer);
  const groups = withFewRenamings(opened.interchangeable?.(size) ?? []);
  const goesOn = (): boolean => {
    Atomics.add(shared, heart, 1);
    return Atomics.load(shared, Shared.Stop) === 0;
  };
  // Nothing is refused by it: the time is better spent on the search.
  const rough = task.isBounded ? { budget: ROUGH_BUDGET } : {};
  const traces = estimateSize({ makeExecution, stepLimit, seed, goesOn, ...rough });
  const estimate = upToRenaming(traces, groups);
  const what = `${target.name} with ${size.cpus} CPUs, --ops ${size.operations}, ${setup.model},`;
  if (!task.isBounded) requireSearchable(estimate, limit, what);
  explorer.reached.clear();
  const { search, failure } = runExhaustive(explorer, {
    executionLimit: limit,
    groups,
    stepLimit: Math.min(stepLimit, STEPS_BEYOND + 4 * estimate.longest),
    expired: () => {
      Atomics.add(shared, Shared.Done, 1);
      return !goesOn();
    },
  });
  if (search.failure?.error instanceof UserError) throw search.failure.error;
  const executions = search.completed + search.deadlocked;
  return {
    outcome: search.outcome,
    executions,
    sleepBlocked: search.sleepBlocked + search.renamed,
    interchangeable: groups,
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
