/**
 * What the page-fault tests of will-it-scale have in common (main.c): tasks pinned to CPUs, each
 * counting its iterations in a slot of 128 bytes; after some warm-up, samples of equal length from
 * which min, max and total per second are printed, and their average.
 *
 * Deviations: every task makes one pass over its area before the samples begin, then all start
 * together; a sample is a stretch of emulated time (1 s in will-it-scale) and each task notes its
 * own count at its end; warm-up samples are left out of the average as in main.c.
 */

import type { Parameter } from '../../src/base/parameters.ts';
import { formatBytes, formatPs, KIB, LINE_BYTES, MIB, PS_PER_S } from '../../src/base/units.ts';
import type { Cpu, Program } from '../../src/cpu/cpu.ts';
import { Order } from '../../src/cpu/operations.ts';
import type { BootMemory } from '../../src/memory/boot.ts';
import { type Address, addBytes, toLinear } from '../../src/memory/physical-address.ts';
import type { ReportLine, RunFacts, WorkloadContext, WorkloadPhase } from '../workload.ts';
import { BARRIER_BYTES, barrier } from './barrier.ts';
import { numberOf, textOf } from './values.ts';

export const PHASES: readonly WorkloadPhase[] = [
  { name: 'warm-up', warmUp: true },
  { name: 'measurement' },
  { name: 'end', warmUp: true },
];
export const STREAMS: readonly string[] = ['start'];
export const SEED_MOVES: readonly string[] = ['when each task starts, within 1 us'];

/** MEMSIZE, the length of a sample and the number of warm-up samples of main.c. */
const MEMSIZE_BYTES = 128 * MIB;
const SAMPLE_PS = PS_PER_S;
const WARMUP_SAMPLES = 6;

/** CACHELINE_SIZE of main.c. */
const SLOT_BYTES = 128;
const START_SKEW_PS = 1_000_000;
const SAMPLES_MAX = 1000;

/** `scaledSize`: the default area. */
export function parameters(scaledSize: string): readonly Parameter[] {
  return [
    {
      name: 'mode',
      kind: 'choice',
      values: ['processes', 'threads'],
      default: 'processes',
      description: 'one address space per task, or one for all tasks (the _threads binaries)',
    },
    {
      name: 'iterations',
      alias: 's',
      kind: 'count',
      default: '3',
      minimum: 1,
      maximum: SAMPLES_MAX,
      description: 'samples taken after the warm-up',
    },
    {
      name: 'warmup',
      kind: 'count',
      default: '1',
      minimum: 0,
      maximum: SAMPLES_MAX,
      description: 'samples thrown away before; will-it-scale throws away 6',
    },
    {
      name: 'sampleTime',
      kind: 'time',
      unit: 'us',
      default: '1ms',
      minimum: START_SKEW_PS,
      maximum: 10 * PS_PER_S,
      description: 'emulated length of a sample; will-it-scale has 1 s',
    },
    {
      name: 'size',
      kind: 'size',
      default: scaledSize,
      minimum: 4 * KIB,
      maximum: 1024 * MIB,
      description: 'memory that each task maps, in whole pages; will-it-scale has 128M',
    },
  ];
}

export interface SamplePlan {
  readonly warmup: number;
  readonly samples: number;
  readonly samplePs: number;
}

export function samplePlan(context: WorkloadContext): SamplePlan {
  const { parameters } = context;
  return {
    warmup: numberOf(parameters, 'warmup'),
    samples: numberOf(parameters, 'iterations'),
    samplePs: numberOf(parameters, 'sampleTime'),
  };
}

/** Area of a task, rounded up to whole pages. */
export function areaBytes(context: WorkloadContext): number {
  return Math.ceil(numberOf(context.parameters, 'size') / 4096) * 4096;
}

export function isThreads(context: WorkloadContext): boolean {
  return textOf(context.parameters, 'mode') === 'threads';
}

/** Plain data: physical addresses. */
export interface ResultImage {
  readonly start: Address;
  /** By task: the slot that counts, and the counts at the end of each sample. */
  readonly slots: readonly Address[];
  readonly counts: readonly Address[];
}

export function resultBytes(context: WorkloadContext): number {
  const { warmup, samples } = samplePlan(context);
  const counts = Math.ceil(((warmup + samples) * 4) / LINE_BYTES) * LINE_BYTES;
  return BARRIER_BYTES + context.placement.cpus.length * (SLOT_BYTES + counts);
}

/** The slots of all tasks side by side on the first task's node, as in initialise_shared_area. */
export function bootResults(boot: BootMemory, context: WorkloadContext): ResultImage {
  const { cpus } = context.placement;
  const { warmup, samples } = samplePlan(context);
  const node = context.machine.nodeOfCpu[cpus[0]!]!;
  const area = boot.allocateNamed('results', node, cpus.length * SLOT_BYTES, SLOT_BYTES);
  return {
    start: boot.allocateNamed('start', node, BARRIER_BYTES, BARRIER_BYTES),
    slots: cpus.map((_, task) => addBytes(area, task * SLOT_BYTES)),
    counts: cpus.map((cpu) =>
      boot.allocate(context.machine.nodeOfCpu[cpu]!, (warmup + samples) * 4),
    ),
  };
}

