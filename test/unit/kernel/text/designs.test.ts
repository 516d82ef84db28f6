/**
 * Promises: under both designs every CPU fetches from its own node, EL2's text excepted; kpti's
 * roots lie at a fixed distance on each node; a CPU that comes back gets its node's root; nodes
 * without memory execute the nearest copy; both funnels reach every copy, whoever patches;
 * protected copies refuse stores through their alias; options that cannot be are refused in one
 * line.
 */

import { describe, expect, it } from 'vitest';
import { Condition, Level, Order } from '../../../../src/cpu/operations.ts';
import { NOP } from '../../../../src/kernel/code/instruction.ts';
import { fillWith } from '../../../../src/kernel/patching/text-poke.ts';
import { applyAlternatives } from '../../../../src/kernel/text/alternatives.ts';
import {
  cpuReturn,
  cpuReturnSteps,
  prepareSecondary,
  startSecondary,
} from '../../../../src/kernel/text/cpu-return.ts';
import { KernelEntry, TRAMP_SWAPPER_OFFSET } from '../../../../src/kernel/text/kpti.ts';
import { checkTextOptions, resolveTextOptions } from '../../../../src/kernel/text/options.ts';
import {
  patchInstruction,
  textPatchSteps,
  verifyCopies,
} from '../../../../src/kernel/text/patch.ts';
import { loadMachine } from '../../../../src/machine/catalog.ts';
import { addBytes, toLinear } from '../../../../src/memory/physical-address.ts';
import { Counter } from '../../../../src/metrics/definition.ts';
import { makeTestMachine } from '../../../support/test-machine.ts';
import { executeSome, runTextTest, textMachine } from './text-run.ts';

const BRK = 0xd4202000 | 0;
const DESIGNS = ['replicated', 'stage2-replicated'];

describe('copies per node', () => {
  it.each(DESIGNS)('text=%s: nobody fetches from another node', (text) => {
    const { counterOf } = runTextTest({ parameters: { text }, life: executeSome });
    expect(counterOf(0, Counter.FetchesLocal)).toBeGreaterThan(50);
    expect(counterOf(1, Counter.FetchesLocal)).toBeGreaterThan(50);
    expect(counterOf(1, Counter.FetchesRemote)).toBe(0);
  });

  it.each(DESIGNS)('text=%s ktext=off: the second node fetches from the first', (text) => {
    const { counterOf } = runTextTest({ parameters: { text, ktext: 'off' }, life: executeSome });
    expect(counterOf(0, Counter.FetchesRemote)).toBe(0);
    expect(counterOf(1, Counter.FetchesLocal)).toBe(0);
    expect(counterOf(1, Counter.FetchesRemote)).toBeGreaterThan(50);
  });

  it('a node without memory executes the nearest copy', () => {
    const machine = textMachine(3);
    const memoryBytesOfNode = Float64Array.of(0, 2 ** 30, 2 ** 30);
    const parameters = { text: 'replicated' };
    const outcome = runTextTest({
      parameters,
      machine: { ...machine, memoryBytesOfNode },
      life: executeSome,
    });
    const { copies, copyOfNode } = outcome.image.patching.text;
    expect(copies.map(({ node }) => node)).toEqual([1, 2]);
    expect(copyOfNode).toEqual([0, 0, 1]);
    expect(outcome.counterOf(0, Counter.FetchesLocal)).toBe(0);
    expect(outcome.counterOf(1, Counter.FetchesRemote)).toBe(0);
    expect(outcome.counterOf(2, Counter.FetchesRemote)).toBe(0);
  });
});

