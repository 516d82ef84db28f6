/**
 * A replay string run again: the recorded context switches, found by the identity of events. An
 * event that is not there any more ends it; a schedule that gets through without a failure says
 * that the mistake is gone.
 */

import { replayLog } from '../engine/explore/replay-schedule.ts';
import type { Outcome } from '../engine/explore/result.ts';
import { runSchedule } from '../engine/explore/run-schedule.ts';
import { Recorded } from '../engine/explore/strategies/recorded.ts';
import type { ReplayTask } from './campaign-task.ts';
import { type FailureStory, tellStory } from './explain-failure.ts';
import { openSetup } from './run-schedules.ts';
import { costOf, PreemptionNotes } from './schedule-cost.ts';

export interface ReplayResult {
  readonly outcome: Outcome;
  /** The first event that could not be matched; '' = none. */
  readonly divergedAt: string;
  readonly steps: number;
  /** null: nothing failed. */
  readonly story: FailureStory | null;
}

export async function replayRecord({ setup, record }: ReplayTask): Promise<ReplayResult> {
  const { explorer } = await openSetup(setup);
  const traced = replayLog(explorer, record);
  const { outcome, divergedAt, steps, values } = traced;
  if (outcome !== 'failed') return { outcome, divergedAt, steps, story: null };
  const { size } = setup;
  const agents = traced.agents.slice(0, stepsOf(traced.agents, record.segments.length));
  const named = { ...setup, schedule: record.schedule };
  const told = tellStory(named, explorer, traced, agents.length);
  const { signature } = told;
  const notes = new PreemptionNotes(new Recorded(traced.agents, values));
  runSchedule(explorer, notes, 0);
  const preemptions = notes.within(agents.length);
  const failed = { size, agents, values, signature, undrained: 0, preemptions };
  const { switches, lateStores } = costOf(failed);
  const story: FailureStory = {
    ...told,
    schedule: record.schedule,
    strategy: 'replay',
    switches,
    preemptions,
    lateStores,
    model: setup.model,
    isFixpoint: true,
    trials: 1,
    minimisedMs: 0,
    original: { size, steps, switches },
  };
  return { outcome, divergedAt, steps, story };
}

/** Of so many segments; beyond them, in a schedule without an end, agents take turns. */
function stepsOf(agents: Int32Array, segments: number): number {
  let seen = 1;
  const end = agents.findIndex(
    (agent, at) => at > 0 && agent !== agents[at - 1] && ++seen > segments,
  );
  return end < 0 ? agents.length : end;
}
