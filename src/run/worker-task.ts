/**
 * What a worker thread does with a task. Failures come back as data; a failing engine task raises
 * the abort word itself, because the main thread would only hear of it when all waits have ended.
 */

import type { MessagePort } from 'node:worker_threads';
import * as Comlink from 'comlink';
import { toErrorData } from '../base/errors.ts';
import { raiseAbort } from '../engine/virtual/control.ts';
import { runWorker } from '../engine/virtual/run-worker.ts';
import type { WorkerResult } from '../engine/virtual/spec.ts';
import { type BootedMachine, bootSeed } from './boot.ts';
import { nodeEndpoint } from './comlink-endpoint.ts';
import type { BootTask, EngineTask, Reply, RunObserver, Task } from './task.ts';
import { loadReference } from './workload-source.ts';

export async function performTask(task: Task): Promise<Reply<BootedMachine | WorkerResult>> {
  try {
    return { value: task.kind === 'boot' ? await boot(task) : await engine(task) };
  } catch (error) {
    if (task.kind === 'engine') raiseAbort(task.spec.buffers.control);
    return { error: toErrorData(error) };
  }
}

async function boot(task: BootTask): Promise<BootedMachine> {
  return bootSeed(await loadReference(task.workload), task.context);
}

async function engine(task: EngineTask): Promise<WorkerResult> {
  const workload = await loadReference(task.workload);
  const { image, context, worker, seedIndex } = task;
  const observer = task.port === null ? null : watch(task.port);
  try {
    return runWorker(
      task.spec,
      worker,
      (cpu) => workload.program(cpu, image, context),
      (emulatedPs, operations) => {
        // Not awaited: the answer could only arrive after the run.
        observer?.remote.progress(seedIndex, worker, emulatedPs, operations).catch(() => {});
      },
    );
  } finally {
    observer?.close();
  }
}

interface Watcher {
  readonly remote: Comlink.Remote<RunObserver>;
  close(): void;
}

function watch(port: MessagePort): Watcher {
  const remote = Comlink.wrap<RunObserver>(nodeEndpoint(port));
  return {
    remote,
    close: () => {
      remote[Comlink.releaseProxy]();
      port.close();
    },
  };
}
