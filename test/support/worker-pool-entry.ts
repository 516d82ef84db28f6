/** A thread of the test pool: runs one worker of the engine for each task it is sent. */

import { parentPort } from 'node:worker_threads';
import { runWorker } from '../../src/engine/virtual/run-worker.ts';
import { programOf } from './random-program.ts';
import type { PoolReply, PoolTask } from './worker-pool.ts';

parentPort!.on('message', (task: PoolTask) => {
  parentPort!.postMessage(perform(task));
});

function perform({ theCase, spec, image, worker }: PoolTask): PoolReply {
  try {
    return { result: runWorker(spec, worker, programOf(theCase, spec.machine, image)) };
  } catch (error) {
    const { name, message, stack } = error as Error;
    return { error: `${name}: ${message}\n${stack ?? ''}` };
  }
}