describe('roots', () => {
  it('kpti: entries switch by a constant, on every node', () => {
    const { image, memory, counterOf } = runTextTest({
      parameters: { text: 'replicated', kpti: 'on' },
      *life(cpu, kernel) {
        const entry = new KernelEntry(cpu, kernel.image.patching.text);
        for (let i = 0; i < 5; i++) {
          yield* entry.leave(cpu);
          cpu.compute(1000);
          yield* entry.enter(cpu);
          yield* executeSome(cpu, kernel, 40);
        }
      },
    });
    for (const { root, trampoline } of image.patching.text.copies) {
      expect(addBytes(trampoline!, TRAMP_SWAPPER_OFFSET)).toEqual(root);
      expect(memory.peek32(trampoline!.hi, trampoline!.lo + 511 * 8) & 1).toBe(1);
    }
    // The vectors alone: the fixmap is not replicated.
    expect(counterOf(1, Counter.FetchesRemote)).toBe(2);
  });

  it('kpti without its own offset on the second node executes the first text', () => {
    const { counterOf } = runTextTest({
      parameters: { text: 'replicated', kpti: 'on' },
      *life(cpu, kernel) {
        const { text } = kernel.image.patching;
        const swapperOf = () => text.copies[0]!.root;
        const entry = new KernelEntry(cpu, text, { swapperOf });
        yield* entry.leave(cpu);
        yield* entry.enter(cpu);
        yield* executeSome(cpu, kernel);
      },
    });
    expect(counterOf(1, Counter.FetchesRemote)).toBeGreaterThan(50);
  });

  it.each([
    ["the node's", cpuReturnSteps.rootOf, false],
    ['swapper_pg_dir', (image) => image.copies[0]!.root, true],
  ] as [string, typeof cpuReturnSteps.rootOf, boolean][])(
    'a CPU that returns with %s root',
    (_, rootOf, isRemote) => {
      const { counterOf } = runTextTest({
        parameters: { text: 'replicated' },
        *life(cpu, kernel) {
          yield* cpuReturn(cpu, kernel.image.patching.text, { rootOf });
          yield* executeSome(cpu, kernel);
        },
      });
      expect(counterOf(1, Counter.FetchesRemote) > 0).toBe(isRemote);
    },
  );

  it('a secondary starts with what the boot CPU wrote for its node', () => {
    const { counterOf } = runTextTest({
      parameters: { text: 'replicated' },
      *life(cpu, kernel) {
        const { secondaryData: data, patching } = kernel.image;
        if (cpu.id === 0) yield* prepareSecondary(cpu, patching.text, data, 1);
        else {
          const { NotEqual } = Condition;
          while (!cpu.cond32(data.hi, data.lo, NotEqual, -1, 0, Order.Acquire)) yield;
          yield* startSecondary(cpu, data);
          yield* executeSome(cpu, kernel);
        }
      },
    });
    expect(counterOf(1, Counter.FetchesLocal)).toBeGreaterThan(50);
    expect(counterOf(1, Counter.FetchesRemote)).toBe(0);
  });
});

