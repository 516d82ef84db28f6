/** What a campaign's worker thread does with a task; failures come back as data. */

import { toErrorData } from '../base/errors.ts';
import { type Reply, Shared, type StressTask } from './campaign-task.ts';
import { explainFailure } from './explain-failure.ts';
import { replayRecord } from './replay.ts';
import { runSchedules } from './run-schedules.ts';
import { searchAll } from './search-all.ts';

export async function performStressTask(task: StressTask): Promise<Reply<unknown>> {
  const words = new Int32Array(task.shared);
  const heart = Shared.Hearts + task.worker;
  Atomics.store(words, heart, 1);
  try {
    return { value: await perform(task) };
  } catch (error) {
    return { error: toErrorData(error) };
  } finally {
    Atomics.store(words, heart, 0);
  }
}

function perform(task: StressTask): Promise<unknown> {
  switch (task.kind) {
    case 'schedules':
      return runSchedules(task);
    case 'minimise':
      return explainFailure(task);
    case 'exhaustive':
      return searchAll(task);
    default:
      return replayRecord(task);
  }
}
