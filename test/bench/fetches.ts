/**
 * Instruction fetches that hit the L1I: of lines in order, and as generated code runs, whose blocks
 * end with branches that are followed. 32 KiB of text in 4 KiB pages. The bare loops read the same
 * words of a plain array, one of each line, and choose where to go on in the same way.
 */

import { KIB, MIB } from '../../src/base/units.ts';
import type { Program } from '../../src/cpu/cpu.ts';
import { executeCode } from '../../src/kernel/code/execute.ts';
import { type CodeImage, mapCode, placeCode } from '../../src/kernel/code/image.ts';
import { type CodeParameters, layoutCode } from '../../src/kernel/code/layout.ts';
import {
  createUserSpace,
  enterUserSpace,
  type UserSpace,
} from '../../workloads/common/user-space.ts';
import type { Benchmark, Measured } from './benchmark.ts';
import { defaultMachine, runRaw } from './raw-machine.ts';
import { bareRate, Stopwatch } from './stopwatch.ts';

const MILLION = 1e6;
const SLICE = 2000;
const TEXT: CodeParameters = {
  footprintBytes: 32 * KIB,
  hotBytes: 8 * KIB,
  hotShare: 0.9,
  branchiness: 0.5,
};
const TEXT_LO = 0x400000;

/** Millions per second of what `execute` does so many of; one CPU. */
function measure(
  execute: (image: CodeImage) => (cpu: Parameters<typeof executeCode>[0]) => Program,
) {
  const watch = new Stopwatch(1);
  let done = 0;
  runRaw<{ readonly space: UserSpace; readonly image: CodeImage }>({
    machine: defaultMachine(),
    cpus: [0],
    backedBytes: MIB,
    boot(memory) {
      const space = createUserSpace(memory, 0);
      const layout = layoutCode(TEXT, 1);
      const output = placeCode(memory, 'text', 0, layout);
      const input = { hi: 0, lo: TEXT_LO };
      const image = mapCode(memory, space.table, layout, {
        input,
        output,
        tableNode: 0,
        maximumShift: 12,
      });
      return { space, image };
    },
    *program(cpu, { space, image }): Program {
      yield* enterUserSpace(cpu, space);
      const slice = execute(image);
      for (let warm = 0; warm < 20; warm++) yield slice(cpu);
      watch.start();
      while (!watch.ended) {
        const counts = watch.running;
        yield slice(cpu);
        cpu.mark();
        if (counts) done += SLICE;
      }
    },
  });
  return done / watch.seconds / MILLION;
}

function bareFetches(): number {
  const words = new Int32Array(TEXT.footprintBytes / 4);
  const loop = (fetches: number): number => {
    let sum = 0;
    let at = 0;
    for (let i = 0; i < fetches; i++) {
      sum = (sum + words[at]!) | 0;
      at = (at + 16) & (words.length - 1);
    }
    return sum;
  };
  return bareRate(100 * MILLION, loop) / MILLION;
}

export const fetchHits: Benchmark = {
  name: 'fetchHits',
  description: '1 CPU, instruction fetches of lines in order over 32 KiB, 4 KiB pages',
  boundIs: 'loads of a typed array, one word of each line',
  unit: 'M/s',
  goal: { of: 'value', atLeast: 25 },
  measure(): Measured {
    let at = 0;
    const value = measure(
      (image) =>
        function* fetches(cpu): Program {
          for (let i = 0; i < SLICE; i++) {
            while (!cpu.fetch(image.hi, image.lo + at)) yield;
            at = (at + 64) & (TEXT.footprintBytes - 1);
          }
        },
    );
    return { value, bound: bareFetches() };
  },
};

export const codeBlocks: Benchmark = {
  name: 'codeBlocks',
  description: '1 CPU, basic blocks of generated code, 32 KiB of which 8 KiB are hot (90 %)',
  boundIs: 'none',
  unit: 'M/s',
  goal: null,
  measure: (): Measured => ({
    value: measure((image) => (cpu) => executeCode(cpu, image, 0, SLICE)),
    bound: null,
  }),
};
