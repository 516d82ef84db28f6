/**
 * Promise: no translation survives TLBI + DSB anywhere, and a program that forgets one of them, or
 * sends it to the wrong place, is caught before its results are believed. Each wrong program
 * stands beside the correct one, which is silent. Two CPUs share an address space: one unmaps a
 * page
 * (or its table) and frees it, the other goes on reading.
 */

import { describe, expect, it } from 'vitest';
import type { Cpu, Program } from '../../../src/cpu/cpu.ts';
import {
  EventKind,
  Fence,
  Level,
  Order,
  Register,
  Scope,
  Tlbi,
} from '../../../src/cpu/operations.ts';
import type { BootMemory } from '../../../src/memory/boot.ts';
import { type Address, toLinear } from '../../../src/memory/physical-address.ts';
import {
  createStage1Table,
  descriptorAt,
  mapRange,
  type TranslationTable,
} from '../../../src/translation/boot-tables.ts';
import { GRANULE_4K } from '../../../src/translation/granule.ts';
import { S1_USER_DATA_HI, S1_USER_DATA_LO } from '../../../src/translation/stage1-descriptors.ts';
import { makeTestMachine } from '../../support/test-machine.ts';
import { checkedRun, everything, type SmallProgram } from './checked-run.ts';

const ASID = 77;
const VA: Address = { hi: 0, lo: 0x400000 };
const PAGES = 8;
const US = 1_000_000;

interface Image {
  readonly table: TranslationTable;
  readonly frames: Address;
  /** Linear map: descriptor of the first page, of its table, and the reader's stop word. */
  readonly descriptor: Address;
  readonly upper: Address;
  readonly leafTable: Address;
  readonly stop: Address;
}

function boot(memory: BootMemory): Image {
  const table = createStage1Table(memory, 0, GRANULE_4K);
  const frames = memory.allocate(0, PAGES * 4096, 4096);
  memory.name('the frames', frames, PAGES * 4096);
  mapRange(memory, table, {
    input: VA,
    output: frames,
    bytes: PAGES * 4096,
    attributesHi: S1_USER_DATA_HI,
    attributesLo: S1_USER_DATA_LO,
    tableNode: 0,
  });
  const descriptor = descriptorAt(memory, table, VA, 3, 0);
  const upper = descriptorAt(memory, table, VA, 2, 0);
  return {
    table,
    frames,
    descriptor: toLinear(descriptor),
    upper: toLinear(upper),
    leafTable: { hi: descriptor.hi, lo: descriptor.lo & ~0xfff },
    stop: toLinear(memory.allocate(0, 64)),
  };
}

function* skip(cpu: Cpu): Program {
  cpu.skipAttempt();
  while (!cpu.fence(Fence.Isb)) yield;
}

function* enter(cpu: Cpu, image: Image): Program {
  const { root } = image.table;
  while (!cpu.setRoot(Register.Ttbr0, root.hi, root.lo, ASID)) yield;
}

/** Reads all pages again and again until told to stop; a fault is stepped over. */
function* reader(cpu: Cpu, image: Image): Program {
  cpu.setVector(Level.Host, skip);
  yield* enter(cpu, image);
  for (let round = 0; ; round++) {
    while (!cpu.load32(VA.hi, VA.lo + (round % PAGES) * 4096, Order.Relaxed)) yield;
    while (!cpu.load32(image.stop.hi, image.stop.lo, Order.Relaxed)) yield;
    if (cpu.lo !== 0) return;
    cpu.compute(10_000);
  }
}

function* stopReader(cpu: Cpu, image: Image): Program {
  cpu.compute(5 * US);
  while (!cpu.store32(image.stop.hi, image.stop.lo, 1, Order.Release)) yield;
}

interface Unmap {
  readonly operation: Tlbi | null;
  readonly dsb: boolean;
}

/** Clears the first page's descriptor, invalidates as told, frees the frame. */
function* unmapper(cpu: Cpu, image: Image, { operation, dsb }: Unmap): Program {
  yield* enter(cpu, image);
  cpu.compute(5 * US);
  while (!cpu.store64(image.descriptor.hi, image.descriptor.lo, 0, 0, Order.Relaxed)) yield;
  while (!cpu.fence(Fence.DsbIshSt)) yield;
  if (operation !== null) while (!cpu.tlbi(operation, VA.hi, VA.lo, 1)) yield;
  if (dsb) while (!cpu.dsb(Scope.InnerShareable)) yield;
  cpu.event(EventKind.FrameFreed, image.frames.hi, image.frames.lo);
  yield* stopReader(cpu, image);
}

function pair(first: (cpu: Cpu, image: Image) => Program): SmallProgram<Image> {
  return {
    boot,
    program: (cpu, image) => (cpu.id === 0 ? first(cpu, image) : reader(cpu, image)),
  };
}

const machine = makeTestMachine({ cpuCount: 2, nodeCount: 2 });

/** So small that every read walks. */
const walkingMachine = {
  ...machine,
  dtlb: { entries: 1, ways: 0, penaltyPs: 0 },
  tlb2: { entries: 2, ways: 0, penaltyPs: 0 },
  walkCacheEntries: 1,
};

