/**
 * What the worker threads of the host engine load to make a workload's programs: the module that
 * HostSpec.program names. Beside it, so that the path is known: where it is.
 */

import type { WorkloadContext } from '../../workloads/workload.ts';
import type { HostProgram, ProgramOwner } from '../engine/host/spec.ts';
import type { WorkloadReference } from './task.ts';
import { loadReference } from './workload-source.ts';

export interface HostWorkload {
  readonly reference: WorkloadReference;
  readonly context: WorkloadContext;
}

export async function workloadPrograms(workload: HostWorkload): Promise<ProgramOwner> {
  const { program } = await loadReference(workload.reference);
  return { program: (cpu, image) => program(cpu, image, workload.context) };
}

/** Worker threads load compiled modules only. */
export function compiledUrl(url: string): string {
  if (!url.endsWith('.ts')) return url;
  const root = new URL('../../', import.meta.url).href;
  return `${root}dist/${url.slice(root.length).replace(/\.ts$/, '.js')}`;
}

export const WORKLOAD_PROGRAMS: HostProgram = {
  module: compiledUrl(import.meta.url),
  exportName: 'workloadPrograms',
};
