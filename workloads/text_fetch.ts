/**
 * Kernel text from afar: every CPU passes through kernel text over and over, as system calls or as
 * exits of guests, and each line that leaves the private caches is measured. Footprint, hot part
 * and branchiness are the kernel's text options.
 *
 * With migrate=on passes belong to tasks, which move from CPU to CPU (and, laid out by
 * placement=spread, from node to node) after each: their state is in emulated memory, and a task
 * goes on at the address where it was, in another node's copy ("The key point is that the virtual
 * address is what matters here", R. King, RFC 00/17, 2023-05-30).
 */

import { LINE_BYTES } from '../src/base/units.ts';
import type { Cpu, Program } from '../src/cpu/cpu.ts';
import { Condition, Order } from '../src/cpu/operations.ts';
import { CodePath, DEPTH_MAX } from '../src/kernel/code/execute.ts';
import { cpuReturn } from '../src/kernel/text/cpu-return.ts';
import { copiedBytes } from '../src/kernel/text/image.ts';
import { verifyCopies } from '../src/kernel/text/patch.ts';
import { Cost } from '../src/machine/costs.ts';
import type { BootMemory } from '../src/memory/boot.ts';
import { type Address, toLinear } from '../src/memory/physical-address.ts';
import { Metric } from '../src/metrics/definition.ts';
import {
  bootTextRun,
  fetchTable,
  hypLines,
  LARGE_TEXT,
  linesOf,
  memoryLine,
  TEXT_RUN_BYTES,
  TEXT_STREAMS,
  TextCpu,
  type TextRunImage,
  textCpus,
} from './common/kernel-text.ts';
import { flagOf, numberOf, textOf } from './common/values.ts';
import type {
  BootedKernel,
  Image,
  ReportLine,
  RunFacts,
  Workload,
  WorkloadContext,
} from './workload.ts';

const PHASE_FETCH = 1;
const PHASE_END = 2;
/** Fields of a task, in words; its turn is the number of the pass that is next. */
const Task = { Turn: 0, At: 1, Depth: 2, Returns: 3 } as const;
const TASK_BYTES = 2 * LINE_BYTES;

interface FetchImage extends TextRunImage {
  /** By role; linear-map addresses. */
  readonly tasks: readonly Address[];
}

function boot(memory: BootMemory, context: WorkloadContext, kernel: BootedKernel): Image {
  const { machine, placement } = context;
  const tasks = placement.cpus.map((cpu, role) => {
    const task = memory.allocateNamed(`task ${role}`, machine.nodeOfCpu[cpu]!, TASK_BYTES);
    memory.write32(task, Task.At * 4, -1);
    return toLinear(task);
  });
  return { ...bootTextRun(memory, context, kernel), tasks } satisfies FetchImage;
}

/** __switch_to: takes the task up where another CPU left it; `turn`: its next pass. */
function* restore(cpu: Cpu, { hi, lo }: Address, path: CodePath, turn: number): Program {
  while (!cpu.cond32(hi, lo, Condition.Equal, -1, turn, Order.Acquire)) yield;
  cpu.spend(Cost.ContextSwitch);
  while (!cpu.load32(hi, lo + Task.At * 4, Order.Relaxed)) yield;
  path.at = cpu.lo;
  while (!cpu.load32(hi, lo + Task.Depth * 4, Order.Relaxed)) yield;
  path.depth = cpu.lo;
  for (let frame = 0; frame < path.depth; frame++) {
    while (!cpu.load32(hi, lo + (Task.Returns + frame) * 4, Order.Relaxed)) yield;
    path.returns[frame] = cpu.lo;
  }
}

function* save(cpu: Cpu, { hi, lo }: Address, path: CodePath, turn: number): Program {
  while (!cpu.store32(hi, lo + Task.At * 4, path.at, Order.Relaxed)) yield;
  while (!cpu.store32(hi, lo + Task.Depth * 4, path.depth, Order.Relaxed)) yield;
  for (let frame = 0; frame < Math.min(path.depth, DEPTH_MAX); frame++) {
    const word = path.returns[frame]!;
    while (!cpu.store32(hi, lo + (Task.Returns + frame) * 4, word, Order.Relaxed)) yield;
  }
  while (!cpu.store32(hi, lo, turn, Order.Release)) yield;
}

function* migrated(cpu: Cpu, task: Address, path: CodePath, turn: number, run: Program): Program {
  yield* restore(cpu, task, path, turn);
  yield run;
  yield* save(cpu, task, path, turn + 1);
}

