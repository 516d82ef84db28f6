/**
 * `input=FILE[,FILE...]` of a workload that runs traces: the files are scanned by a reader thread
 * before anything else, so whatever is wrong with them is one line, and their contents are part of
 * the run's identity.
 */

import { resolve } from 'node:path';
import { UserError } from '../base/errors.ts';
import { scanInThread } from '../trace/reader-thread.ts';
import { TRACE_CPUS_MAX } from '../trace/record.ts';
import type { RunRequest } from './run-spec.ts';
import type { WorkloadReference } from './task.ts';
import { loadReference } from './workload-source.ts';

/** The reference as it is, unless its workload runs traces and one is given. */
export async function withTrace(
  reference: WorkloadReference,
  { assignments, engine }: RunRequest,
  signal: AbortSignal | undefined,
): Promise<WorkloadReference> {
  const input = assigned(assignments, 'input');
  if (input === '' || reference.url !== '') return reference;
  const workload = await loadReference(reference);
  if (workload.withTrace === undefined) return reference;
  if (engine === 'host') {
    throw new UserError(
      '--engine host: traces are run by emulated CPUs only; leave the option out',
    );
  }
  const files = input.split(',').map((file) => ({ file, path: resolve(file) }));
  const empty = files.find(({ file }) => file === '');
  if (empty !== undefined) throw new UserError(`input: '${input}' has an empty file name`);
  if (files.length > TRACE_CPUS_MAX) {
    throw new UserError(`input: ${files.length} files; at most ${TRACE_CPUS_MAX}, one per CPU`);
  }
  const ownSpaces = assigned(assignments, 'space') === 'own';
  return { ...reference, trace: await scanInThread(files, ownSpaces, signal) };
}

/** SHA-256 by file, as for other files of the user's. */
export function hashesOfTrace({ trace }: WorkloadReference): Readonly<Record<string, string>> {
  return Object.fromEntries((trace?.files ?? []).map(({ file, sha256 }) => [file, sha256]));
}

function assigned(assignments: readonly string[], key: string): string {
  const word = assignments.findLast((assignment) => assignment.startsWith(`${key}=`)) ?? '';
  return word.slice(key.length + 1);
}
