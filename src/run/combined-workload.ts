/**
 * Several workloads on CPU sets of their own at once, made to look like one workload: a profile.
 * Each part boots with its own placement and share of memory and keeps its own phases; they follow
 * each other in the combined list as "label:phase", so that every histogram can be read per set.
 */

import {
  type BootedKernel,
  type GuestTranslation,
  type Image,
  phasesOf,
  type ReportLine,
  type RunFacts,
  type Workload,
  type WorkloadContext,
  type WorkloadPhase,
} from '../../workloads/workload.ts';
import { assert } from '../base/assert.ts';
import { UserError } from '../base/errors.ts';
import type { Cpu, Program } from '../cpu/cpu.ts';
import type { CodeImage } from '../kernel/code/image.ts';
import type { FamilyName } from '../kernel/family.ts';
import type { SmpImage } from '../kernel/smp/call-function.ts';
import { openKernelSmp } from '../kernel/smp/functions.ts';
import { executeTextOnEntry } from '../kernel/text/entry.ts';
import { fetchHitPs } from '../kernel/text/fetch.ts';
import type { Machine } from '../machine/machine.ts';
import type { BootMemory } from '../memory/boot.ts';
import type { SliceableFacts } from './facts.ts';
import type { ProfilePart } from './task.ts';

interface Part {
  readonly label: string;
  readonly workload: Workload;
  readonly context: WorkloadContext;
  readonly phases: readonly WorkloadPhase[];
  readonly firstPhase: number;
  readonly firstStream: number;
  /** Boots and does not run. */
  readonly off: boolean;
}

/** Plain data. */
interface Images {
  readonly parts: readonly Image[];
  readonly code: CodeImage | null;
  readonly smp: SmpImage | null;
}

export function combineParts(
  name: string,
  described: readonly ProfilePart[],
  workloads: readonly Workload[],
  blocksPerEntry = 0,
): Workload {
  const hasText = blocksPerEntry > 0;
  const parts: Part[] = [];
  let firstPhase = 0;
  let firstStream = 0;
  described.forEach((part, index) => {
    const workload = workloads[index]!;
    const own = phasesOf(workload, part.context);
    const phases = own.length > 0 ? own : [{ name: 'all' }];
    const { label, context, off } = part;
    parts.push({ label, workload, context, phases, firstPhase, firstStream, off });
    firstPhase += phases.length;
    firstStream += workload.streams.length;
  });
  const running = parts.filter(({ off }) => !off);
  const sum = (figure: (part: Part) => number, of = parts): number =>
    of.reduce((total, part) => total + figure(part), 0);
  const helpers = sum(
    (part) => part.workload.helperCpus(part.context.parameters, part.context.placement.cpus.length),
    running,
  );
  const cpuCount = sum((part) => part.context.placement.cpus.length, running);
  const kernelOptions = familiesOf(parts, hasText);
  const calls = callsFunctions(kernelOptions);
  return {
    name,
    description: parts.map((part) => `${part.label}: ${part.workload.name}`).join(', '),
    source: 'profile',
    parameters: [],
    kernelOptions,
    seedMoves: parts.flatMap((part) =>
      part.workload.seedMoves.map((line) => `${part.label}: ${line}`),
    ),
    phases: [
      ...parts.flatMap((part) =>
        part.phases.map((phase) => ({ ...phase, name: `${part.label}:${phase.name}` })),
      ),
      ...(calls ? [{ name: 'finished', warmUp: true }] : []),
    ],
    streams: [
      ...parts.flatMap((part) => part.workload.streams.map((stream) => `${part.label}:${stream}`)),
      ...(hasText ? ['kernel text'] : []),
    ],
    defaultMachine: parts[0]!.workload.defaultMachine,
    defaultCpus: () => cpuCount,
    helperCpus: () => helpers,
    runsOnX86: parts.every((part) => part.workload.runsOnX86),
    minimumCpus: cpuCount,
    backedBytes: (context) =>
      sum((part) => part.workload.backedBytes({ ...part.context, seed: context.seed })),
    guestTranslation: () => commonGuestTranslation(parts),
    operations: () => {
      const each = running.map(({ workload, context }) => workload.operations?.(context) ?? 0);
      return each.includes(0) ? 0 : each.reduce((total, count) => total + count, 0);
    },
    boot: (boot, context, kernel) => bootParts(boot, parts, context.seed, kernel),
    program: (cpu, image, context) => {
      const text = { blocks: blocksPerEntry, stream: firstStream };
      return programOf(cpu, image as Images, parts, context, { text, lastPhase: firstPhase });
    },
    report: (facts, image, context) => reportParts(facts, image as Images, parts, context.seed),
  };
}

