/**
 * A storm of patches to kernel text while everybody executes it: tracing of `sites` functions
 * switched on and off (ftrace_modify_all_code: ftrace_make_call and ftrace_make_nop, each through
 * aarch64_insn_patch_text_nosync, one round of IPIs at the end), and ranges replaced as at boot
 * (__apply_alternatives). Every copy has to be written, so what copies gain in fetches they pay
 * here.
 *
 * One CPU patches, on the node of choice; all others execute text. Copies are compared at the end
 * where they were written.
 *
 * Deviations: alternatives are applied under stop_machine; here the others go on, as nothing they
 * execute changes its meaning. On x86 a site is written once through poking_mm, without the
 * breakpoint that text_poke_bp puts there first.
 */

import { assert } from '../src/base/assert.ts';
import { UserError } from '../src/base/errors.ts';
import { LINE_BYTES } from '../src/base/units.ts';
import type { Cpu, Program } from '../src/cpu/cpu.ts';
import { Order } from '../src/cpu/operations.ts';
import { CodePath } from '../src/kernel/code/execute.ts';
import { encodeCall, NOP } from '../src/kernel/code/instruction.ts';
import { applyAlternatives } from '../src/kernel/text/alternatives.ts';
import { patchInstruction, verifyCopies } from '../src/kernel/text/patch.ts';
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
  nodesOf,
  TEXT_RUN_BYTES,
  TEXT_STREAMS,
  TextCpu,
  type TextRunImage,
  textCpus,
} from './common/kernel-text.ts';
import { textTable } from './common/text-table.ts';
import { numberOf, textOf } from './common/values.ts';
import type {
  BootedKernel,
  Image,
  ReportLine,
  RunFacts,
  Workload,
  WorkloadContext,
} from './workload.ts';

/** Phases are also what the patcher tells everybody; the last one ends the run. */
const Phase = { WarmUp: 0, Quiet: 1, Enable: 2, Disable: 3, Alternatives: 4, End: 5 } as const;
const BLOCKS = 60;
/** One range is replaced for so many sites that are traced. */
const RANGES_PER_SITES = 4;
const PAGE_BYTES = 4096;

interface StormImage extends TextRunImage {
  /** The phase; a word that everybody reads between two stretches. */
  readonly phase: Address;
  /** Offsets of the functions that are traced. */
  readonly sites: readonly number[];
  readonly patcher: number;
}

function boot(memory: BootMemory, context: WorkloadContext, kernel: BootedKernel): Image {
  const { machine, placement, parameters } = context;
  const { layout } = kernel.text!.code;
  const count = Math.min(numberOf(parameters, 'sites'), layout.functions.length - 1);
  const stride = (layout.functions.length - 1) / count;
  const sites = Array.from({ length: count }, (_, i) => layout.functions[Math.floor(i * stride)]!);
  const node = numberOf(parameters, 'patchNode');
  const patcher = placement.cpus.findIndex((cpu) => machine.nodeOfCpu[cpu] === node);
  if (patcher < 0) {
    throw new UserError(
      `patchNode: no CPU of the run is on node ${node}; ` +
        `its nodes are ${nodesOf(context).join(', ')}`,
    );
  }
  const first = machine.nodeOfCpu[placement.cpus[0]!]!;
  const phase = toLinear(memory.allocateNamed('phase', first, LINE_BYTES));
  return { ...bootTextRun(memory, context, kernel), phase, sites, patcher } satisfies StormImage;
}

/** Executes text until the patcher says that it is over. */
function* bystand(cpu: Cpu, own: TextCpu, word: Address): Program {
  const path = new CodePath(own.text.code.layout);
  let phase: number = Phase.WarmUp;
  const call = function* (): Program {
    yield own.run(BLOCKS, path);
    while (!cpu.load32(word.hi, word.lo, Order.Acquire)) yield;
    if (cpu.lo !== phase) cpu.phase(cpu.lo);
    phase = cpu.lo;
  };
  while (phase !== Phase.End) yield own.systemCall(call());
}

function* enter(cpu: Cpu, { hi, lo }: Address, phase: number): Program {
  while (!cpu.store32(hi, lo, phase, Order.Release)) yield;
  cpu.phase(phase);
}

/** ftrace_replace_code over all records; then everybody synchronises. */
function* trace(cpu: Cpu, own: TextCpu, sites: readonly number[], isOn: boolean): Program {
  const { parts, smp } = own.patching;
  for (const [index, site] of sites.entries()) {
    // ftrace_caller: any function will do, as nobody follows a call at a function's entry.
    const target = sites[(index + 1) % sites.length]!;
    yield patchInstruction(cpu, parts, site, isOn ? encodeCall(target - site) : NOP);
    assert(cpu.ret === 0, 'a site of ftrace is aligned');
    cpu.mark();
  }
  yield* smp.kickAllCpusSync(cpu);
}

/** apply_alternatives_all, of `ranges` ranges of a line each: work becomes other work. */
function* alternatives(cpu: Cpu, own: TextCpu, sites: readonly number[]): Program {
  for (const site of sites) {
    const line = site & ~(LINE_BYTES - 1);
    const { words } = own.text.code.layout;
    // The words that are there already: what changes is who has to fetch them again.
    const source = (at: Cpu, offset: number): boolean => {
      at.lo = words[(line + offset) >> 2]!;
      return true;
    };
    const { parts } = own.patching;
    yield applyAlternatives(cpu, parts, line, LINE_BYTES, source);
    cpu.mark();
  }
}