/** Counts a task's iterations and notices the ends of its samples. */
export class Sampler {
  readonly #plan: SamplePlan;
  readonly #slot: Address;
  readonly #counts: Address;
  /** Index of the phase of the warm-up; measurement and the rest follow. */
  readonly #firstPhase: number;
  readonly #deadlines: number[] = [];
  #iterations = 0;
  #sample = 0;

  constructor(plan: SamplePlan, image: ResultImage, task: number, firstPhase = 0) {
    this.#plan = plan;
    this.#firstPhase = firstPhase;
    this.#slot = toLinear(image.slots[task]!);
    this.#counts = toLinear(image.counts[task]!);
  }

  /** All tasks begin together, a little apart. */
  *start(cpu: Cpu, image: ResultImage, tasks: number): Program {
    const { hi, lo } = toLinear(image.start);
    yield barrier(cpu, hi, lo, tasks);
    cpu.compute(cpu.random(0) % START_SKEW_PS);
    const { warmup, samples, samplePs } = this.#plan;
    for (let end = 1; end <= warmup + samples; end++) {
      this.#deadlines.push(cpu.deadline(end * samplePs));
    }
    cpu.phase(this.#firstPhase + (warmup === 0 ? 1 : 0));
  }

  get isOver(): boolean {
    return this.#deadlines.length > 0 && this.#sample === this.#deadlines.length;
  }

  /** (*iterations)++, and the end of a sample if its time has come. */
  *count(cpu: Cpu): Program {
    this.#iterations++;
    const { hi, lo } = this.#slot;
    while (!cpu.store32(hi, lo, this.#iterations, Order.Relaxed)) yield;
    cpu.mark();
    while (!this.isOver && this.#isDue(cpu)) {
      const at = this.#counts.lo + this.#sample * 4;
      while (!cpu.store32(this.#counts.hi, at, this.#iterations, Order.Relaxed)) yield;
      this.#sample++;
      if (this.#sample === this.#plan.warmup) cpu.phase(this.#firstPhase + 1);
      if (this.isOver) cpu.phase(this.#firstPhase + 2);
    }
  }

  #isDue(cpu: Cpu): boolean {
    const deadline = this.#deadlines[this.#sample];
    return deadline !== undefined && cpu.expired(deadline);
  }
}

/** What main.c prints, per second. */
export function report(
  description: string,
  facts: RunFacts,
  image: ResultImage,
  context: WorkloadContext,
): readonly ReportLine[] {
  const plan = samplePlan(context);
  const perSecond = SAMPLE_PS / plan.samplePs;
  const previous = image.counts.map(() => 0);
  const lines = [`testcase:${description}`, ...scaledWords(context), 'warmup'];
  let total = 0;
  for (let sample = 0; sample < plan.warmup + plan.samples; sample++) {
    if (sample === plan.warmup) lines.push('measurement');
    const rates = image.counts.map(({ hi, lo }, task) => {
      const count = facts.peek32(hi, lo + sample * 4);
      // A task that was stuck over the whole run has no count for its last samples.
      const rate = Math.max(0, count - previous[task]!) * perSecond;
      previous[task] = Math.max(count, previous[task]!);
      return Math.round(rate);
    });
    const sum = rates.reduce((a, b) => a + b, 0);
    lines.push(`min:${Math.min(...rates)} max:${Math.max(...rates)} total:${sum}`);
    if (sample >= plan.warmup) total += sum;
  }
  lines.push(`average:${Math.floor(total / plan.samples)}`);
  return lines.map((text) => ({ text }));
}

/** Every figure that is smaller than will-it-scale's own. */
function scaledWords(context: WorkloadContext): string[] {
  const plan = samplePlan(context);
  const words: string[] = [];
  const bytes = areaBytes(context);
  if (bytes !== MEMSIZE_BYTES) words.push(`size ${formatBytes(bytes)} (128M)`);
  if (plan.samplePs !== SAMPLE_PS) words.push(`samples of ${formatPs(plan.samplePs)} (1 s)`);
  if (plan.warmup !== WARMUP_SAMPLES) words.push(`${plan.warmup} warm-up samples (6)`);
  return words.length === 0 ? [] : [`scaled: ${words.join(', ')}; rates are per emulated second`];
}

/** About how many iterations all samples make, if each takes `operationPs`. */
export function expectedOperations(context: WorkloadContext, operationPs: number): number {
  const plan = samplePlan(context);
  const length = (plan.warmup + plan.samples) * plan.samplePs;
  return Math.max(1, Math.round(length / operationPs)) * context.placement.cpus.length;
}
