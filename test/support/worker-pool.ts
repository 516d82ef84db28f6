/**
 * Real threads for tests of the virtual engine: one pool for all runs of a test file. The tasks of
 * one run wait for each other in the engine's meetings, so every task gets a thread of its own at
 * once; the pool grows to the most that any run needed.
 */

import { Worker } from 'node:worker_threads';
import type { EngineSpec, WorkerResult } from '../../src/engine/virtual/spec.ts';
import type { RandomCase } from './random-program.ts';
import type { RandomImage } from './random-program-memory.ts';

export interface PoolTask {
  readonly theCase: RandomCase;
  readonly spec: EngineSpec;
  readonly image: RandomImage;
  readonly worker: number;
}

export type PoolReply = { readonly result: WorkerResult } | { readonly error: string };

export class WorkerPool {
  readonly #threads: Worker[] = [];

  /** One run: all tasks side by side. The first error that isn't a consequence is thrown. */
  async run(tasks: readonly PoolTask[]): Promise<WorkerResult[]> {
    while (this.#threads.length < tasks.length) this.#threads.push(new Worker(entryUrl()));
    const replies = await Promise.all(tasks.map((task, i) => ask(this.#threads[i]!, task)));
    const errors = replies.flatMap((reply) => ('error' in reply ? [reply.error] : []));
    const cause = errors.find((error) => !error.startsWith('AbortedError')) ?? errors[0];
    if (cause !== undefined) throw new Error(cause);
    return replies.flatMap((reply) => ('result' in reply ? [reply.result] : []));
  }

  async close(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.terminate()));
    this.#threads.length = 0;
  }
}

function ask(thread: Worker, task: PoolTask): Promise<PoolReply> {
  return new Promise((resolve, reject) => {
    const onMessage = (reply: PoolReply): void => {
      thread.off('error', onError);
      resolve(reply);
    };
    const onError = (error: Error): void => {
      thread.off('message', onMessage);
      reject(error);
    };
    thread.once('message', onMessage);
    thread.once('error', onError);
    thread.postMessage(task);
  });
}

/** Threads run compiled code: `npm run build` compiles tests, too. */
function entryUrl(): URL {
  const inSource = import.meta.url.endsWith('.ts');
  const path = inSource ? '../../dist/test/support/worker-pool-entry.js' : './worker-pool-entry.js';
  return new URL(path, import.meta.url);
}