function* patch(cpu: Cpu, own: TextCpu, image: StormImage, context: WorkloadContext): Program {
  const funnel = textOf(context.parameters, 'funnel');
  const { sites, phase } = image;
  yield own.run(BLOCKS * 10);
  yield* enter(cpu, phase, Phase.Quiet);
  yield own.run(numberOf(context.parameters, 'quietBlocks'));
  for (let round = 0; round < numberOf(context.parameters, 'rounds'); round++) {
    if (funnel !== 'alternatives') {
      yield* enter(cpu, phase, Phase.Enable);
      yield trace(cpu, own, sites, true);
      yield* enter(cpu, phase, Phase.Disable);
      yield trace(cpu, own, sites, false);
    }
    if (funnel !== 'ftrace') {
      yield* enter(cpu, phase, Phase.Alternatives);
      yield alternatives(
        cpu,
        own,
        sites.filter((_, index) => index % RANGES_PER_SITES === 0),
      );
    }
  }
  yield* enter(cpu, phase, Phase.End);
  for (const site of sites) {
    yield own.patching.hyp.call(cpu, verifyCopies(cpu, own.text, site & -8, 8));
    assert(cpu.ret === -1, `node ${cpu.ret} has another instruction at _stext + ${site}`);
  }
}

function* participant(cpu: Cpu, image: StormImage, context: WorkloadContext): Program {
  const own = new TextCpu(cpu, image, context);
  yield* own.start();
  yield* own.meet();
  yield* own.warm();
  const isPatcher = context.placement.cpus.indexOf(cpu.id) === image.patcher;
  yield isPatcher ? patch(cpu, own, image, context) : bystand(cpu, own, image.phase);
  yield* own.leave();
}

function copiesWord(count: number): string {
  return count === 1 ? '1 copy' : `${count} copies`;
}

function report(facts: RunFacts, image: Image, context: WorkloadContext): readonly ReportLine[] {
  const { patching } = image as StormImage;
  const { text } = patching;
  const lines = [memoryLine(text)];
  const each = (name: string, unit: string, metric: number, phase: number): void => {
    const latency = facts.latency(metric, null, phase);
    if (latency === null) return;
    const totalUs = (latency.meanNs * latency.count) / 1000;
    lines.push(
      `${name} ${latency.count} ${unit}, ${copiesWord(text.copies.length)}: ` +
        `${totalUs.toFixed(1)} us, avg ${latency.meanNs.toFixed(0)} ns, ` +
        `p99 ${latency.p99Ns.toFixed(0)} ns each`,
    );
  };
  each('tracing on:', 'sites', Metric.TextPatch, Phase.Enable);
  each('tracing off:', 'sites', Metric.TextPatch, Phase.Disable);
  each('alternatives:', 'lines', Metric.TextAlternatives, Phase.Alternatives);
  // Calls, because only the others make them: the patcher executes text too, in the quiet phase.
  lines.push('calls of the others, avg ns, by what the patcher does');
  const phases = [Phase.Quiet, Phase.Enable, Phase.Disable, Phase.Alternatives];
  const rows = nodesOf(context).map((node) => ({
    name: `node ${node}`,
    cells: phases.map((phase) => facts.latency(Metric.TextCall, node, phase)?.meanNs ?? null),
  }));
  lines.push(...textTable('ns', ['quiet', 'tracing on', 'tracing off', 'alternatives'], rows));
  lines.push('lines fetched while tracing is switched on');
  lines.push(...fetchTable(facts, context, text, Phase.Enable));
  return linesOf([...lines, ...hypLines(facts)]);
}

export const textPatchStorm: Workload = {
  name: 'text_patch_storm',
  description: 'kernel text patched in every copy while all CPUs execute it',
  source: 'kernel/trace/ftrace.c, arch/arm64/kernel/{ftrace,patching,alternative}.c (v6.5)',
  parameters: [
    {
      name: 'sites',
      kind: 'count',
      default: '120',
      minimum: 1,
      maximum: 1_000_000,
      description: 'functions that are traced; a distribution kernel has some 50,000',
    },
    {
      name: 'rounds',
      alias: 'i',
      kind: 'count',
      default: '1',
      minimum: 1,
      maximum: 1_000_000,
      description: 'times that tracing is switched on and off',
    },
    {
      name: 'funnel',
      kind: 'choice',
      values: ['both', 'ftrace', 'alternatives'],
      default: 'both',
      description: 'single instructions, ranges of a line, or one after the other',
    },
    {
      name: 'patchNode',
      kind: 'count',
      default: '0',
      minimum: 0,
      maximum: 255,
      description: 'node of the CPU that patches',
    },
    {
      name: 'quietBlocks',
      kind: 'count',
      default: '3000',
      minimum: 1,
      maximum: 100_000_000,
      description: 'basic blocks that the patcher executes before it patches, for comparison',
    },
  ],
  kernelOptions: ['text'],
  kernelDefaults: LARGE_TEXT,
  seedMoves: ['the layout of the text', 'the branches that each CPU takes'],
  phases: [
    { name: 'warm-up', warmUp: true },
    { name: 'quiet' },
    { name: 'enable' },
    { name: 'disable' },
    { name: 'alternatives' },
    { name: 'end', warmUp: true },
  ],
  streams: TEXT_STREAMS,
  defaultMachine: 'kunpeng920_2p_128',
  defaultPlacement: 'spread',
  defaultCpus: textCpus,
  helperCpus: () => 0,
  runsOnX86: true,
  minimumCpus: 1,
  backedBytes: () => TEXT_RUN_BYTES + PAGE_BYTES,
  boot,
  program: (cpu, image, context) =>
    context.placement.cpus.includes(cpu.id) ? participant(cpu, image as StormImage, context) : null,
  report,
};