function* participant(cpu: Cpu, image: FetchImage, context: WorkloadContext): Program {
  const { parameters, placement } = context;
  const own = new TextCpu(cpu, image, context);
  const role = placement.cpus.indexOf(cpu.id);
  const migrates = flagOf(parameters, 'migrate');
  const warmUp = numberOf(parameters, 'warmup');
  const passes = numberOf(parameters, 'passes');
  const blocks = numberOf(parameters, 'blocks');
  const asGuestExit = textOf(parameters, 'entry') === 'guest-exit';
  const path = new CodePath(image.patching.text.code.layout);
  yield* own.start();
  yield* own.meet();
  yield* own.warm();
  for (let pass = 0; pass < warmUp + passes; pass++) {
    if (pass === warmUp) {
      if (flagOf(parameters, 'resume')) yield own.systemCall(cpuReturn(cpu, own.text));
      cpu.phase(PHASE_FETCH);
    }
    const task = image.tasks[(role + pass) % image.tasks.length]!;
    const run = own.run(blocks, path);
    const body = migrates ? migrated(cpu, task, path, pass, run) : run;
    yield asGuestExit ? own.patching.hyp.guestExit(cpu, body) : own.systemCall(body);
    cpu.mark();
  }
  cpu.phase(PHASE_END);
  yield* own.leave();
  if (role === 0 && flagOf(parameters, 'verify')) yield verify(cpu, own);
}

/** The diagnostic beside the series: every node's text against node 0's. */
function* verify(cpu: Cpu, { patching, text }: TextCpu): Program {
  cpu.begin(Metric.TextVerify);
  yield patching.hyp.call(cpu, verifyCopies(cpu, text, 0, copiedBytes(text)));
  cpu.end(Metric.TextVerify);
}

function report(facts: RunFacts, image: Image, context: WorkloadContext): readonly ReportLine[] {
  const { text } = (image as FetchImage).patching;
  const lines = [memoryLine(text), ...fetchTable(facts, context, text, PHASE_FETCH)];
  const exits = facts.latency(Metric.GuestSwitch, null, PHASE_FETCH);
  if (exits !== null) {
    lines.push(`exit of a guest with its handling: avg ${exits.meanNs.toFixed(0)} ns`);
  }
  const verified = facts.latency(Metric.TextVerify, null, PHASE_END);
  if (verified !== null) lines.push(`copies compared in ${(verified.meanNs / 1e6).toFixed(2)} ms`);
  return linesOf([...lines, ...hypLines(facts)]);
}

export const textFetch: Workload = {
  name: 'text_fetch',
  description: 'kernel text fetched by all nodes: latency and share of misses by node',
  source: 'no benchmark; arm64 kernel text replication (R. King, 2023-05-30), A. Biesheuvel there',
  parameters: [
    {
      name: 'passes',
      alias: 'i',
      kind: 'count',
      default: '60',
      minimum: 1,
      maximum: 10_000_000,
      description: 'measured passes through kernel text per CPU',
    },
    {
      name: 'warmup',
      kind: 'count',
      default: '10',
      minimum: 0,
      maximum: 1_000_000,
      description: 'passes before',
    },
    {
      name: 'blocks',
      kind: 'count',
      default: '400',
      minimum: 1,
      maximum: 1_000_000,
      description: 'basic blocks per pass',
    },
    {
      name: 'entry',
      kind: 'choice',
      values: ['syscall', 'guest-exit'],
      default: 'syscall',
      description: 'why a CPU is in the kernel: a system call, or a guest that exited',
    },
    {
      name: 'migrate',
      kind: 'flag',
      default: 'off',
      description: 'each pass goes on with the task that another CPU ran before',
    },
    {
      name: 'resume',
      kind: 'flag',
      default: 'off',
      description: 'every CPU returns from suspend before its first measured pass',
    },
    {
      name: 'verify',
      kind: 'flag',
      default: 'off',
      description: 'compare all copies at the end',
    },
  ],
  kernelOptions: ['text'],
  kernelDefaults: LARGE_TEXT,
  seedMoves: ['the layout of the text', 'the branches that each CPU takes'],
  phases: [{ name: 'warm-up', warmUp: true }, { name: 'fetch' }, { name: 'end', warmUp: true }],
  streams: TEXT_STREAMS,
  defaultMachine: 'graviton4_2p',
  defaultPlacement: 'spread',
  defaultCpus: textCpus,
  helperCpus: () => 0,
  runsOnX86: true,
  minimumCpus: 1,
  backedBytes: ({ placement }) => TEXT_RUN_BYTES + placement.cpus.length * TASK_BYTES,
  operations: ({ placement, parameters }) =>
    placement.cpus.length * (numberOf(parameters, 'passes') + numberOf(parameters, 'warmup')),
  boot,
  program: (cpu, image, context) =>
    context.placement.cpus.includes(cpu.id) ? participant(cpu, image as FetchImage, context) : null,
  report,
};
