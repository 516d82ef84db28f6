/** A thread in which a user's lock is tried alone; it is ended when it hangs. */

import { parentPort, workerData } from 'node:worker_threads';
import { toErrorData } from '../src/base/errors.ts';
import type { TrialTask } from '../src/run/user-lock-file.ts';
import { tryUserLock } from '../src/run/user-lock-trial.ts';

try {
  await tryUserLock(workerData as TrialTask, (message) => parentPort?.postMessage(message));
} catch (error) {
  parentPort?.postMessage({ stage: 'acquire', error: toErrorData(error) });
}
