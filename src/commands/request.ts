/** From checked arguments to a RunRequest; shared by run and compare. */

import type { RunRequest } from '../run/run-spec.ts';
import type { Arguments } from './options.ts';

export function requestOf(
  args: Arguments,
  workload: string | undefined,
  assignments: readonly string[],
): RunRequest {
  return {
    workload,
    assignments,
    machine: args.values.get('machine'),
    cpus: args.values.get('cpus'),
    seed: args.values.get('seed'),
    repeat: args.values.get('repeat'),
    jobs: args.values.get('jobs'),
    threads: args.values.get('threads'),
    engine: args.values.get('engine'),
    time: args.values.get('time'),
    like: args.values.get('like'),
    check: args.values.has('check'),
  };
}

/** The first word without `=` is the workload; the rest are key=value. */
export function splitWords(words: readonly string[]): {
  workload: string | undefined;
  assignments: readonly string[];
} {
  const first = words[0];
  if (first === undefined || first.includes('=')) {
    return { workload: undefined, assignments: words };
  }
  return { workload: first, assignments: words.slice(1) };
}
