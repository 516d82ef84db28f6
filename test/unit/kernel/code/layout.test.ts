/**
 * Generated code: what a layout promises (footprint, hot share, branches that stay inside, entries
 * that can be patched), on many seeds.
 */

import { describe, expect, it } from 'vitest';
import {
  encodeBranch,
  encodeCall,
  encodeConditional,
  InstructionKind,
  kindOf,
  NOP,
  offsetOf,
  RET,
} from '../../../../src/kernel/code/instruction.ts';
import {
  type CodeLayout,
  type CodeParameters,
  layoutCode,
  pickFunction,
} from '../../../../src/kernel/code/layout.ts';

const TEXT: CodeParameters = {
  footprintBytes: 64 * 1024,
  hotBytes: 8 * 1024,
  hotShare: 0.8,
  branchiness: 0.4,
};
const SEEDS = [1, 2, 3, 4, 5, 6, 7, 8];

describe('instructions', () => {
  it('are encoded as the architecture says', () => {
    expect(encodeBranch(4) >>> 0).toBe(0x14000001);
    expect(encodeBranch(-4) >>> 0).toBe(0x17ffffff);
    expect(encodeCall(0x100) >>> 0).toBe(0x94000040);
    // b.ne #8
    expect(encodeConditional(8, 1) >>> 0).toBe(0x54000041);
    expect(encodeConditional(-8, 1) >>> 0).toBe(0x54ffffc1);
  });

  it('are decoded to what was encoded', () => {
    for (const offset of [4, -4, 0x7ffc, -0x8000, 0x7fffffc, -0x8000000]) {
      expect(offsetOf(encodeBranch(offset), InstructionKind.Branch)).toBe(offset);
      expect(offsetOf(encodeCall(offset), InstructionKind.Call)).toBe(offset);
      expect(kindOf(encodeBranch(offset))).toBe(InstructionKind.Branch);
      expect(kindOf(encodeCall(offset))).toBe(InstructionKind.Call);
    }
    for (const offset of [4, -4, 0xffffc, -0x100000]) {
      const word = encodeConditional(offset, 13);
      expect(kindOf(word)).toBe(InstructionKind.Conditional);
      expect(offsetOf(word, InstructionKind.Conditional)).toBe(offset);
    }
    expect(kindOf(NOP)).toBe(InstructionKind.Plain);
    expect(kindOf(RET)).toBe(InstructionKind.Return);
  });
});

describe('layouts', () => {
  it('fill the footprint with blocks, each ending where its instructions say', () => {
    for (const seed of SEEDS) {
      const { words, ends, functions } = layoutCode(TEXT, seed);
      expect(words.length * 4).toBe(TEXT.footprintBytes);
      expect(ends.includes(-1)).toBe(false);
      const starts = new Set(functions);
      const wrong: number[] = [];
      for (let index = 0; index < words.length; index++) {
        const end = ends[index]!;
        const inside = end >= index * 4 && end - index * 4 < 256 && ends[end >> 2] === end;
        const word = words[index]!;
        const kind = kindOf(word);
        // Only the last instruction of a block leaves it.
        const leaves = kind === InstructionKind.Plain || end === index * 4;
        const target = index * 4 + offsetOf(word, kind);
        const goes = kind !== InstructionKind.Plain && kind !== InstructionKind.Return;
        const arrives = !goes || (target >= 0 && target < TEXT.footprintBytes);
        const called = kind !== InstructionKind.Call || starts.has(target);
        if (!(inside && leaves && arrives && called)) wrong.push(index);
      }
      expect(wrong, `seed ${seed}`).toEqual([]);
      for (const start of functions) expect(words[start >> 2]).toBe(NOP);
    }
  });

  it('keep hot functions in the hot part', () => {
    for (const seed of SEEDS) {
      const { functions, hotFunctions } = layoutCode(TEXT, seed);
      expect(functions[hotFunctions]).toBe(TEXT.hotBytes);
      expect(functions[hotFunctions - 1]!).toBeLessThan(TEXT.hotBytes);
    }
  });

  it('follow from the seed alone', () => {
    const text = (seed: number): string => layoutCode(TEXT, seed).words.join();
    expect(text(3)).toBe(text(3));
    expect(text(3)).not.toBe(text(4));
  });

  it('dispatch to hot functions with the hot share', () => {
    const layout = layoutCode(TEXT, 1);
    expect(pickFunction(layout, 0.79 * 2 ** 32, 7)).toBeLessThan(TEXT.hotBytes);
    expect(pickFunction(layout, 0.81 * 2 ** 32, 7)).toBeGreaterThanOrEqual(TEXT.hotBytes);
  });

  it('may be hot altogether, or not at all', () => {
    const hot = layoutCode({ ...TEXT, hotBytes: TEXT.footprintBytes }, 1);
    expect(hot.hotFunctions).toBe(hot.functions.length);
    expect(pickFunction(hot, 2 ** 32 - 1, 5)).toBe(hot.functions[5]);
    const cold = layoutCode({ ...TEXT, hotBytes: 0 }, 1);
    expect(cold.hotFunctions).toBe(0);
    expect(pickFunction(cold, 0, 5)).toBe(cold.functions[5]);
  });

  it('call with the share that is asked for', () => {
    const calls = (layout: CodeLayout): number =>
      layout.words.filter((word) => kindOf(word) === InstructionKind.Call).length;
    const blocks = (layout: CodeLayout): number => new Set(layout.ends).size;
    expect(calls(layoutCode({ ...TEXT, callShare: 0 }, 1))).toBe(0);
    const half = layoutCode({ ...TEXT, callShare: 0.5 }, 1);
    // A quarter of the functions calls nobody.
    expect(Math.abs(calls(half) / blocks(half) - 0.375)).toBeLessThan(0.05);
  });

  it('refuse what makes no text', () => {
    const refused = (change: Partial<CodeParameters>) => () =>
      layoutCode({ ...TEXT, ...change }, 1);
    expect(refused({ footprintBytes: 100 })).toThrow(
      /text of 100 bytes: it takes 1 KiB to 128 MiB/,
    );
    expect(refused({ hotBytes: 2 ** 20 })).toThrow('1048576 hot bytes of 65536 bytes of text');
    expect(refused({ hotShare: 1.5 })).toThrow('hotShare=1.5: a share is 0 to 1');
    expect(refused({ branchiness: Number.NaN })).toThrow('branchiness=NaN: a share is 0 to 1');
  });
});
