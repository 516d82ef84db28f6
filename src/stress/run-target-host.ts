/**
 * A stress target on the host engine: soak, with locktorture's own words (kernel/locking/
 * locktorture.c, __torture_print_stats): total, greatest and least acquisitions of the CPUs, `???`
 * if the greatest is more than twice the least, `!!!` if anything failed.
 *
 * Rounds are short and many: each begins from memory as booted, ends with the target's own checks
 * and those oracles that live by events. A schedule can't be replayed here; the failure says how
 * to look for it where it can.
 */

import { PER_CPU_BYTES } from '../cpu/per-cpu.ts';
import { planPins } from '../engine/host/pin.ts';
import { findingText, type HostLimits, runHostToEnd } from '../engine/host/run-host.ts';
import {
  HOST_DEFAULTS,
  type HostEnding,
  type HostSpec,
  type HostTally,
} from '../engine/host/spec.ts';
import { BootMemory } from '../memory/boot.ts';
import { toLinear } from '../memory/physical-address.ts';
import { PhysicalMemory } from '../memory/physical-memory.ts';
import { COUNTERS, METRICS } from '../metrics/definition.ts';
import { compiledUrl } from '../run/host-program.ts';
import { HOST_LABEL } from '../run/host-result.ts';
import type { TargetReference } from './campaign-task.ts';
import { type HostTarget, STRESS_PROGRAMS, type TargetSource } from './host-program.ts';
import type { Finding, StressSize, StressTarget } from './target.ts';
import { stressMachine } from './targets/stress-machine.ts';

/** Rounds of its loop that a CPU makes unless told: enough that all are under way at once. */
const OPERATIONS = 200;
const NAP_EVERY = 256;
const TLBI_LAG = 8;
const EVENT_ROOM = 1 << 16;
const ACCESS_ROOM = 1 << 12;
const ROOM_BYTES = 1 << 20;
/** Random streams of programs are by index; no target has more. */
const STREAMS = ['stress-0', 'stress-1', 'stress-2', 'stress-3'];
const LIMITS: HostLimits = { stallMs: 10_000, livelockMs: 20_000 };

export interface HostStressOptions {
  readonly seconds: number;
  readonly seed: number;
  /** How the worker threads make the target again. */
  readonly source: TargetSource;
  readonly signal?: AbortSignal;
  readonly limits?: HostLimits;
}

export interface HostStress {
  readonly kind: 'passed' | 'failed';
  /** What an oracle found; null: passed, or the run stalled. */
  readonly finding: Finding | null;
  /** For the terminal, locktorture's lines first. */
  readonly lines: readonly string[];
  readonly tally: HostTally;
  readonly reached: readonly string[];
}

export const HOST_NOTE = HOST_LABEL;

/** How threads of so many CPUs would be placed. */
export async function pinText(cpus: number): Promise<string> {
  const machine = stressMachine(cpus);
  return (await planPins(machine, [...machine.nodeOfCpu.keys()])).text;
}

/** The registry's targets, in a worker thread. */
export function sourceOf(reference: TargetReference): TargetSource {
  const module = compiledUrl(import.meta.url.replace('run-target-host', 'registry'));
  return { module, exportName: 'resolveTarget', argument: reference };
}

/** Size of a round on this engine, unless the user says another. */
export function hostSize(target: StressTarget, given: Partial<StressSize> = {}): StressSize {
  return {
    cpus: given.cpus ?? target.usual.cpus,
    operations: given.operations ?? Math.max(OPERATIONS, target.usual.operations),
  };
}

/** Throws what is no finding about the target: bugs, bad input, Ctrl-C. */
export async function runHostTarget(
  target: StressTarget,
  size: StressSize,
  options: HostStressOptions,
): Promise<HostStress> {
  const spec = await specOf(target, size, options);
  const { signal } = options;
  const limits = { ...LIMITS, ...options.limits, ...(signal === undefined ? {} : { signal }) };
  const ending = await runHostToEnd(spec, limits);
  if (ending.kind === 'failed') throw ending.error;
  const tally = ending.kind === 'finished' ? ending.result : ending.tally;
  const failed = ending.kind !== 'finished';
  const lines = [...tortureLines(tally, failed ? 1 : 0), ...endingLines(ending, spec)];
  return {
    kind: failed ? 'failed' : 'passed',
    finding: ending.kind === 'found' ? ending.finding : null,
    lines,
    tally,
    reached: ending.kind === 'finished' ? reachedOf(ending) : [],
  };
}

