/**
 * Seeded layouts of code: functions of basic blocks, each block ended by a branch, a call or a
 * return, as words of real instructions. Made before time 0; what executes it is execute.ts.
 *
 * A part of the text is hot: its functions lie side by side at the start, and calls and dispatches
 * go there with the hot share. Sizes follow what compilers make of kernels in kind, not in figures:
 * blocks of a few instructions, functions of a few lines (no source: the workload's parameters).
 */

import { UserError } from '../../base/errors.ts';
import { mix32, RandomStream } from '../../base/random.ts';
import { LINE_BYTES } from '../../base/units.ts';
import {
  encodeBranch,
  encodeCall,
  encodeConditional,
  encodeWork,
  NOP,
  RET,
} from './instruction.ts';

export interface CodeParameters {
  readonly footprintBytes: number;
  /** Bytes of the hot part, and the share of dispatches and calls that go there, 0 to 1. */
  readonly hotBytes: number;
  readonly hotShare: number;
  /** Share of conditional branches that are taken, 0 to 1; those that go back half as often. */
  readonly branchiness: number;
  /** Mean size of basic blocks and of functions; defaults 32 and 512 bytes. */
  readonly blockBytes?: number;
  readonly functionBytes?: number;
  /** Share of blocks that end with a call, of functions that call any, 0 to 1; default 0.15. */
  readonly callShare?: number;
}

/** Plain data. Offsets are in bytes from the start of the text. */
export interface CodeLayout {
  readonly parameters: CodeParameters;
  readonly words: Int32Array;
  /** Start of each function; the first hotFunctions are hot. */
  readonly functions: Int32Array;
  readonly hotFunctions: number;
  /** By instruction: offset of the one that ends its block; -1: padding. */
  readonly ends: Int32Array;
}

const SHARE_BITS = 0x10000;
const ALIGNMENT = 16;
/** Branches skip up to so many blocks. */
const REACH = 4;
/** Of calls; a power of two. */
const LEVELS = 4;
const CALLEES_TRIED = 64;

export function layoutCode(parameters: CodeParameters, seed: number): CodeLayout {
  check(parameters);
  const stream = new RandomStream(seed, 'code layout', 0);
  const { footprintBytes } = parameters;
  const functions = cutFunctions(parameters, stream);
  const hot = functions.filter((start) => start < parameters.hotBytes).length;
  const layout: CodeLayout = {
    parameters,
    words: new Int32Array(footprintBytes / 4).fill(NOP),
    functions: Int32Array.from(functions),
    hotFunctions: hot,
    ends: new Int32Array(footprintBytes / 4).fill(-1),
  };
  functions.forEach((start, index) => {
    writeFunction(layout, start, functions[index + 1] ?? footprintBytes, stream);
  });
  return layout;
}

function check(p: CodeParameters): void {
  const whole = p.footprintBytes % LINE_BYTES === 0 && p.footprintBytes >= 1024;
  if (!whole || p.footprintBytes > 2 ** 27) {
    throw new UserError(
      `text of ${p.footprintBytes} bytes: it takes 1 KiB to 128 MiB, what a branch reaches, ` +
        `in multiples of ${LINE_BYTES} bytes`,
    );
  }
  if (p.hotBytes < 0 || p.hotBytes > p.footprintBytes) {
    throw new UserError(`${p.hotBytes} hot bytes of ${p.footprintBytes} bytes of text`);
  }
  for (const [name, share] of Object.entries({
    hotShare: p.hotShare,
    branchiness: p.branchiness,
    callShare: p.callShare ?? 0,
  })) {
    if (!(share >= 0 && share <= 1)) throw new UserError(`${name}=${share}: a share is 0 to 1`);
  }
}

/** Starts of functions, half to one and a half times the mean size; hot text ends with one. */
function cutFunctions(p: CodeParameters, stream: RandomStream): number[] {
  const mean = Math.max(64, p.functionBytes ?? 512);
  const starts: number[] = [];
  let at = 0;
  while (at < p.footprintBytes) {
    starts.push(at);
    const size = alignUp((mean >> 1) + stream.below(mean));
    const limit = at < p.hotBytes ? alignUp(p.hotBytes) : p.footprintBytes;
    const left = limit - at - size;
    at = left < mean >> 1 ? limit : at + size;
  }
  return starts;
}

function alignUp(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

function writeFunction(layout: CodeLayout, start: number, end: number, stream: RandomStream): void {
  const { words, ends, parameters } = layout;
  const mean = Math.max(8, parameters.blockBytes ?? 32);
  const blocks: number[] = [];
  for (let at = start; at < end; ) {
    blocks.push(at);
    const size = Math.max(8, (((mean >> 1) + stream.below(mean)) >> 2) << 2);
    at = end - at - size < 8 ? end : at + size;
  }
  blocks.forEach((from, index) => {
    const last = (blocks[index + 1] ?? end) - 4;
    for (let at = from; at <= last; at += 4) ends[at >> 2] = last;
    // The entry is a NOP that tracers patch.
    const first = from === start ? from + 4 : from;
    for (let at = first; at < last; at += 4) words[at >> 2] = encodeWork(stream.uint32());
    const isLast = index === blocks.length - 1;
    words[last >> 2] = isLast ? RET : terminator(layout, blocks, index, last, stream);
  });
}

function terminator(
  layout: CodeLayout,
  blocks: readonly number[],
  index: number,
  at: number,
  stream: RandomStream,
): number {
  const share = stream.below(SHARE_BITS) / SHARE_BITS;
  const callShare = layout.parameters.callShare ?? 0.15;
  if (share < callShare) {
    const callee = pickCallee(layout, blocks[0]!, stream);
    if (callee >= 0) return encodeCall(callee - at);
  }
  const forward = Math.min(blocks.length - 1, index + 1 + stream.below(REACH));
  const backward = Math.max(0, index - stream.below(REACH));
  // One branch in eight is unconditional, one in four of the others goes back.
  if (stream.below(8) === 0) return encodeBranch(blocks[forward]! - at);
  return encodeConditional(blocks[stream.below(4) === 0 ? backward : forward]! - at, index % 14);
}

/** Calls go from higher to lower levels, so that every call returns. */
function levelOf(start: number): number {
  return mix32(start) & (LEVELS - 1);
}

/** A function of a lower level; -1: there is none. */
function pickCallee(layout: CodeLayout, caller: number, stream: RandomStream): number {
  const { functions } = layout;
  const level = levelOf(caller);
  const first = pickIndex(layout, stream.uint32(), stream.uint32());
  const isHot = first < layout.hotFunctions;
  const from = isHot ? 0 : layout.hotFunctions;
  const count = isHot ? layout.hotFunctions : functions.length - from;
  for (let i = 0; i < Math.min(count, CALLEES_TRIED); i++) {
    const callee = functions[from + ((first - from + i) % count)]!;
    if (levelOf(callee) < level) return callee;
  }
  return -1;
}

/** Start of a function: hot with the hot share; two random words. */
export function pickFunction(layout: CodeLayout, shareWord: number, choiceWord: number): number {
  return layout.functions[pickIndex(layout, shareWord, choiceWord)]!;
}

function pickIndex(layout: CodeLayout, shareWord: number, choiceWord: number): number {
  const { functions, hotFunctions, parameters } = layout;
  const cold = functions.length - hotFunctions;
  const wantsHot = shareWord / 0x1_0000_0000 < parameters.hotShare;
  const isHot = cold === 0 || (wantsHot && hotFunctions > 0);
  return isHot ? choiceWord % hotFunctions : hotFunctions + (choiceWord % cold);
}
