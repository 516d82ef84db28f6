/** What a run of the host engine is given and gives back: plain data and shared buffers. */

import type { ErrorData } from '../../base/errors.ts';
import type { Cpu, Program } from '../../cpu/cpu.ts';
import type { Machine } from '../../machine/machine.ts';
import type { NamedMemory } from '../../memory/boot.ts';
import type { PhysicalMemory, PhysicalMemoryBuffers } from '../../memory/physical-memory.ts';
import type { HistogramData } from '../../metrics/recorder.ts';
import type { TranslationSetup } from '../virtual/spec.ts';
import type { EventLog } from './event-log.ts';
import type { HostFinding } from './finding.ts';

/** Where a worker thread finds the program of its CPU. */
export interface HostProgram {
  /** URL of a compiled module. */
  readonly module: string;
  /** Export of it: a ProgramOwner, or a function of the context that makes one. */
  readonly exportName: string;
}

/** What a worker thread makes programs with; a workload is one. */
export interface ProgramOwner {
  /** null: the CPU does nothing, and serves. */
  program(cpu: Cpu, image: unknown, context: unknown): Program | null;
  /** After each round of a soak, on one thread, when all programs have ended. */
  finish?(memory: PhysicalMemory, events: EventLog, image: unknown, context: unknown): void;
  /** Goals that this thread's programs have passed. */
  reached?(): readonly string[];
}

/** A soak: the same programs again and again, over memory as it was booted. */
export interface Rounds {
  readonly seconds: number;
  /** Memory as booted, by node. */
  readonly pristine: readonly SharedArrayBuffer[];
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
  /** null: the linear map is arithmetic, nothing else is mapped. */
  readonly translation: TranslationSetup | null;
  readonly symbols: readonly NamedMemory[];
  readonly streams: readonly string[];
  readonly metricCount: number;
  readonly counterCount: number;
  readonly phaseCount: number;
  readonly program: HostProgram;
  readonly image: unknown;
  readonly context: unknown;
  /** Cpu.compute takes its time for real. */
  readonly computes: boolean;
  /** Mean number of attempts between two forced losses of the core; 0 = none. */
  readonly napEvery: number;
  /** Most attempts that a TLBI of another CPU may be served late; 0 = none. */
  readonly tlbiLag: number;
  /** Events kept per round, for ProgramOwner.finish; 0 = none. */
  readonly eventRoom: number;
  /** Accesses through page tables kept per round and CPU, with the events; 0 = none. */
  readonly accessRoom: number;
  /** null: once. */
  readonly rounds: Rounds | null;
  /** Host CPUs of each active CPU's thread; null: wherever the host puts it. */
  readonly pins: readonly (readonly number[])[] | null;
}

/** What a run need not say. */
export const HOST_DEFAULTS = {
  translation: null,
  symbols: [],
  phaseCount: 0,
  computes: false,
  napEvery: 0,
  tlbiLag: 0,
  eventRoom: 0,
  accessRoom: 0,
  rounds: null,
  pins: null,
} as const satisfies Partial<HostSpec>;

/** As a worker thread gets it. */
export interface HostTask {
  readonly spec: HostSpec;
  readonly control: SharedArrayBuffer;
  readonly events: SharedArrayBuffer;
  readonly accesses: SharedArrayBuffer;
  readonly cpu: number;
  /** When the run began (hostClockMs). */
  readonly startMs: number;
}

/** What one CPU leaves behind. Times are of this host's wall clock (ER-H7). */
export interface HostCpuResult {
  readonly id: number;
  /** By Counter. */
  readonly counters: Float64Array;
  /** By (metric, node, phase). */
  readonly histograms: readonly HistogramData[];
  readonly phaseStartPs: Float64Array;
  readonly phaseEndPs: Float64Array;
  readonly phaseMarks: Float64Array;
  readonly clockPs: number;
  readonly marks: number;
  readonly attempts: number;
  readonly pinned: boolean;
  readonly reached: readonly string[];
}

export type HostReply =
  | { readonly kind: 'done'; readonly result: HostCpuResult }
  | { readonly kind: 'found'; readonly finding: HostFinding }
  | { readonly kind: 'failed'; readonly error: ErrorData };

/** Kept in shared words, so known of every run, however it ends. */
export interface HostTally {
  /** By active CPU: acquisitions of locks for writing and for reading, marks. */
  readonly writes: readonly number[];
  readonly reads: readonly number[];
  readonly marks: readonly number[];
  readonly rounds: number;
  /** Waits that only the time-out ended: anything but 0 is a bug of the engine. */
  readonly lostWakes: number;
  readonly lateWakes: number;
  readonly wallNs: number;
}

export interface HostResult extends HostTally {
  readonly cpus: readonly HostCpuResult[];
}

/** How a run ended. */
export type HostEnding =
  | { readonly kind: 'finished'; readonly result: HostResult }
  | { readonly kind: 'found'; readonly finding: HostFinding; readonly tally: HostTally }
  | {
      readonly kind: 'stalled';
      readonly livelock: boolean;
      /** A head line, then one line per CPU. */
      readonly lines: readonly string[];
      readonly tally: HostTally;
    }
  | { readonly kind: 'failed'; readonly error: Error; readonly tally: HostTally };
