/**
 * What the workloads of kernel text have in common: how a CPU gets into its kernel, passes through
 * text as system calls or as exits of guests, and the report by node. That a design's gain depends
 * on the node is the point of the report: a sum over nodes would hide it.
 */

import { formatBytes, KIB, LINE_BYTES, MIB } from '../../src/base/units.ts';
import type { Cpu, Program } from '../../src/cpu/cpu.ts';
import type { CodePath } from '../../src/kernel/code/execute.ts';
import { type EntryText, runText } from '../../src/kernel/text/entry.ts';
import { fetchHitPs } from '../../src/kernel/text/fetch.ts';
import { startCpu } from '../../src/kernel/text/host-stage2.ts';
import { copiedBytes, type KernelTextImage } from '../../src/kernel/text/image.ts';
import { KernelEntry } from '../../src/kernel/text/kpti.ts';
import {
  bootTextPatching,
  openTextPatching,
  type TextPatching,
  type TextPatchingImage,
} from '../../src/kernel/text/patching.ts';
import { Cost } from '../../src/machine/costs.ts';
import type { Machine } from '../../src/machine/machine.ts';
import type { BootMemory } from '../../src/memory/boot.ts';
import { type Address, toLinear } from '../../src/memory/physical-address.ts';
import { Metric } from '../../src/metrics/definition.ts';
import { makeQueuedSpinlock } from '../../src/sync/qspinlock.ts';
import type { BootedKernel, ReportLine, RunFacts, WorkloadContext } from '../workload.ts';
import { BARRIER_BYTES, barrier } from './barrier.ts';
import { textTable } from './text-table.ts';

/** First streams of these workloads. */
export const TEXT_STREAMS: readonly string[] = ['kernel text'];
const STREAM_TEXT = 0;
/** What is hot beside the defaults of the family: more than private caches hold. */
export const LARGE_TEXT: Readonly<Record<string, string>> = { textSize: '8M', hotText: '4M' };
const CPUS_PER_NODE = 4;

/** Plain data. */
export interface TextRunImage {
  readonly patching: TextPatchingImage;
  readonly userRoots: readonly Address[];
  readonly barrier: Address;
}

/** Backed bytes beside the text itself. */
export const TEXT_RUN_BYTES = MIB + 64 * KIB;

export function textCpus(machine: Machine): number {
  return Math.min(machine.cpuCount, CPUS_PER_NODE * machine.nodeCount);
}

export function bootTextRun(
  memory: BootMemory,
  context: WorkloadContext,
  { map, text, smp, userRoots }: BootedKernel,
): TextRunImage {
  const first = context.machine.nodeOfCpu[context.placement.cpus[0]!]!;
  const words = memory.allocateNamed('start', first, BARRIER_BYTES, BARRIER_BYTES);
  return {
    patching: bootTextPatching(
      memory,
      { map, userRoots, text: text!, smp: smp! },
      makeQueuedSpinlock(),
    ),
    userRoots,
    barrier: toLinear(words),
  };
}

/** One CPU in its kernel. */
export class TextCpu {
  readonly cpu: Cpu;
  readonly patching: TextPatching;
  readonly entry: KernelEntry;
  readonly text: KernelTextImage;
  readonly #image: TextRunImage;
  readonly #context: WorkloadContext;

  constructor(cpu: Cpu, image: TextRunImage, context: WorkloadContext) {
    this.cpu = cpu;
    this.#image = image;
    this.#context = context;
    this.text = image.patching.text;
    this.entry = new KernelEntry(cpu, this.text);
    this.entry.watchInterrupts(cpu);
    const lock = makeQueuedSpinlock();
    this.patching = openTextPatching(cpu, context.machine, image.patching, lock);
  }

  /** The first thing: roots and regime. `userRoot`: default, the CPU's own empty space. */
  *start(userRoot = this.#image.userRoots[this.cpu.id]!): Program {
    const { hyp } = this.patching;
    yield* startCpu(this.cpu, this.text, userRoot, (cpu) => hyp.trap(cpu));
  }