/** The machine has one setting for all its guests. */
function commonGuestTranslation(parts: readonly Part[]): GuestTranslation {
  const wanted = parts.flatMap((part) => part.workload.guestTranslation?.(part.context) ?? []);
  const first = wanted[0] ?? { guestGranuleShift: 12, ipaBits: 40 };
  const differs = wanted.some(
    (other) =>
      other.guestGranuleShift !== first.guestGranuleShift || other.ipaBits !== first.ipaBits,
  );
  if (differs) throw new UserError('mode: all guests of a profile must have the same mode');
  return first;
}

function familiesOf(parts: readonly Part[], hasText: boolean): readonly FamilyName[] {
  const own = parts.flatMap((part) => part.workload.kernelOptions);
  return [...new Set<FamilyName>([...own, ...(hasText ? (['text'] as const) : [])])];
}

/** Parts boot one after the other; each takes an equal share of what the earlier ones left. */
function bootParts(
  boot: BootMemory,
  parts: readonly Part[],
  seed: number,
  kernel: BootedKernel,
): Images {
  const images = parts.map((part, index) => {
    const context = { ...part.context, seed };
    return boot.withShare(parts.length - index, `${part.label}:`, (own) =>
      part.workload.boot(own, context, kernel),
    );
  });
  return { parts: images, code: kernel.text?.code ?? null, smp: kernel.smp };
}

/** Kernel text that every entry to the kernel executes; blocks = 0: none. */
interface TextPerEntry {
  readonly blocks: number;
  /** Number of its stream among all. */
  readonly stream: number;
}

interface Surroundings {
  readonly text: TextPerEntry;
  /** Number of the phase of CPUs that have finished, among all. */
  readonly lastPhase: number;
}

function programOf(
  cpu: Cpu,
  images: Images,
  parts: readonly Part[],
  { machine, seed }: WorkloadContext,
  { text, lastPhase }: Surroundings,
): Program | null {
  const index = parts.findIndex((part) => part.context.placement.cpus.includes(cpu.id));
  if (index < 0) return null;
  const part = parts[index]!;
  if (part.off) return null;
  const finish = cpu.phase.bind(cpu, lastPhase);
  renumber(cpu, part);
  if (images.code !== null && text.blocks > 0) {
    const own = text.stream - part.firstStream;
    const hitPs = fetchHitPs(machine);
    executeTextOnEntry(cpu, { code: images.code, stream: own, blocks: text.blocks, hitPs });
  }
  const context = { ...part.context, seed };
  const program = part.workload.program(cpu, images.parts[index]!, context);
  if (program === null) return null;
  const { smp } = images;
  if (smp === null || answersCalls(part)) return startInPhase(cpu, program);
  return startInPhase(cpu, withCalls(cpu, machine, smp, program, finish));
}

/** Parts that call functions on other CPUs answer them too, and leave by themselves. */
function answersCalls({ workload }: Part): boolean {
  return callsFunctions(workload.kernelOptions);
}

/** Families whose systems call functions on other CPUs. */
function callsFunctions(families: readonly FamilyName[]): boolean {
  return families.includes('text') || families.includes('execmem');
}

/** The CPU answers the calls of other parts until nobody calls any more. */
function* withCalls(
  cpu: Cpu,
  machine: Machine,
  smp: SmpImage,
  program: Program,
  finish: () => void,
): Program {
  const { calls } = openKernelSmp(cpu, machine, smp);
  yield program;
  finish();
  yield calls.leave(cpu);
}

/** Invariant: a CPU belongs to one part, so its phase and stream numbers stay shifted. */
function renumber(cpu: Cpu, part: Part): void {
  const phase = cpu.phase.bind(cpu);
  const random = cpu.random.bind(cpu);
  cpu.phase = (index) => {
    assert(index >= 0 && index < part.phases.length, `phase ${index} of ${part.label}`);
    phase(part.firstPhase + index);
  };
  cpu.random = (stream) => random(part.firstStream + stream);
}

function* startInPhase(cpu: Cpu, program: Program): Program {
  cpu.phase(0);
  yield program;
}

/** What each part prints, from the facts of its own phases and CPUs. */
function reportParts(
  facts: RunFacts,
  images: Images,
  parts: readonly Part[],
  seed: number,
): readonly ReportLine[] {
  return parts.flatMap((part, index) => {
    if (part.off) return [{ text: `[${part.label}] off` }];
    const context = { ...part.context, seed };
    const own = (facts as SliceableFacts).slice({
      firstPhase: part.firstPhase,
      warmUp: part.phases.map((phase) => phase.warmUp === true),
      cpus: new Set(part.context.placement.cpus),
    });
    const lines = part.workload.report?.(own, images.parts[index]!, context) ?? [];
    return [{ text: `[${part.label}] ${part.workload.name}` }, ...lines];
  });
}
