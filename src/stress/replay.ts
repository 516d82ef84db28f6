/**
 * A replay string run again: the recorded context switches, found by the identity of events. An
 * event that is not there any more ends it; a schedule that gets through without a failure says
 * that the mistake is gone.
 */

import { replayLog } from '../engine/explore/replay-schedule.ts';
import type { Outcome } from '../engine/explore/result.ts';
import type { ReplayTask } from './campaign-task.ts';
import { type FailureStory, tellStory } from './explain-failure.ts';
import { costOf } from './minimise.ts';
import { openSetup } from './run-schedules.ts';

export interface ReplayResult {
  readonly outcome: Outcome;
  /** The first event that could not be matched; '' = none. */
  readonly divergedAt: string;
  readonly steps: number;
  /** null: nothing failed. */
  readonly story: FailureStory | null;
}

/** Steps that are kept of a replay without an end. */
const ENDLESS_REPLAY = 100;

export async function replayRecord({ setup, record }: ReplayTask): Promise<ReplayResult> {
  const { explorer } = await openSetup(setup);
  const traced = replayLog(explorer, record);
  const { outcome, divergedAt, steps, agents, values } = traced;
  if (outcome !== 'failed') return { outcome, divergedAt, steps, story: null };
  const { size } = setup;
  const told = tellStory(setup, size, record.schedule, explorer, traced, ENDLESS_REPLAY);
  const { signature } = told;
  const { switches, lateStores } = costOf({ size, agents, values, signature, undrained: 0 });
  const story: FailureStory = {
    ...told,
    schedule: record.schedule,
    strategy: 'replay',
    switches,
    lateStores,
    model: setup.model,
    isFixpoint: true,
    minimisedMs: 0,
    original: { size, steps, switches },
  };
  return { outcome, divergedAt, steps, story };
}