describe('unmapping a page that another CPU reads', () => {
  const run = (unmap: Unmap) =>
    checkedRun(
      machine,
      pair((cpu, image) => unmapper(cpu, image, unmap)),
    );

  it('is silent with a broadcast TLBI and a DSB', () => {
    for (const operation of [Tlbi.VaE1Is, Tlbi.VaLE1Is, Tlbi.VaaE1Is, Tlbi.AsidE1Is]) {
      const checked = run({ operation, dsb: true });
      expect(everything(checked)).toEqual([]);
      expect(checked.result.ending.kind).toBe('finished');
    }
  });

  it('is caught without a TLBI', () => {
    const [text] = run({ operation: null, dsb: true }).violations('freed-frames');
    expect(text).toMatch(/^CPU 1 at [\d.]+ ns: uses a translation, filled at [\d.]+ ns/);
    expect(text).toContain('the frames; with CPU 0)');
  });

  it('is caught with a TLBI that reaches nobody but the issuer', () => {
    const checked = run({ operation: Tlbi.VaE1, dsb: true });
    expect(checked.violations('freed-frames')).toHaveLength(1);
  });

  it('is caught without a DSB, whether or not anybody read in between', () => {
    const [text] = run({ operation: Tlbi.VaE1Is, dsb: false }).violations('translations');
    expect(text).toContain('frees a frame before the TLBI for it is complete: never');
    expect(text).toMatch(/^CPU 0 at .*with CPU 1\)$/);
  });
});

describe('unmapping a page that nobody else reads', () => {
  it('needs its DSB all the same', () => {
    function* alone(cpu: Cpu, image: Image, dsb: boolean): Program {
      yield* enter(cpu, image);
      while (!cpu.load32(VA.hi, VA.lo, Order.Relaxed)) yield;
      yield* unmapper(cpu, image, { operation: Tlbi.VaE1Is, dsb });
    }
    const run = (dsb: boolean) =>
      checkedRun(machine, {
        boot,
        program: (cpu, image) => (cpu.id === 0 ? alone(cpu, image, dsb) : null),
      });
    expect(everything(run(true))).toEqual([]);
    expect(run(false).violations('translations')[0]).toMatch(
      /^CPU 0 at [\d.]+ ns: frees a frame before the TLBI for it is complete: never/,
    );
  });
});

describe('freeing a table page that another CPU walks through', () => {
  function* pruner(cpu: Cpu, image: Image, correct: boolean): Program {
    yield* enter(cpu, image);
    cpu.compute(5 * US);
    if (correct) {
      while (!cpu.store64(image.upper.hi, image.upper.lo, 0, 0, Order.Relaxed)) yield;
      while (!cpu.fence(Fence.DsbIshSt)) yield;
      while (!cpu.tlbi(Tlbi.AsidE1Is, 0, 0, 0)) yield;
      while (!cpu.dsb(Scope.InnerShareable)) yield;
    }
    cpu.event(EventKind.TablePageFreed, image.leafTable.hi, image.leafTable.lo);
    yield* stopReader(cpu, image);
  }
  const run = (correct: boolean) =>
    checkedRun(
      walkingMachine,
      pair((cpu, image) => pruner(cpu, image, correct)),
    );

  it('is silent after unlinking, TLBI and DSB', () => {
    expect(everything(run(true))).toEqual([]);
  });

  it('is caught when the table is still linked', () => {
    const [text] = run(false).violations('table-pages');
    expect(text).toMatch(/^CPU 1 at [\d.]+ ns: walks through a table page that was freed/);
  });

  it('is caught when a program reads the page, too', () => {
    function* late(cpu: Cpu, image: Image): Program {
      yield* enter(cpu, image);
      while (!cpu.load32(VA.hi, VA.lo, Order.Relaxed)) yield;
      cpu.event(EventKind.TablePageFreed, image.leafTable.hi, image.leafTable.lo);
      cpu.compute(US);
      while (!cpu.load64(image.descriptor.hi, image.descriptor.lo, Order.Relaxed)) yield;
    }
    const program = (cpu: Cpu, image: Image) => (cpu.id === 0 ? late(cpu, image) : null);
    const [text] = checkedRun(machine, { boot, program }).violations('table-pages');
    expect(text).toMatch(/^CPU 0 at [\d.]+ ns: reads a table page that was freed/);
  });
});

describe('checks', () => {
  it('change neither a clock nor a counter', () => {
    for (const each of [machine, walkingMachine]) {
      const unmap = { operation: Tlbi.VaE1Is, dsb: true };
      const small = pair((cpu, image) => unmapper(cpu, image, unmap));
      const [on, off] = [true, false].map((checks) =>
        checkedRun(each, small, checks).result.cpus.map((cpu) => ({
          clock: cpu.clockPs,
          counters: [...cpu.counters],
          hash: cpu.grantHash,
        })),
      );
      expect(on).toEqual(off);
    }
  });
});
