/** What a run of the host engine is given and gives back: plain data and shared buffers. */

import type { ErrorData } from '../../base/errors.ts';
import type { Machine } from '../../machine/machine.ts';
import type { PhysicalMemoryBuffers } from '../../memory/physical-memory.ts';

/** Where a worker thread finds the program of its CPU. */
export interface HostProgram {
  /** URL of a compiled module. */
  readonly module: string;
  /** Export of it: an object with program(cpu, image, context), as a workload is. */
  readonly exportName: string;
}

export interface HostSpec {
  readonly machine: Machine;
  readonly memory: PhysicalMemoryBuffers;
  readonly seed: number;
  /** CPUs that run a program; the others are absent. */
  readonly activeCpus: readonly number[];
  /** Linear-map address of each CPU's own area. */
  readonly perCpuHi: readonly number[];
  readonly perCpuLo: readonly number[];
  readonly streams: readonly string[];
  readonly metricCount: number;
  readonly counterCount: number;
  readonly program: HostProgram;
  readonly image: unknown;
  readonly context: unknown;
}

/** As a worker thread gets it. */
export interface HostTask {
  readonly spec: HostSpec;
  readonly control: SharedArrayBuffer;
  readonly cpu: number;
}

export interface HostMetric {
  readonly count: number;
  readonly sumNs: number;
  readonly maximumNs: number;
}

/** What one CPU leaves behind. Times are of this host's wall clock (ER-H7). */
export interface HostCpuResult {
  readonly id: number;
  /** By Counter. */
  readonly counters: Float64Array;
  /** By Metric; null = never ended. */
  readonly metrics: readonly (HostMetric | null)[];
  readonly marks: number;
  readonly attempts: number;
}

export type HostReply =
  | { readonly kind: 'done'; readonly result: HostCpuResult }
  | { readonly kind: 'failed'; readonly error: ErrorData };

export interface HostResult {
  readonly cpus: readonly HostCpuResult[];
  readonly wallNs: number;
  /** Waits that only the time-out ended: anything but 0 is a bug of the engine. */
  readonly lostWakes: number;
  readonly lateWakes: number;
}
