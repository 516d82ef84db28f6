/**
 * Executes generated code: fetches it line by line and goes where its instructions say, as the
 * instruction side of this CPU sees them, so that a patched branch is followed by a CPU when it
 * sees it. Which conditional branches are taken, and which function comes next when one returns to
 * nobody, is drawn from a stream of the CPU. Instructions themselves cost nothing beyond the fetch:
 * a workload that wants their time adds `compute`.
 *
 * Whatever else stands where a block ends (a NOP in place of a branch, a breakpoint) goes on with
 * the next block; a branch out of the text is taken for one to a function of it that returns at
 * once, as a trampoline does.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import type { CodeImage } from './image.ts';
import { InstructionKind, kindOf, offsetOf } from './instruction.ts';
import { type CodeLayout, pickFunction } from './layout.ts';

/** Calls that nest deeper are left out. */
export const DEPTH_MAX = 16;
export const LINE_MASK = 63;

/** Where a thread of execution is: registers of a task, so of one CPU at a time. */
export class CodePath {
  readonly layout: CodeLayout;
  /** Offset of the next instruction; -1: the next function is to be picked. */
  at = -1;
  depth = 0;
  readonly returns = new Int32Array(DEPTH_MAX);
  readonly #taken: number;
  readonly #bytes: number;

  constructor(layout: CodeLayout) {
    this.layout = layout;
    this.#taken = layout.parameters.branchiness * 0x1_0000_0000;
    this.#bytes = layout.words.length * 4;
  }

  /** Offset of the instruction that ends the block under way. */
  endOfBlock(cpu: Cpu, stream: number): number {
    if (this.at < 0) this.at = pickFunction(this.layout, cpu.random(stream), cpu.random(stream));
    return this.layout.ends[this.at >> 2]!;
  }

  /** Goes where the word at the end of a block says. */
  follow(cpu: Cpu, stream: number, end: number, word: number): void {
    const kind = kindOf(word);
    let at = end + 4;
    if (kind === InstructionKind.Return) {
      at = this.depth === 0 ? -1 : this.returns[--this.depth]!;
    } else if (kind !== InstructionKind.Plain) {
      const target = end + offsetOf(word, kind);
      // Loops end: a branch back is taken half as often.
      const limit = target <= end ? this.#taken / 2 : this.#taken;
      const isTaken = kind !== InstructionKind.Conditional || cpu.random(stream) < limit;
      if (isTaken && target >= 0 && target < this.#bytes) {
        const calls = kind === InstructionKind.Call;
        if (!calls) at = target;
        else if (this.depth < DEPTH_MAX) {
          this.returns[this.depth++] = at;
          at = target;
        }
      }
    }
    this.at = at >= this.#bytes ? -1 : at;
  }
}

/** Runs `blocks` basic blocks from the start of a function on. */
export function* executeCode(cpu: Cpu, image: CodeImage, stream: number, blocks: number): Program {
  const { layout, hi, lo } = image;
  const path = new CodePath(layout);
  for (let left = blocks; left > 0; left--) {
    const end = path.endOfBlock(cpu, stream);
    let { at } = path;
    // Every line up to the one that holds the end of the block, which is fetched at its end.
    while ((at | LINE_MASK) < end) {
      while (!cpu.fetch(hi, (lo + at) | 0)) yield;
      at = (at | LINE_MASK) + 1;
    }
    while (!cpu.fetch(hi, (lo + end) | 0)) yield;
    path.follow(cpu, stream, end, cpu.lo);
  }
}
