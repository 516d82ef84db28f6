/**
 * What a run of the virtual engine is given and what each worker gives back: plain data, shared
 * buffers and nothing else, so that it crosses thread boundaries as it is.
 */

import type { CpuLog } from '../../checkers/cpu-watch.ts';
import type { Machine } from '../../machine/machine.ts';
import type { NamedMemory } from '../../memory/boot.ts';
import type { Address } from '../../memory/physical-address.ts';
import type { PhysicalMemoryBuffers } from '../../memory/physical-memory.ts';
import type { HistogramData } from '../../metrics/recorder.ts';

/** Translation set-up of the whole machine; roots are physical addresses. */
export interface TranslationSetup {
  /** Kernel root (TTBR1), the same for all CPUs unless text is replicated. By CPU. */
  readonly kernelRoots: readonly Address[];
  /** The CPU's own root page (TTBR0). By CPU. */
  readonly userRoots: readonly Address[];
  /** log2 of the granule: 12, 14, 16. */
  readonly hostGranuleShift: number;
  readonly guestGranuleShift: number;
  readonly stage2GranuleShift: number;
  /** Input address bits of a guest's stage 2 (VTCR). */
  readonly ipaBits: number;
}

/** Switches that never change a result, only check it or try to disturb it. */
export interface EngineDebug {
  /** ER-T12b: host order of accesses to a backed line must follow emulated time. */
  readonly witness: boolean;
  /** ER-T12: shuffle CPU order, mailbox order and node order; 0 = off, else the shuffle's seed. */
  readonly shuffle: number;
  /** Checkers: translations are watched and events logged for a replay (src/checkers). */
  readonly translations: boolean;
  /** Assert that a refused attempt is repeated unchanged. */
  readonly repeats: boolean;
}

export interface EngineSpec {
  readonly machine: Machine;
  readonly memory: PhysicalMemoryBuffers;
  readonly seed: number;
  /** CPUs that run a program, ascending. All others are absent: they hold nothing. */
  readonly activeCpus: readonly number[];
  /** Worker of each CPU of the machine and of each node's home; workers are 0..workerCount-1. */
  readonly workerCount: number;
  readonly workerOfCpu: readonly number[];
  readonly workerOfNode: readonly number[];
  /** Linear-map address of each CPU's own area (PerCpu). */
  readonly perCpuHi: readonly number[];
  readonly perCpuLo: readonly number[];
  readonly translation: TranslationSetup;
  readonly symbols: readonly NamedMemory[];
  readonly metricCount: number;
  readonly counterCount: number;
  readonly phaseCount: number;
  readonly streams: readonly string[];
  /** Emulated time without a completed operation anywhere that ends the run as a livelock. */
  readonly progressLimitPs: number;
  readonly debug: EngineDebug;
  readonly buffers: EngineBuffers;
}

/** Shared by all workers and the main thread. */
export interface EngineBuffers {
  /** Int32: see control.ts. The main thread sets the abort word and reads progress. */
  readonly control: SharedArrayBuffer;
  /** Float64: minima of pending times, double-buffered by meeting parity. */
  readonly minima: SharedArrayBuffer;
  /** Float64, per worker: outgoing messages, double-buffered by meeting parity. */
  readonly outboxes: readonly SharedArrayBuffer[];
  /** Reports of workers with whole nodes (reports.ts). */
  readonly reports: SharedArrayBuffer;
  /** Of workers that sleep (doorbell.ts). */
  readonly doorbells: SharedArrayBuffer;
  /** Float64: messages of worker a to b at a x workers + b (channel.ts). */
  readonly channels: readonly SharedArrayBuffer[];
  /** Float64, two per worker (by meeting parity), growable: messages beyond an outbox' capacity. */
  readonly overflows: readonly SharedArrayBuffer[];
  /** Float64: order witness, by node: [last read, last write] per backed line; empty when off. */
  readonly witness: readonly SharedArrayBuffer[];
  /** Uint8, by node: pages with contents that are or were tables, for checkers. */
  readonly tableMarks: readonly SharedArrayBuffer[];
}

/** What one CPU leaves behind. */
export interface CpuResult {
  readonly id: number;
  readonly clockPs: number;
  /** By Counter. */
  readonly counters: Float64Array;
  /** Rolling 32-bit hash of the CPU's grants (time, line, state). */
  readonly grantHash: number;
  /** By phase: first start, last end (ps, -1 = never entered), operations marked in it. */
  readonly phaseStartPs: Float64Array;
  readonly phaseEndPs: Float64Array;
  readonly phaseMarks: Float64Array;
  /** Costs used (by Cost): charged count. */
  readonly costUses: Float64Array;
  /** How the program stood at the end: 'finished', or what it waits for (deadlock report). */
  readonly state: string;
}

export interface SymbolTraffic {
  readonly name: string;
  /**
   * Lines granted to CPUs of the home's own node / of other nodes, cache-to-cache transfers only.
   */
  readonly local: number;
  readonly remote: number;
}

/** Why the run ended. */
export type Ending =
  | { readonly kind: 'finished' }
  | {
      readonly kind: 'deadlock' | 'no-progress';
      readonly atPs: number;
      readonly report: readonly string[];
    };

export interface WorkerResult {
  readonly worker: number;
  readonly cpus: readonly CpuResult[];
  readonly histograms: readonly HistogramData[];
  readonly symbols: readonly SymbolTraffic[];
  readonly ending: Ending;
  /** What checkers need of each CPU; empty when checks are off. */
  readonly logs: readonly CpuLog[];
  /** Host-side facts, never part of the digest. */
  readonly windows: number;
  readonly meetings: number;
  /** Requests served by the homes of this worker. */
  readonly transactions: number;
  /** Requests ordered by the tie hash alone. */
  readonly ties: number;
}
