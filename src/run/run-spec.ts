/** A run before and after its texts are resolved, as data. */

import type { Placement, Workload, WorkloadContext } from '../../workloads/workload.ts';
import type { Parameters } from '../base/parameters.ts';
import type { Machine } from '../machine/machine.ts';
import type { WorkloadReference } from './task.ts';
import type { ThreadsOption } from './threads.ts';

/** Texts as the user wrote them; undefined = not given. */
export interface RunRequest {
  readonly workload?: string | undefined;
  readonly assignments: readonly string[];
  readonly machine?: string | undefined;
  readonly cpus?: string | undefined;
  readonly seed?: string | undefined;
  readonly repeat?: string | undefined;
  readonly jobs?: string | undefined;
  readonly threads?: string | undefined;
  readonly engine?: string | undefined;
  /** Wall clock, for engine host. */
  readonly time?: string | undefined;
  readonly like?: string | undefined;
  readonly check: boolean;
  /** Label of a part of the profile that boots and does not run; undefined: all run. */
  readonly off?: string | undefined;
}

export interface RunSpec {
  readonly reference: WorkloadReference;
  readonly workload: Workload;
  readonly machine: Machine;
  readonly placement: Placement;
  readonly helpers: number;
  /** "node 0: CPUs 0-15; helper on CPU 16". */
  readonly placementText: string;
  /** --cpus was a list, not a count. */
  readonly cpusAreListed: boolean;
  readonly parameters: Parameters;
  /** Names of the parameters that the user gave. */
  readonly given: readonly string[];
  readonly like: string;
  readonly whatIf: readonly string[];
  readonly whatIfLabel: string | null;
  readonly engine: 'virtual' | 'host';
  /** With the host engine: seeds go on until so much wall clock is over; null: `seeds` alone. */
  readonly timeMs: number | null;
  readonly seeds: readonly number[];
  readonly threads: ThreadsOption;
  readonly jobs: number;
  readonly check: boolean;
  /** SHA-256 by path. */
  readonly userFiles: Readonly<Record<string, string>>;
  readonly runId: string;
  /** The workload and its key=value words as given, for a line that replays the run. */
  readonly request: RunRequest;
}

/** The part of a specification that says what runs where; the rest says how often and how. */
export type ResolvedWorkload = Pick<
  RunSpec,
  | 'reference'
  | 'workload'
  | 'machine'
  | 'placement'
  | 'helpers'
  | 'placementText'
  | 'cpusAreListed'
  | 'parameters'
  | 'given'
  | 'like'
  | 'whatIf'
  | 'whatIfLabel'
>;

export function contextOf(spec: RunSpec, seed: number): WorkloadContext {
  const { machine, placement, parameters } = spec;
  return { machine, placement, parameters, seed };
}
