/**
 * Executable memory, the BPF JIT, RCU and user text for bystanders: what workloads of BPF programs
 * boot and open. Loaders take the CPUs first in the placement, bystanders the rest.
 */

import { MIB } from '../../src/base/units.ts';
import type { Cpu, Program } from '../../src/cpu/cpu.ts';
import { bootRcu, type RcuImage } from '../../src/kernel/base/rcu-callbacks.ts';
import {
  BpfJit,
  type BpfJitImage,
  type BpfText,
  bootBpfJit,
  JIT_LIMIT_PAGES,
  textBytes,
} from '../../src/kernel/bpf/jit.ts';
import { executeCode } from '../../src/kernel/code/execute.ts';
import { type CodeImage, codeBytes, placeCode } from '../../src/kernel/code/image.ts';
import { type CodeLayout, layoutCode } from '../../src/kernel/code/layout.ts';
import { makeAllocator } from '../../src/kernel/execmem/allocators.ts';
import { bootExecmem, type ExecmemImage, execmemBytes } from '../../src/kernel/execmem/boot.ts';
import type { ExecutableMemory } from '../../src/kernel/execmem/executable-memory.ts';
import { resolveExecmemOptions } from '../../src/kernel/execmem/options.ts';
import { type ExecmemParts, openExecmemParts } from '../../src/kernel/execmem/parts.ts';
import { runText } from '../../src/kernel/text/entry.ts';
import { fetchHitPs } from '../../src/kernel/text/fetch.ts';
import type { KernelTextImage } from '../../src/kernel/text/image.ts';
import { makeSetRootEntry } from '../../src/kernel/text/propagate.ts';
import type { BootMemory } from '../../src/memory/boot.ts';
import { type Address, toLinear } from '../../src/memory/physical-address.ts';
import { makeQueuedSpinlock } from '../../src/sync/qspinlock.ts';
import { mapRange } from '../../src/translation/boot-tables.ts';
import { GRANULE_4K } from '../../src/translation/granule.ts';
import { S1_USER_TEXT_HI, S1_USER_TEXT_LO } from '../../src/translation/stage1-descriptors.ts';
import type { BootedKernel, WorkloadContext } from '../workload.ts';
import { BARRIER_BYTES, barrier } from './barrier.ts';

/** Where user text is mapped. */
const USER_TEXT: Address = { hi: 0x00000001, lo: 0 };
/** Areas of vmalloc that may exist at once. */
const AREAS_PER_LOADER = 600;

/** Plain data. */
export interface BpfMachineImage {
  readonly execmem: ExecmemImage;
  readonly jit: BpfJitImage;
  readonly rcu: RcuImage;
  readonly userText: CodeImage | null;
  /** What system calls execute, where the run has a kernel text. */
  readonly kernelText: CodeImage | null;
  /** Where nodes have roots of their own: what new top-level entries are written to. */
  readonly roots: KernelTextImage | null;
  /** What a private hit of a fetch takes at most. */
  readonly hitPs: number;
  /** 1: every loader has finished. On a line of its own, a linear-map address. */
  readonly stop: Address;
  readonly finished: Address;
  /** Where all CPUs meet before anything is measured (barrier.ts). */
  readonly start: Address;
}

export interface BpfMachineSizes {
  readonly loaders: number;
  /** Programs that a loader has loaded at once, at most. */
  readonly liveMax: number;
  /** Bytes of user text that bystanders execute; 0: none. */
  readonly userTextBytes: number;
  /** bpf_jit_limit, if it is not the kernel's. */
  readonly jitLimitPages?: number;
  /** CPUs that execute user text; those that don't load, if absent. */
  readonly textCpus?: readonly number[];
  /** Code of the largest program, if it is not from the published sizes. */
  readonly programBytesMax?: number;
  /** Areas of vmalloc that may exist at once, instead of what loaders need. */
  readonly areas?: number;
}

/** The largest program of the published sizes, with its table of frames and page tables. */
const PUBLISHED_ROOM_BYTES = 24 * 1024;

/** Packs, their fillers, programs with pages of their own, buffers and tables, per node. */
function pagesBytes({ machine }: WorkloadContext, sizes: BpfMachineSizes): number {
  const { programBytesMax = 0 } = sizes;
  const perProgram = Math.max(PUBLISHED_ROOM_BYTES, 8 * 1024 + programBytesMax);
  const packBytes = 2 * MIB * machine.nodeCount;
  // Programs that fill packs leave the ends of them unused: as much again.
  const packs = packBytes * (3 + Math.ceil((2 * sizes.liveMax * programBytesMax) / packBytes));
  const buffers = sizes.loaders * (256 * 1024 + 2 * programBytesMax);
  return packs + sizes.loaders * sizes.liveMax * perProgram + buffers + 4 * MIB;
}

function areasOf({ areas, loaders }: BpfMachineSizes): number {
  return areas ?? loaders * AREAS_PER_LOADER;
}

export function bpfMachineBytes(context: WorkloadContext, sizes: BpfMachineSizes): number {
  const areas = areasOf(sizes);
  const cpus = context.placement.cpus.length;
  const tables = cpus * 5 * 4096 + (sizes.userTextBytes / 2 ** 21 + 1) * cpus * 4096;
  const text = Math.ceil(sizes.userTextBytes / 4096) * 4096;
  const { textTail } = resolveExecmemOptions(context.parameters, context.machine);
  const execmem = execmemBytes(context.machine, areas, 0, textTail);
  return execmem + pagesBytes(context, sizes) + tables + text + MIB;
}