function reachedOf({ result }: HostEnding & { kind: 'finished' }): string[] {
  return [...new Set(result.cpus.flatMap(({ reached }) => reached))].toSorted();
}

async function specOf(
  target: StressTarget,
  size: StressSize,
  { seconds, seed, source }: HostStressOptions,
): Promise<HostSpec> {
  const { machine, backedBytes } = target.resized?.(size.cpus) ?? target;
  // Rounds are longer here than a target reckons with, and may free late.
  const bytes = Math.max(backedBytes, ROOM_BYTES);
  const buffers = PhysicalMemory.allocate(machine.memoryBytesOfNode, bytes);
  const memory = new PhysicalMemory(buffers);
  const boot = new BootMemory(machine, memory);
  const areas = Array.from(machine.nodeOfCpu, (node, cpu) =>
    toLinear(boot.allocateNamed(`cpu${cpu}`, node, PER_CPU_BYTES, 4096)),
  );
  const image = target.boot(boot, size);
  const activeCpus = areas.map((_, cpu) => cpu).slice(0, size.cpus);
  const context: HostTarget = { source, size };
  return {
    ...HOST_DEFAULTS,
    machine,
    memory: buffers,
    seed,
    activeCpus,
    perCpuHi: areas.map(({ hi }) => hi),
    perCpuLo: areas.map(({ lo }) => lo),
    symbols: boot.symbols,
    streams: STREAMS,
    metricCount: METRICS.length,
    counterCount: COUNTERS.length,
    program: STRESS_PROGRAMS,
    image,
    context,
    napEvery: NAP_EVERY,
    tlbiLag: TLBI_LAG,
    eventRoom: EVENT_ROOM,
    accessRoom: ACCESS_ROOM,
    rounds: { seconds, pristine: buffers.zones.map(copyOf) },
    pins: (await planPins(machine, activeCpus)).pins,
  };
}

function copyOf(buffer: SharedArrayBuffer): SharedArrayBuffer {
  const copy = new SharedArrayBuffer(buffer.byteLength);
  new Uint8Array(copy).set(new Uint8Array(buffer));
  return copy;
}

/** A target without locks counts the rounds of its loops. */
function tortureLines({ writes, reads, marks, rounds }: HostTally, failed: number): string[] {
  // After a whole round, who has none has another part: a reader is no starved writer.
  const taking = (counts: readonly number[]): readonly number[] =>
    rounds === 0 ? counts : counts.filter((count) => count > 0);
  const locks = [...writes, ...reads].some((count) => count > 0);
  if (!locks) return [tortureLine('Rounds', marks, failed)];
  const lines = [tortureLine('Writes', taking(writes), failed)];
  if (reads.some((count) => count > 0)) lines.push(tortureLine('Reads ', taking(reads), failed));
  return lines;
}

export function tortureLine(what: string, counts: readonly number[], failed: number): string {
  const total = counts.reduce((sum, count) => sum + count, 0);
  const most = Math.max(0, ...counts);
  const least = counts.length === 0 ? 0 : Math.min(...counts);
  const uneven = most / 2 > least ? '???' : '';
  const alarm = failed > 0 ? '!!!' : '';
  const text = `${what}:  Total: ${total}  Max/Min: ${most}/${least} ${uneven}  Fail: ${failed} `;
  return `${text}${alarm}`.trimEnd();
}

function endingLines(ending: HostEnding, spec: HostSpec): string[] {
  if (ending.kind === 'finished') return [];
  if (ending.kind === 'found') return [findingText(ending.finding, spec)];
  if (ending.kind === 'failed') return [];
  const [why, ...cpus] = ending.lines;
  const what = ending.livelock ? 'livelock' : 'deadlock';
  return [`${what}: ${why}`, ...cpus.map((line) => `  ${line}`)];
}
