/**
 * What a run will need of the host, before it starts: memory, so that a run that cannot fit is
 * refused with a figure, and time, where the workload knows its number of operations. Both are
 * rough upper figures, printed by --dry-run; nothing in a result depends on them.
 */

import { totalmem } from 'node:os';
import { UserError } from '../base/errors.ts';
import { formatBytes, GIB, KIB, MIB } from '../base/units.ts';
import { backedBytesPerNode } from './boot.ts';
import { formatSeconds } from './progress.ts';
import { contextOf, type RunSpec } from './run-spec.ts';

export interface Estimate {
  readonly backedBytesPerNode: number;
  /** Host memory of everything at once: all jobs, all threads. */
  readonly hostBytes: number;
  readonly hostLimitBytes: number;
  /** Expected Cpu.mark calls per seed; 0 = the workload doesn't say. */
  readonly operationsPerSeed: number;
  /** null = unknown. */
  readonly seconds: number | null;
}

/** The runtime itself, compiled code and what a thread takes. */
const PROCESS_BYTES = 80 * MIB;
const THREAD_BYTES = 24 * MIB;
/** Directory and last-level cache records of a home. */
const HOME_BYTES = 24 * MIB;
/** Per line of private cache: tag and state, directory record at its home. */
const BYTES_PER_CACHED_LINE = 4 + 64;
/** Operations of a workload (faults, lock acquisitions, loads) per second and core. */
const OPERATIONS_PER_SECOND = 150_000;

export function estimateRun(spec: RunSpec, workersPerSeed: number): Estimate {
  const { machine, placement, workload } = spec;
  const context = contextOf(spec, spec.seeds[0]!);
  const perNode = backedBytesPerNode(workload, context);
  const nodes = machine.memoryBytesOfNode.filter((bytes) => bytes > 0).length;
  const cachedLines = (machine.l1d.bytes + machine.l1i.bytes + machine.l2.bytes) / 64;
  const perCpu = 256 * KIB + cachedLines * BYTES_PER_CACHED_LINE;
  const perSeed =
    perNode * nodes +
    placement.cpus.length * perCpu +
    machine.nodeCount * HOME_BYTES +
    workersPerSeed * THREAD_BYTES;
  const operationsPerSeed = workload.operations?.(context) ?? 0;
  const rounds = Math.ceil(spec.seeds.length / spec.jobs);
  return {
    backedBytesPerNode: perNode,
    hostBytes: PROCESS_BYTES + spec.jobs * perSeed,
    hostLimitBytes: hostMemoryBytes(),
    operationsPerSeed,
    seconds: operationsPerSeed === 0 ? null : (rounds * operationsPerSeed) / OPERATIONS_PER_SECOND,
  };
}

/** Memory that this process may use: the host's, or less in a container. */
function hostMemoryBytes(): number {
  const constrained = process.constrainedMemory?.() ?? 0;
  return constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
}

export function refuseBeyondHost(estimate: Estimate, spec: RunSpec): void {
  if (estimate.hostBytes <= estimate.hostLimitBytes) return;
  throw new UserError(
    `the run needs about ${formatRounded(estimate.hostBytes)} of host memory and the host has ` +
      `${formatRounded(estimate.hostLimitBytes)}; lower ${whatToLower(spec)}`,
  );
}

/** Ends a refusal: what makes a run smaller. */
export function whatToLower({ jobs }: RunSpec): string {
  return ['--cpus', ...(jobs > 1 ? ['--jobs'] : []), 'the memory of the workload'].join(', ');
}

export function estimateLines(estimate: Estimate): string[] {
  const { seconds, operationsPerSeed } = estimate;
  return [
    `host memory: about ${formatRounded(estimate.hostBytes)} of ` +
      `${formatRounded(estimate.hostLimitBytes)} ` +
      `(${formatBytes(estimate.backedBytesPerNode)} with contents per node)`,
    seconds === null
      ? 'time: unknown, the workload does not say how many operations it performs'
      : `time: about ${formatSeconds(seconds)} (${operationsPerSeed} operations per seed)`,
  ];
}

/** Bytes as an estimate deserves. */
export function formatRounded(bytes: number): string {
  return bytes >= GIB ? `${(bytes / GIB).toFixed(1)} GiB` : `${Math.ceil(bytes / MIB)} MiB`;
}
