/**
 * Promises: with copies every CPU fetches kernel text from its own node and all copies are equal
 * before and after patches, whoever patches; without, CPUs of other nodes fetch from the first; a
 * new top-level entry reaches every root, the kernel's own is never written.
 */

import { describe, expect, it } from 'vitest';
import type { Parameters } from '../../../../src/base/parameters.ts';
import { LINE_BYTES } from '../../../../src/base/units.ts';
import type { Cpu, Program } from '../../../../src/cpu/cpu.ts';
import { executeCode } from '../../../../src/kernel/code/execute.ts';
import { NOP } from '../../../../src/kernel/code/instruction.ts';
import {
  bootFixmap,
  type FixmapImage,
  makeFixmapPoke,
} from '../../../../src/kernel/patching/fixmap-poke.ts';
import type { SmpImage } from '../../../../src/kernel/smp/call-function.ts';
import { openKernelSmp } from '../../../../src/kernel/smp/functions.ts';
import { copiedBytes, type KernelTextImage } from '../../../../src/kernel/text/image.ts';
import { patchInstruction, verifyCopies } from '../../../../src/kernel/text/patch.ts';
import { makeSetRootEntry } from '../../../../src/kernel/text/propagate.ts';
import type { Machine } from '../../../../src/machine/machine.ts';
import { type Address, addBytes } from '../../../../src/memory/physical-address.ts';
import { Counter } from '../../../../src/metrics/definition.ts';
import { makeQueuedSpinlock } from '../../../../src/sync/qspinlock.ts';
import { runKernelTest } from '../../../support/kernel-run.ts';
import { makeTestMachine } from '../../../support/test-machine.ts';

interface Image {
  readonly text: KernelTextImage;
  readonly fixmap: FixmapImage;
  readonly smp: SmpImage;
}

const BRK = 0xd4202000 | 0;

/** By the text's own address: what the instruction side of this CPU sees. */
function* wordAt(cpu: Cpu, { hi, lo }: Address): Generator<Program | undefined, number> {
  while (!cpu.fetch(hi, lo)) yield;
  return cpu.lo;
}

function* life(cpu: Cpu, machine: Machine, image: Image): Program {
  const { text, fixmap } = image;
  const lock = makeQueuedSpinlock();
  const smp = openKernelSmp(cpu, machine, image.smp);
  const parts = { machine, image: text, poke: pokeOf(fixmap) };
  yield executeCode(cpu, text.code, 0, 3000);
  const site = text.code.layout.functions[cpu.id + 1]!;
  const at = addBytes(text.start, site);
  expect(yield* wordAt(cpu, at)).toBe(NOP);
  yield patchInstruction(cpu, parts, site, BRK);
  expect(cpu.ret).toBe(0);
  yield* smp.kickAllCpusSync(cpu);
  expect(yield* wordAt(cpu, at)).toBe(BRK);
  yield patchInstruction(cpu, parts, site + 2, BRK);
  expect(cpu.ret).toBe(-22);
  const setRootEntry = makeSetRootEntry(text, lock);
  if (cpu.id === 0) {
    yield* setRootEntry(cpu, 300, 0, 0x3003);
    yield* setRootEntry(cpu, text.rootIndex, 0, 0x3003);
  }
  yield* smp.calls.leave(cpu);
  yield verifyCopies(cpu, text, 0, Math.min(copiedBytes(text), 4096));
  expect(cpu.ret).toBe(-1);

  function pokeOf(window: FixmapImage) {
    const offsetOf = (lo: number): number => (lo - text.start.lo) >>> 0;
    return makeFixmapPoke(window, lock, smp.flushKernelRange, function* (c, _hi, lo) {
      while (!c.fence(0)) yield;
      const physical = addBytes(text.copies[0]!.physical, offsetOf(lo));
      c.hi = physical.hi;
      c.lo = physical.lo;
    });
  }
}

function run(parameters: Parameters) {
  const machine = makeTestMachine({
    cpuCount: 4,
    nodeCount: 2,
    features: { dic: false, idc: false },
  });
  return runKernelTest<Image>({
    machine,
    cpus: [0, 1, 2, 3],
    backedBytes: 2 ** 20,
    kernelOptions: ['text'],
    parameters: { textSize: 262144, hotText: 131072, rodataSize: 65536, ...parameters },
    boot: (boot, { map, smp, text }) => ({
      text: text!,
      fixmap: bootFixmap(boot, map, 0, makeQueuedSpinlock()),
      smp: smp!,
    }),
    program: (cpu, image) => life(cpu, machine, image),
  });
}

describe('kernel text', () => {
  it.each(['4K', '64K', '2M'])('replicated with leaves of %s', (textPages) => {
    const { image, memory, counter } = run({ text: 'replicated', textPages });
    const { copies, rootIndex } = image.text;
    expect(copies.map(({ node }) => node)).toEqual([0, 1]);
    const [first, second] = copies as [(typeof copies)[0], (typeof copies)[0]];
    const word = ({ hi, lo }: Address, offset: number): number => memory.peek32(hi, lo + offset);
    for (let offset = 0; offset < copiedBytes(image.text); offset += LINE_BYTES) {
      expect(word(second.physical, offset)).toBe(word(first.physical, offset));
    }
    for (let index = 0; index < 512; index++) {
      const equal = word(second.root, index * 8) === word(first.root, index * 8);
      expect(equal, `root entry ${index}`).toBe(index !== rootIndex);
    }
    expect(word(first.root, 300 * 8)).toBe(0x3003);
    expect(counter(Counter.TextCopiesPatched)).toBe(4);
  });

  it('ktext=off makes no copies under the same layout', () => {
    const { image } = run({ text: 'replicated', ktext: 'off' });
    expect(image.text.copies).toHaveLength(1);
    expect(image.text.start).toEqual(run({ text: 'replicated' }).image.text.start);
  });

  it('shared text has one copy and one root', () => {
    const { image, counter } = run({ text: 'shared' });
    expect(image.text.copies).toHaveLength(1);
    expect(counter(Counter.TextCopiesPatched)).toBe(0);
  });
});