  *meet(): Program {
    const { hi, lo } = this.#image.barrier;
    yield barrier(this.cpu, hi, lo, this.#context.placement.cpus.length);
  }

  /**
   * Hot text as a kernel that has run for a while has it: in the last level of the nodes that it
   * lies on. The CPUs of a node share the lines, so that their own caches stay as they were.
   */
  *warm(): Program {
    const { cpu } = this;
    const { code, options } = this.text;
    const { placement, machine } = this.#context;
    const mates = placement.cpus.filter((other) => machine.nodeOfCpu[other] === cpu.node);
    const first = mates.indexOf(cpu.id) * LINE_BYTES;
    for (let at = first; at < options.hotTextBytes; at += mates.length * LINE_BYTES) {
      while (!cpu.fetch(code.hi, (code.lo + at) | 0)) yield;
    }
    yield* this.meet();
  }

  /** A stretch of kernel text; on a path that goes on, where one is given. */
  run(blocks: number, path?: CodePath): Program {
    const text: EntryText = {
      code: this.text.code,
      stream: STREAM_TEXT,
      blocks,
      hitPs: fetchHitPs(this.#context.machine),
    };
    return runText(this.cpu, text, path);
  }

  /** A system call: in, the program, out. */
  *systemCall(body: Program): Program {
    const { cpu, entry } = this;
    cpu.begin(Metric.TextCall);
    yield* entry.enter(cpu);
    cpu.spend(Cost.Syscall);
    yield body;
    yield* entry.leave(cpu);
    cpu.end(Metric.TextCall);
  }

  /** The CPU has nothing left to ask of others; answers them until nobody has. */
  *leave(): Program {
    yield* this.entry.enter(this.cpu);
    yield* this.patching.smp.calls.leave(this.cpu);
  }
}

/** What the design costs in memory. */
export function memoryLine({ options, copies, ...image }: KernelTextImage): string {
  const { text, ktext, kpti, protectCopies } = options;
  const tables = Math.ceil(image.tableBytes / KIB) * KIB;
  const size = copiedBytes({ options, copies, ...image });
  const words = [`text=${text}${ktext ? '' : ' ktext=off'}`];
  if (kpti) words.push('kpti=on');
  if (protectCopies) words.push('protectCopies=on');
  const nodes = copies.map(({ node }) => node).join(', ');
  const where = copies.length === 1 ? `one copy, on node ${nodes}` : `copies on nodes ${nodes}`;
  return (
    `${words.join(' ')}: ${formatBytes(size)} of text and rodata, ${where}; ` +
    `copies ${formatBytes(size * (copies.length - 1))}, tables ${formatBytes(tables)}`
  );
}

/** Nodes that have CPUs in the run. */
export function nodesOf({ machine, placement }: WorkloadContext): number[] {
  const nodes = new Set(placement.cpus.map((cpu) => machine.nodeOfCpu[cpu]!));
  return [...nodes].sort((a, b) => a - b);
}

/** What a counter is on one node, over the whole run: only shares of it mean anything. */
function sumOnNode(facts: RunFacts, { machine }: WorkloadContext, node: number, name: string) {
  const values = facts.countersOfCpu[name] ?? [];
  return values.reduce(
    (sum, value, cpu) => (machine.nodeOfCpu[cpu] === node ? sum + value : sum),
    0,
  );
}

/** A line per node: lines missed per pass, where from, and what they and the pass took. */
export function fetchTable(
  facts: RunFacts,
  context: WorkloadContext,
  text: KernelTextImage,
  phase: number,
): string[] {
  const rows = nodesOf(context).map((node) => {
    const fetch = facts.latency(Metric.TextFetch, node, phase);
    const run = facts.latency(Metric.TextRun, node, phase);
    const count = (name: string): number => sumOnNode(facts, context, node, name);
    const remote = count('fetch.remote');
    const misses = count('fetch.local') + remote;
    return {
      name: `node ${node}`,
      cells: [
        `node ${text.copies[text.copyOfNode[node]!]!.node}`,
        run === null ? null : (fetch?.count ?? 0) / run.count,
        misses === 0 ? null : percent(remote / misses),
        fetch?.meanNs ?? null,
        fetch?.p99Ns ?? null,
        run?.meanNs ?? null,
        facts.latency(Metric.TextCall, node, phase)?.meanNs ?? null,
      ],
    };
  });
  const columns = [
    'text on',
    'missed lines',
    'remote',
    'fetch avg',
    'fetch p99',
    'pass avg',
    'call avg',
  ];
  return textTable('ns', columns, rows);
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

export function linesOf(texts: readonly string[]): readonly ReportLine[] {
  return texts.map((text) => ({ text }));
}

/** Counters that only EL2 has. */
export function hypLines({ counters }: RunFacts): string[] {
  const local = counters['text.hyp.local'] ?? 0;
  const remote = counters['text.hyp.remote'] ?? 0;
  if (local + remote === 0) return [];
  return [
    `EL2 text, which no stage 2 moves: ${local} lines missed on its own node, ${remote} on others`,
  ];
}
