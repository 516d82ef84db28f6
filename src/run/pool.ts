/**
 * The worker threads of a run: one Piscina pool for all seeds. Tasks of one seed wait for each
 * other inside the engine, so all of them must be alive at once: a queued task would be a deadlock,
 * and `together` asserts that none is.
 *
 * Stopping: Piscina only terminates threads by destroy(), which says nothing to the others. So the
 * abort word in shared memory is raised first, every engine wait looks at it, and destroy() comes
 * last for whatever doesn't answer within GRACE_MS.
 */

import { totalmem } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { getHeapStatistics } from 'node:v8';
import type { MessagePort } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { assert } from '../base/assert.ts';
import { BugError, earliestError, fromErrorData, InterruptedError } from '../base/errors.ts';
import { MIB } from '../base/units.ts';
import { HeapFullError } from './out-of-memory.ts';
import type { Reply, Task } from './task.ts';

const GRACE_MS = 800;

export class RunPool {
  readonly #pool: Piscina<Task, Reply<unknown>>;
  #busy = 0;

  constructor(threads: number) {
    this.#pool = new Piscina({
      filename: workerUrl(),
      minThreads: threads,
      maxThreads: threads,
      idleTimeout: Number.POSITIVE_INFINITY,
      concurrentTasksPerWorker: 1,
      atomics: 'disabled',
      resourceLimits: { maxOldGenerationSizeMb: heapLimitMb(threads) },
    });
    // Every failure is reported by the task that met it.
    this.#pool.on('error', () => {});
  }

  get threads(): number {
    return this.#pool.maxThreads;
  }

  /**
   * Runs the tasks at the same time and waits for all of them. The first failure, or the signal,
   * or the alarm calls `raiseAbort`, gives the others a moment and throws the real cause.
   */
  async together<Value>(
    tasks: readonly Task[],
    raiseAbort: () => void,
    signal: AbortSignal,
    alarm?: Promise<Error>,
  ): Promise<Value[]> {
    assert(this.#busy + tasks.length <= this.threads, 'a task would wait for a thread');
    if (signal.aborted) throw new InterruptedError('interrupted');
    this.#busy += tasks.length;
    const values: Value[] = [];
    const failures: Error[] = [];
    let failed: () => void = () => {};
    const failure = new Promise<void>((resolve) => {
      failed = resolve;
    });
    const interrupt = (): void => {
      failures.push(new InterruptedError('interrupted'));
      failed();
    };
    signal.addEventListener('abort', interrupt, { once: true });
    const all = Promise.all(
      tasks.map(async (task, index) => {
        try {
          values[index] = await this.#one<Value>(task);
        } catch (error) {
          failures.push(error as Error);
          failed();
        }
        this.#busy--;
      }),
    );
    const alarmed = alarm?.then((error) => {
      failures.push(error);
    });
    await Promise.race(alarmed === undefined ? [all, failure] : [all, failure, alarmed]);
    signal.removeEventListener('abort', interrupt);
    if (failures.length === 0) return values;
    raiseAbort();
    await Promise.race([all, sleep(GRACE_MS, undefined, { ref: false })]);
    throw realCause(failures, signal.aborted);
  }

  async #one<Value>(task: Task): Promise<Value> {
    const transferList = task.kind === 'engine' && task.port !== null ? [task.port] : [];
    let reply: Reply<unknown>;
    try {
      reply = await this.#pool.run(task, { transferList: transferList as MessagePort[] });
    } catch (error) {
      if ((error as { code?: string }).code === 'ERR_WORKER_OUT_OF_MEMORY') {
        throw new HeapFullError(heapLimitMb(this.threads) * MIB);
      }
      throw new BugError(`a worker thread died: ${(error as Error).message}`);
    }
    if ('error' in reply) {
      // Stopped because another worker failed: a consequence, as an interrupt is.
      if (reply.error.name === 'AbortedError') throw new InterruptedError(reply.error.message);
      throw fromErrorData(reply.error);
    }
    return reply.value as Value;
  }

  /** Ends every thread, whatever it does. */
  async destroy(): Promise<void> {
    await this.#pool.destroy();
  }
}

/**
 * Of failures in emulated time the earliest, whichever thread was first (ER-B5). Workers that
 * stopped because of the abort word are consequences, not causes.
 */
function realCause(failures: readonly Error[], interrupted: boolean): Error {
  if (interrupted) return new InterruptedError('interrupted');
  const causes = failures.filter((error) => !(error instanceof InterruptedError));
  return earliestError(causes) ?? causes[0] ?? failures[0]!;
}

/**
 * Half of the host's memory for the heaps of all workers, each at most what this process may take
 * itself (node --max-old-space-size); shared buffers do not count here.
 */
function heapLimitMb(threads: number): number {
  const share = Math.floor(totalmem() / 2 / threads / MIB);
  const own = Math.floor(getHeapStatistics().heap_size_limit / MIB);
  return Math.min(4096, own, Math.max(192, share));
}

/** The compiled worker: beside this file in dist, or in dist when this is the source itself. */
function workerUrl(): string {
  const inSource = import.meta.url.endsWith('.ts');
  const path = inSource
    ? '../../dist/workers/virtual-worker.js'
    : '../../workers/virtual-worker.js';
  return new URL(path, import.meta.url).href;
}
