/**
 * What a worker thread does with a task. Failures come back as data; a failing engine task raises
 * the abort word itself, because the main thread would only hear of it when all waits have ended.
 */

import type { MessagePort } from 'node:worker_threads';
import * as Comlink from 'comlink';
import { toErrorData } from '../base/errors.ts';
import type { Cpu } from '../cpu/cpu.ts';
import { raiseAbort } from '../engine/virtual/control.ts';
import { type Observer, runWorker } from '../engine/virtual/run-worker.ts';
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
  const watcher = task.port === null ? null : watch(task.port);
  const tell: Observer = (emulatedPs, operations, accesses) => {
    // Not awaited: the answer could only arrive after the run.
    watcher?.remote.progress(seedIndex, worker, emulatedPs, operations, accesses).catch(() => {});
  };
  try {
    const program = (cpu: Cpu) => workload.program(cpu, image, context);
    return runWorker(task.spec, worker, program, tell);
  } finally {
    watcher?.close();
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
