/**
 * The worker-thread side of the host engine: loads the CPU's program, runs it, and answers with its
 * results or with the error as data. A thread that fails raises the abort word itself, because the
 * others wait for it and not for the main thread (ER-B3).
 */

import { BugError, toErrorData } from '../../base/errors.ts';
import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Abort, Global } from './control.ts';
import { ringAll } from './doorbell.ts';
import { HostCpu } from './host-cpu.ts';
import type { HostProgram, HostReply, HostTask } from './spec.ts';

interface ProgramOwner {
  program(cpu: Cpu, image: unknown, context: unknown): Program | null;
}

export async function runHostWorker(task: HostTask): Promise<HostReply> {
  try {
    const owner = await loadProgram(task.spec.program);
    const cpu = new HostCpu(task);
    const program = owner.program(cpu, task.spec.image, task.spec.context);
    return { kind: 'done', result: cpu.run(program) };
  } catch (error) {
    raiseAbort(task.control, task.spec.machine.cpuCount, Abort.WorkerFailed);
    return { kind: 'failed', error: toErrorData(error) };
  }
}

/** The first reason stays. */
export function raiseAbort(control: SharedArrayBuffer, cpuCount: number, reason: number): void {
  Atomics.compareExchange(new Int32Array(control), Global.Abort, Abort.None, reason);
  ringAll(control, cpuCount);
}

async function loadProgram({ module, exportName }: HostProgram): Promise<ProgramOwner> {
  const loaded = (await import(module)) as Record<string, unknown>;
  const owner = loaded[exportName] as ProgramOwner | undefined;
  if (typeof owner?.program !== 'function') {
    throw new BugError(`${module} exports no '${exportName}' with a program`);
  }
  return owner;
}
