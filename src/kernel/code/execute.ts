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
import { pickFunction } from './layout.ts';

/** Calls that nest deeper are left out. */
const DEPTH_MAX = 16;
const LINE_MASK = 63;

/** Runs `blocks` basic blocks from the start of a function on. */
export function* executeCode(cpu: Cpu, image: CodeImage, stream: number, blocks: number): Program {
  const { layout, hi, lo } = image;
  const { ends } = layout;
  const bytes = layout.words.length * 4;
  const taken = layout.parameters.branchiness * 0x1_0000_0000;
  const returns = new Int32Array(DEPTH_MAX);
  let depth = 0;
  let at = -1;
  for (let left = blocks; left > 0; left--) {
    if (at < 0) at = pickFunction(layout, cpu.random(stream), cpu.random(stream));
    const end = ends[at >> 2]!;
    // Every line up to the one that holds the end of the block, which is fetched at its end.
    while ((at | LINE_MASK) < end) {
      while (!cpu.fetch(hi, (lo + at) | 0)) yield;
      at = (at | LINE_MASK) + 1;
    }
    while (!cpu.fetch(hi, (lo + end) | 0)) yield;
    const word = cpu.lo;
    const kind = kindOf(word);
    at = end + 4;
    if (kind === InstructionKind.Return) {
      at = depth === 0 ? -1 : returns[--depth]!;
    } else if (kind !== InstructionKind.Plain) {
      const target = end + offsetOf(word, kind);
      // Loops end: a branch back is taken half as often.
      const limit = target <= end ? taken / 2 : taken;
      const isTaken = kind !== InstructionKind.Conditional || cpu.random(stream) < limit;
      if (isTaken && target >= 0 && target < bytes) {
        const calls = kind === InstructionKind.Call;
        if (!calls) at = target;
        else if (depth < DEPTH_MAX) {
          returns[depth++] = at;
          at = target;
        }
      }
    }
    if (at >= bytes) at = -1;
  }
}
