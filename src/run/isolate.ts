/**
 * --isolate: a profile as it is, then once more with each of its parts switched off. Parts that are
 * off boot as before, so everything else has the same memory, placement and random numbers: what
 * changes in a metric is what the missing part did to it.
 */

import { UserError } from '../base/errors.ts';
import type { RunRequest, RunSpec } from './run-spec.ts';
import { resolveSpecification } from './specification.ts';

export interface IsolatedRun {
  /** "all", "without loaders". */
  readonly label: string;
  readonly spec: RunSpec;
}

export async function resolveIsolated(
  request: RunRequest,
  signal: AbortSignal,
): Promise<readonly IsolatedRun[]> {
  const all = await resolveSpecification(request, signal);
  const { parts } = all.reference;
  if (parts.length < 2) {
    throw new UserError(
      `--isolate switches parts of a profile off, and ${all.workload.name} has ` +
        `${parts.length === 1 ? 'one only' : 'none'}; give a profile (numalab list profiles)`,
    );
  }
  const runs: IsolatedRun[] = [{ label: 'all', spec: all }];
  for (const { label } of parts) {
    const spec = await resolveSpecification({ ...request, off: label }, signal);
    runs.push({ label: `without ${label}`, spec });
  }
  return runs;
}
