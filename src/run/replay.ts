/** One line that runs the same seed again: printed with every failure and every result. */

import type { RunRequest, RunSpec } from './run-spec.ts';

/** With all options that decide the result; `seed` alone, not the whole range. */
export function replayCommand(spec: RunSpec, seed: number): string {
  const { request } = spec;
  const words = ['numalab', 'run', request.workload ?? spec.workload.name];
  words.push(...request.assignments);
  words.push(...decidingOptions(request), '--seed', String(seed));
  if (spec.check) words.push('--check');
  return words.map(quote).join(' ');
}

function decidingOptions(request: RunRequest): string[] {
  const words: string[] = [];
  if (request.machine !== undefined) words.push('--machine', request.machine);
  if (request.cpus !== undefined) words.push('--cpus', request.cpus);
  if (request.engine === 'host') words.push('--engine', 'host');
  if (request.like !== undefined) words.push('--like', request.like);
  return words;
}

function quote(word: string): string {
  return /^[\w./:,=@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
