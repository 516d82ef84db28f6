/**
 * Executing generated code, on the step engine, which tells every fetch, and on the virtual engine:
 * lines touched, hot share, what a patched branch does.
 */

import { describe, expect, it } from 'vitest';
import type { Cpu, Program } from '../../../../src/cpu/cpu.ts';
import { executeCode } from '../../../../src/kernel/code/execute.ts';
import type { CodeImage } from '../../../../src/kernel/code/image.ts';
import { placeCode } from '../../../../src/kernel/code/image.ts';
import { encodeBranch, RET } from '../../../../src/kernel/code/instruction.ts';
import { type CodeParameters, layoutCode } from '../../../../src/kernel/code/layout.ts';
import { toLinear } from '../../../../src/memory/physical-address.ts';
import { StepEngine } from '../../../support/step-engine.ts';

const TEXT: CodeParameters = {
  footprintBytes: 32 * 1024,
  hotBytes: 8 * 1024,
  hotShare: 0.8,
  branchiness: 0.4,
};

interface Executed {
  readonly image: CodeImage;
  /** Offsets of all fetches, in order. */
  readonly fetched: readonly number[];
}

/** Text in the linear map; `change` patches it before anything runs. */
function execute(
  parameters: CodeParameters,
  seed: number,
  blocks: number,
  change: (engine: StepEngine, image: CodeImage) => void = () => {},
): Executed {
  const engine = new StepEngine({ cpuCount: 1, nodeCount: 1, seed });
  const layout = layoutCode(parameters, seed);
  const { hi, lo } = toLinear(placeCode(engine.boot, 'text', 0, layout));
  const image: CodeImage = { layout, hi, lo };
  change(engine, image);
  const fetched: number[] = [];
  engine.run([
    function* program(cpu): Program {
      yield* executeCode(telling(cpu, lo, fetched), image, 0, blocks);
    },
  ]);
  return { image, fetched };
}

/** The CPU, with its performed fetches taken down. */
function telling(cpu: Cpu, base: number, fetched: number[]): Cpu {
  return new Proxy(cpu, {
    get(target, name) {
      if (name !== 'fetch') {
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === 'function' ? value.bind(target) : value;
      }
      return (aHi: number, aLo: number): boolean => {
        const performed = target.fetch(aHi, aLo);
        if (performed) fetched.push(aLo - base);
        return performed;
      };
    },
  });
}

const linesOf = (offsets: readonly number[]): Set<number> =>
  new Set(offsets.map((offset) => offset >> 6));

describe('executeCode', () => {
  it('fetches every line of the footprint in the long run, and no other', () => {
    const { fetched } = execute({ ...TEXT, hotShare: 0.3 }, 1, 30_000);
    const lines = linesOf(fetched);
    const all = TEXT.footprintBytes / 64;
    expect(Math.max(...lines)).toBeLessThan(all);
    expect(lines.size).toBeGreaterThan(0.9 * all);
  });

  it('spends the hot share of its fetches in hot text', () => {
    for (const hotShare of [0, 0.5, 0.8, 1]) {
      const { fetched } = execute({ ...TEXT, hotShare }, 2, 20_000);
      const hot = fetched.filter((offset) => offset < TEXT.hotBytes).length / fetched.length;
      expect(Math.abs(hot - hotShare), `${hot} of ${hotShare}`).toBeLessThan(0.1);
    }
  });

  it('fetches the lines of a block in order', () => {
    const { fetched, image } = execute({ ...TEXT, blockBytes: 256, functionBytes: 2048 }, 3, 500);
    let at = 0;
    for (let block = 0; block < 500; block++) {
      const end = image.layout.ends[fetched[at]! >> 2]!;
      while (fetched[at] !== end) {
        const next = fetched[at + 1]!;
        expect(next >> 6).toBe((fetched[at]! >> 6) + 1);
        at++;
      }
      at++;
    }
    expect(at).toBe(fetched.length);
  });

  it('goes straight on where no branch is taken', () => {
    const { fetched, image } = execute({ ...TEXT, branchiness: 0, callShare: 0 }, 4, 300);
    const { ends, words } = image.layout;
    const isEnd = fetched.filter((offset) => ends[offset >> 2] === offset);
    expect(isEnd.length).toBe(300);
    const backward = isEnd.filter((offset, i) => {
      const next = isEnd[i + 1];
      return next !== undefined && next <= offset && words[offset >> 2] !== RET;
    });
    expect(backward).toEqual([]);
  });

  it('follows a patched branch', () => {
    const parameters = { ...TEXT, hotShare: 1, hotBytes: 256 };
    const target = 4096;
    const { fetched } = execute(parameters, 5, 100, (engine, image) => {
      const { hi, lo, layout } = image;
      for (const start of layout.functions.subarray(0, layout.hotFunctions)) {
        const end = layout.ends[start >> 2]!;
        engine.memory.poke32(hi & 0xffff, lo + end, encodeBranch(target - end));
      }
    });
    expect(linesOf(fetched).has(target >> 6)).toBe(true);
  });

  it('ends where code would run in a circle for ever', () => {
    const { fetched } = execute({ ...TEXT, branchiness: 1 }, 6, 1000);
    expect(fetched.length).toBeGreaterThanOrEqual(1000);
  });
});
