/**
 * What a workload is: one file that exports an object of this type, and one line in registry.ts.
 *
 * `boot` runs once, before emulated time 0, on one thread: it builds tables, locks and objects by
 * direct writes and returns plain data (structured-cloneable: addresses, numbers). `program` is
 * called in the worker thread that owns the CPU and returns what this CPU executes. Both must be
 * functions of their arguments alone.
 */

import type { Parameter, Parameters } from '../src/base/parameters.ts';
import type { Cpu, Program } from '../src/cpu/cpu.ts';
import type { FamilyName } from '../src/kernel/family.ts';
import type { SmpImage } from '../src/kernel/smp/call-function.ts';
import type { KernelTextImage } from '../src/kernel/text/image.ts';
import type { Machine } from '../src/machine/machine.ts';
import type { BootMemory } from '../src/memory/boot.ts';
import type { Address } from '../src/memory/physical-address.ts';
import type { Lock } from '../src/sync/lock.ts';
import type { TraceFeed } from '../src/trace/feed.ts';
import type { ScannedTrace } from '../src/trace/scanned-trace.ts';
import type { KernelMap } from '../src/translation/boot-tables.ts';

/** Which CPUs take part and what each does; decided before boot. */
export interface Placement {
  /** CPU numbers in the order in which roles are given out (vCPU 0 is cpus[0], ...). */
  readonly cpus: readonly number[];
  /** Where memory goes. */
  readonly memoryPolicy: 'first-touch' | 'interleave' | 'bind';
  /** Node of `bind:N`. */
  readonly bindNode: number;
}

export interface WorkloadContext {
  readonly machine: Machine;
  readonly placement: Placement;
  /** Workload parameters and kernel options, resolved; sizes in bytes, times in ps. */
  readonly parameters: Parameters;
  readonly seed: number;
  /** Where the CPUs of a trace find their records; only while it runs. */
  readonly feed?: TraceFeed;
}

/** The kernel as a workload finds it when it boots. */
export interface BootedKernel {
  /** The kernel's half of the address space: boot functions map into it. */
  readonly map: KernelMap;
  /** TTBR0 of each CPU at time 0, a physical address. */
  readonly userRoots: readonly Address[];
  /** Function calls between CPUs; null unless the workload reads 'text' or 'execmem'. */
  readonly smp: SmpImage | null;
  /**
   * The kernel's own text; null unless the workload reads the family 'text'. What programs need of
   * it goes into the workload's image.
   */
  readonly text: KernelTextImage | null;
}

/** Plain data. */
export type Image = unknown;

/** What a run adds to its report: a line of the selftest's own output, or a named figure. */
export interface ReportLine {
  readonly text: string;
}

/** One histogram in short; the mean is from the exact sum. */
export interface LatencyFacts {
  readonly count: number;
  readonly minNs: number;
  readonly meanNs: number;
  readonly p50Ns: number;
  readonly p99Ns: number;
  readonly maxNs: number;
}

/** Facts of a finished run that a workload's report may use. */
export interface RunFacts {
  readonly emulatedNs: number;
  /**
   * First start and last end of each phase over all CPUs that were in it, in ns; null = never
   * entered.
   */
  readonly phases: readonly ({
    readonly startNs: number;
    readonly endNs: number;
    readonly operations: number;
  } | null)[];
  /** Sum of a counter over all CPUs, by name. */
  readonly counters: Readonly<Record<string, number>>;
  /** The same by CPU, in order of CPU number. */
  readonly countersOfCpu: Readonly<Record<string, readonly number[]>>;
  /** Recorded latencies of a metric, by node and phase; null = all nodes, all measured phases. */
  readonly latency: (
    metric: number,
    node: number | null,
    phase: number | null,
  ) => LatencyFacts | null;
  /** 32-bit word of emulated memory after the run (physical address). */
  readonly peek32: (paHi: number, paLo: number) => number;
}

export interface GuestTranslation {
  /** log2 of the guest's page size. */
  readonly guestGranuleShift: number;
  /** Input address bits of stage 2. */
  readonly ipaBits: number;
}

export interface WorkloadPhase {
  readonly name: string;
  readonly warmUp?: boolean;
}

export interface Workload {
  readonly name: string;
  /** One line for `list workloads`. */
  readonly description: string;
  /** Where the workload and its defaults come from. */
  readonly source: string;
  readonly parameters: readonly Parameter[];
  /** Families of kernel options that this workload reads. */
  readonly kernelOptions: readonly FamilyName[];
  /** Kernel options that this workload sets unless told, as the user would write them. */
  readonly kernelDefaults?: Readonly<Record<string, string>>;
  /** What the seed moves, one line each. */
  readonly seedMoves: readonly string[];
  /**
   * Names of the phases, in order; Cpu.phase(i) enters phases[i]. Warm-up phases are left out of
   * totals. A function where options decide (sizes, iterations): read it through phasesOf.
   */
  readonly phases:
    | readonly WorkloadPhase[]
    | ((context: WorkloadContext) => readonly WorkloadPhase[]);
  /** Names of the random streams, in order of Cpu.random(i). */
  readonly streams: readonly string[];
  /** Machine the workload runs on unless told (a bundled name). */
  readonly defaultMachine: string;
  /** How a number of CPUs is laid out unless told; packed if absent. */
  readonly defaultPlacement?: 'packed' | 'spread';
  /** CPUs used unless told (helpers included), given the machine and the parameters. */
  defaultCpus(machine: Machine, parameters: Parameters): number;
  /** CPUs needed beside the first-class ones (VMM main thread, userfaultfd handlers), of `cpus`. */
  helperCpus(parameters: Parameters, cpus: number): number;
  /** Runs on x86 profiles already? (Needs no Arm-only mechanism.) */
  readonly runsOnX86: boolean;
  /** Bytes with contents to set aside per node. */
  backedBytes(context: WorkloadContext): number;
  /** Guest translation, where the workload has guests of its own kind; KVM's defaults if absent. */
  guestTranslation?(context: WorkloadContext): GuestTranslation;
  /** Least number of CPUs, for a clear refusal. */
  readonly minimumCpus: number;
  /**
   * Where `lock` is a parameter: the same workload with one more value of it, a lock from a user's
   * file.
   */
  withLock?(file: string, lock: Lock): Workload;
  /** Where `input` is a parameter: the same workload with a trace that has been scanned. */
  withTrace?(trace: ScannedTrace): Workload;
  /** Completed operations (Cpu.mark) to expect of a run, for progress and time estimates. */
  operations?(context: WorkloadContext): number;
  boot(boot: BootMemory, context: WorkloadContext, kernel: BootedKernel): Image;
  /** The program of one CPU of the placement; null: the CPU stays idle from the start. */
  program(cpu: Cpu, image: Image, context: WorkloadContext): Program | null;
  /** The workload's own printed words after the run. */
  report?(facts: RunFacts, image: Image, context: WorkloadContext): readonly ReportLine[];
}

export function phasesOf(workload: Workload, context: WorkloadContext): readonly WorkloadPhase[] {
  return typeof workload.phases === 'function' ? workload.phases(context) : workload.phases;
}