describe('patching', () => {
  const cases = [
    { text: 'replicated' },
    { text: 'replicated', protectCopies: 'on' },
    { text: 'stage2-replicated' },
    { text: 'replicated', textPages: '2M' },
  ];
  it.each(cases)('%o: both funnels reach every copy, whoever patches', (parameters) => {
    const { image, memory, counter } = runTextTest({
      parameters,
      machine: textMachine(3),
      *life(cpu, { parts, smp, hyp, image: { patching } }) {
        const { text } = patching;
        const { functions } = text.code.layout;
        const site = functions[cpu.id + 1]!;
        yield patchInstruction(cpu, parts, site, BRK);
        expect(cpu.ret).toBe(0);
        yield* smp.kickAllCpusSync(cpu);
        const at = addBytes(text.start, site);
        while (!cpu.fetch(at.hi, at.lo)) yield;
        expect(cpu.lo).toBe(BRK);
        const range = 65536 + cpu.id * 4096;
        yield applyAlternatives(cpu, parts, range, 64, fillWith(BRK));
        yield* smp.kickAllCpusSync(cpu);
        const inRange = addBytes(text.start, range + 60);
        while (!cpu.fetch(inRange.hi, inRange.lo)) yield;
        expect(cpu.lo).toBe(BRK);
        yield hyp.call(cpu, verifyCopies(cpu, text, site & ~4095, 64));
      },
    });
    const { copies, code } = image.patching.text;
    for (const { physical } of copies) {
      for (const cpu of [0, 1, 2]) {
        const word = (at: number): number => memory.peek32(physical.hi, physical.lo + at);
        expect(word(code.layout.functions[cpu + 1]!)).toBe(BRK);
        expect(word(65536 + cpu * 4096 + 32)).toBe(BRK);
      }
    }
    expect(counter(Counter.TextPatches)).toBe(3 * 17);
    expect(counter(Counter.TextCopiesPatched) % 2).toBe(0);
    const replays = parameters.text === 'stage2-replicated' ? 3 * 17 : 0;
    expect(counter(Counter.TextReplays)).toBe(replays);
    if (replays > 0) expect(counter(Counter.HypFetchesRemote)).toBeGreaterThan(0);
  });

  it('verifyCopies names the node of a copy that was missed', () => {
    const results: number[] = [];
    runTextTest({
      parameters: { text: 'replicated' },
      cpus: [0],
      *life(cpu, { parts, image: { patching } }) {
        const { text } = patching;
        const site = text.code.layout.functions[1]!;
        const steps = { ...textPatchSteps, *patchCopy() {} };
        yield verifyCopies(cpu, text, site & ~4095, 4096);
        results.push(cpu.ret);
        yield patchInstruction(cpu, parts, site, BRK, steps);
        yield verifyCopies(cpu, text, site & ~4095, 4096);
        results.push(cpu.ret);
      },
    });
    expect(results).toEqual([-1, 1]);
  });

  it.each([true, false])("maintains node 0's alias from elsewhere: %s", (maintains) => {
    let seen = 0;
    runTextTest({
      parameters: { text: 'replicated' },
      *life(cpu, { parts, smp, image: { patching, flags } }) {
        const { text } = patching;
        const site = text.code.layout.functions[1]!;
        const at = addBytes(text.start, site);
        const own = textPatchSteps;
        const steps = maintains ? own : { ...own, *maintainOriginal() {} };
        const { hi, lo } = flags;
        while (!cpu.fetch(at.hi, at.lo)) yield;
        const mine = lo + cpu.id * 4;
        while (!cpu.store32(hi, mine, 1, Order.Release)) yield;
        const other = lo + 4 - cpu.id * 4;
        const wanted = cpu.id === 0 ? 2 : 1;
        while (!cpu.cond32(hi, other, Condition.Equal, -1, wanted, Order.Acquire)) yield;
        if (cpu.id === 1) {
          yield patchInstruction(cpu, parts, site, BRK, steps);
          yield* smp.kickAllCpusSync(cpu);
          while (!cpu.store32(hi, mine, 2, Order.Release)) yield;
          return;
        }
        while (!cpu.fetch(at.hi, at.lo)) yield;
        seen = cpu.lo;
      },
    });
    expect(seen).toBe(maintains ? BRK : NOP);
  });

  it.each(['on', 'off'])(
    'protectCopies=%s: stores through the alias of a copy',
    (protectCopies) => {
      let faults = 0;
      const { image } = runTextTest({
        parameters: { text: 'replicated', protectCopies },
        cpus: [1],
        *life(cpu, kernel) {
          cpu.setVector(Level.Host, function* (at) {
            faults++;
            at.skipAttempt();
            while (!at.fence(0)) yield;
          });
          const { physical } = kernel.image.patching.text.copies[1]!;
          const { hi, lo } = toLinear(physical);
          while (!cpu.store32(hi, lo, BRK, Order.Relaxed)) yield;
        },
      });
      expect(faults).toBe(protectCopies === 'on' ? 1 : 0);
      const { tableBytes } = image.patching.text;
      expect(tableBytes).toBeGreaterThan(0);
    },
  );
});

describe('refusals', () => {
  const check = (parameters: Record<string, string>, machine = textMachine()) => {
    return () => checkTextOptions(resolveTextOptions(parameters), machine);
  };

  it('quotes the kernel where the root cannot be split', () => {
    expect(check({ text: 'replicated', kernelPages: '16K' })).toThrow(
      /"Kernel L0 index cannot share with the modules or vmalloc .*; leave kernelPages=16K out$/,
    );
    expect(check({ text: 'replicated', vaBits: '52' })).toThrow(/LPA2/);
    const epyc = loadMachine('epyc_milan_2p');
    for (const text of DESIGNS) expect(check({ text }, epyc)).toThrow(/is x86/);
    expect(check({ text: 'shared' }, epyc)).not.toThrow();
  });

  it('text that does not fit', () => {
    expect(check({ textSize: '2G' })).toThrow(/larger than its slot .*\(1G\)/);
    expect(check({ text: 'replicated', textSize: '600G' })).toThrow(/larger than its slot/);
    expect(check({ textSize: '200M' })).toThrow(/at most 128M each/);
    expect(check({ textSize: '1M', hotText: '2M' })).toThrow(/hotText is larger/);
    const small = makeTestMachine({ memoryBytesPerNode: 4 * 2 ** 20 });
    const run = () =>
      runTextTest({
        parameters: { text: 'replicated', textSize: 2 ** 22, rodataSize: 2 ** 20 },
        machine: small,
        life: executeSome,
      });
    expect(run).toThrow(/memory with contents per node, and test has nodes of 4M/);
  });
});