export function bootBpfMachine(
  boot: BootMemory,
  context: WorkloadContext,
  kernel: BootedKernel,
  sizes: BpfMachineSizes,
): BpfMachineImage {
  const { machine, placement, parameters } = context;
  const node = machine.nodeOfCpu[placement.cpus[0]!]!;
  const userText = bootUserText(boot, context, kernel, sizes);
  const stop = toLinear(boot.allocateNamed('stop', node, 64));
  const finished = toLinear(boot.allocateNamed('finished', node, 64));
  const start = toLinear(boot.allocate(node, BARRIER_BYTES, BARRIER_BYTES));
  const jit = bootBpfJit(boot, node, sizes.jitLimitPages ?? JIT_LIMIT_PAGES);
  const rcu = bootRcu(boot, node, placement.cpus);
  const execmem = bootExecmem(boot, {
    options: resolveExecmemOptions(parameters, machine),
    map: kernel.map,
    userRoots: kernel.userRoots,
    smp: kernel.smp!,
    replicatedText: kernel.text?.options.text === 'replicated',
    text: kernel.text,
    areas: areasOf(sizes),
    preparedPack: true,
  });
  const kernelText = kernel.text?.code ?? null;
  const hitPs = fetchHitPs(machine);
  const roots = kernel.text !== null && kernel.text.copies.length > 1 ? kernel.text : null;
  return { execmem, jit, rcu, userText, kernelText, roots, hitPs, stop, finished, start };
}

/** One copy of the program's text per run, in pages of 4K, mapped by every bystander. */
function bootUserText(
  boot: BootMemory,
  { machine, placement, seed }: WorkloadContext,
  { userRoots }: BootedKernel,
  sizes: BpfMachineSizes,
): CodeImage | null {
  if (sizes.userTextBytes === 0) return null;
  const layout: CodeLayout = layoutCode(
    {
      footprintBytes: sizes.userTextBytes,
      hotBytes: sizes.userTextBytes,
      hotShare: 1,
      branchiness: 0.5,
    },
    seed,
  );
  const node = machine.nodeOfCpu[placement.cpus[0]!]!;
  const output = placeCode(boot, 'user text', node, layout);
  for (const cpu of sizes.textCpus ?? placement.cpus.slice(sizes.loaders)) {
    const table = { root: userRoots[cpu]!, granule: GRANULE_4K, startLevel: 0, inputBits: 48 };
    mapRange(boot, table, {
      input: USER_TEXT,
      output,
      bytes: codeBytes(layout),
      attributesHi: S1_USER_TEXT_HI,
      attributesLo: S1_USER_TEXT_LO,
      maximumShift: 12,
      tableNode: machine.nodeOfCpu[cpu]!,
    });
  }
  return { layout, hi: USER_TEXT.hi, lo: USER_TEXT.lo };
}

export interface BpfMachine {
  readonly parts: ExecmemParts;
  readonly memory: ExecutableMemory;
  readonly jit: BpfJit;
}

export function openBpfMachine(
  cpu: Cpu,
  { machine }: WorkloadContext,
  image: BpfMachineImage,
): BpfMachine {
  const { roots } = image;
  const setRootEntry = roots === null ? undefined : makeSetRootEntry(roots, makeQueuedSpinlock());
  const parts = openExecmemParts(cpu, machine, image.execmem, setRootEntry);
  const memory = makeAllocator(parts);
  return { parts, memory, jit: new BpfJit(image.jit, parts, memory) };
}

/** A stretch of user text. */
export function* runUserText(
  cpu: Cpu,
  { userText }: BpfMachineImage,
  stream: number,
  blocks: number,
): Program {
  if (userText !== null) yield* executeCode(cpu, userText, stream, blocks);
}

/** The kernel's own instructions of one system call, where the run has a kernel text. */
export function* runKernelText(
  cpu: Cpu,
  { kernelText, hitPs }: BpfMachineImage,
  stream: number,
  blocks: number,
): Program {
  if (kernelText !== null) yield* runText(cpu, { code: kernelText, stream, blocks, hitPs });
}

/** Code of the program that stays loaded, so that a pack which others use never empties. */
const ANCHOR_BYTES = 64;
export const ANCHOR_ID = 1;

/**
 * Before the measured phase: the first CPU loads a program that stays, which makes the first pack
 * or cache area; all meet. ret of the others is 0. The text of it: (hi, lo) on the first CPU.
 */
export function* warmUp(
  cpu: Cpu,
  { placement }: WorkloadContext,
  image: BpfMachineImage,
  { jit }: BpfMachine,
): Generator<Program | undefined, BpfText | null, undefined> {
  let anchor: BpfText | null = null;
  if (cpu.id === placement.cpus[0]) {
    yield jit.load(cpu, ANCHOR_ID, ANCHOR_BYTES);
    const bytes = textBytes(ANCHOR_BYTES);
    if (cpu.ret === 0) anchor = { hi: cpu.hi, lo: cpu.lo, bytes, id: ANCHOR_ID };
  }
  yield barrier(cpu, image.start.hi, image.start.lo, placement.cpus.length);
  return anchor;
}
