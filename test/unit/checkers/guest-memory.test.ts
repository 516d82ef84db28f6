/**
 * Promises I1 and I5 of the invariants: a live stage-2 entry is broken and flushed before it is
 * made again, and no guest store escapes the dirty log after the flush of a write protection. Two
 * vCPUs use a page; a third CPU, the VMM, changes its stage-2 entry, correctly or not.
 */

import { describe, expect, it } from 'vitest';
import type { Cpu, Program } from '../../../src/cpu/cpu.ts';
import {
  EventKind,
  Fence,
  Level,
  Order,
  Regime,
  Register,
  Scope,
  Tlbi,
} from '../../../src/cpu/operations.ts';
import type { BootMemory } from '../../../src/memory/boot.ts';
import { type Address, toLinear } from '../../../src/memory/physical-address.ts';
import {
  createStage1Table,
  createStage2Table,
  descriptorAt,
  mapRange,
  type TranslationTable,
} from '../../../src/translation/boot-tables.ts';
import {
  leafDescriptorHi,
  leafDescriptorLo,
  PERM_EXEC,
  PERM_READ,
  PERM_WRITE,
} from '../../../src/translation/descriptors.ts';
import { GRANULE_4K } from '../../../src/translation/granule.ts';
import { S1_USER_DATA_HI, S1_USER_DATA_LO } from '../../../src/translation/stage1-descriptors.ts';
import {
  S2_WRITE,
  s2AttributesHi,
  s2AttributesLo,
} from '../../../src/translation/stage2-descriptors.ts';
import { makeTestMachine } from '../../support/test-machine.ts';
import { checkedRun, everything } from './checked-run.ts';

const US = 1_000_000;
const VMID = 5;
const VA: Address = { hi: 0, lo: 0x40000000 };
const ALL = PERM_READ | PERM_WRITE | PERM_EXEC;
const VMM = 2;

interface Image {
  readonly stage2: TranslationTable;
  readonly guest: TranslationTable;
  /** The page that is worked on, and the one that takes its place. */
  readonly page: Address;
  readonly other: Address;
  /** Linear map: its stage-2 entry, and the word that stops the vCPUs. */
  readonly entry: Address;
  readonly stop: Address;
}

/** IPA = PA for the first MiB with contents; the guest maps one page of it. */
function boot(memory: BootMemory): Image {
  const guest = createStage1Table(memory, 0, GRANULE_4K);
  const page = memory.allocate(0, 8192, 8192);
  const stop = toLinear(memory.allocate(0, 64));
  mapRange(memory, guest, {
    input: VA,
    output: page,
    bytes: 4096,
    attributesHi: S1_USER_DATA_HI,
    attributesLo: S1_USER_DATA_LO,
    tableNode: 0,
  });
  const stage2 = createStage2Table(memory, 0, GRANULE_4K, 40);
  mapRange(memory, stage2, {
    input: { hi: 0, lo: 0 },
    output: { hi: 0, lo: 0 },
    bytes: 1 << 20,
    attributesHi: s2AttributesHi(ALL),
    attributesLo: s2AttributesLo(ALL, false),
    maximumShift: 12,
    tableNode: 0,
  });
  const entry = toLinear(descriptorAt(memory, stage2, page, 3, 0));
  return { stage2, guest, page, other: { hi: page.hi, lo: page.lo + 4096 }, entry, stop };
}

/** A stage-2 fault: as soon as the entry is writable, back to the guest. */
function* waitForEntry(cpu: Cpu, image: Image): Program {
  for (;;) {
    while (!cpu.load64(image.entry.hi, image.entry.lo, Order.Relaxed)) yield;
    if ((cpu.lo & 1) !== 0 && (cpu.lo & S2_WRITE) !== 0) return;
    cpu.compute(20_000);
    while (!cpu.load32(image.stop.hi, image.stop.lo, Order.Relaxed)) yield;
    if (cpu.lo === 0) continue;
    cpu.skipAttempt();
    return;
  }
}

function* enterVm(cpu: Cpu, image: Image): Program {
  const { stage2, guest } = image;
  while (!cpu.setRoot(Register.Vttbr, stage2.root.hi, stage2.root.lo, VMID)) yield;
  while (!cpu.setRoot(Register.GuestTtbr0, guest.root.hi, guest.root.lo, 0)) yield;
}

/** Writes to the page again and again until told to stop. */
function* vcpu(cpu: Cpu, image: Image): Program {
  cpu.setVector(Level.El2, (at) => waitForEntry(at, image));
  yield* enterVm(cpu, image);
  for (;;) {
    cpu.setRegime(Regime.Guest);
    while (!cpu.store32(VA.hi, VA.lo, 1, Order.Relaxed)) yield;
    cpu.setRegime(Regime.Host);
    while (!cpu.load32(image.stop.hi, image.stop.lo, Order.Relaxed)) yield;
    if (cpu.lo !== 0) return;
    cpu.compute(10_000);
  }
}

function* setEntry(cpu: Cpu, image: Image, hi: number, lo: number): Program {
  while (!cpu.store64(image.entry.hi, image.entry.lo, hi, lo, Order.Release)) yield;
  while (!cpu.fence(Fence.DsbIshSt)) yield;
}

/** __kvm_tlb_flush_vmid_ipa, with or without its DSBs. */
function* flush(cpu: Cpu, image: Image, waits: boolean): Program {
  while (!cpu.tlbi(Tlbi.IpaS2E1Is, image.page.hi, image.page.lo, 0)) yield;
  if (waits) while (!cpu.dsb(Scope.InnerShareable)) yield;
  while (!cpu.tlbi(Tlbi.VmallE1Is, 0, 0, 0)) yield;
  if (waits) while (!cpu.dsb(Scope.InnerShareable)) yield;
}

type Change = (cpu: Cpu, image: Image) => Program;

function* vmm(cpu: Cpu, image: Image, change: Change): Program {
  yield* enterVm(cpu, image);
  cpu.compute(5 * US);
  yield* change(cpu, image);
  cpu.compute(5 * US);
  while (!cpu.store32(image.stop.hi, image.stop.lo, 1, Order.Release)) yield;
}

const machine = makeTestMachine({ cpuCount: 3, nodeCount: 1, features: { bbm: '0' } });

function run(change: Change) {
  const program = (cpu: Cpu, image: Image) =>
    cpu.id === VMM ? vmm(cpu, image, change) : vcpu(cpu, image);
  return checkedRun(machine, { boot, program });
}

describe('moving a guest page to another frame', () => {
  function* move(cpu: Cpu, image: Image, breaks: boolean, waits: boolean): Program {
    const hi = leafDescriptorHi(image.other.hi, s2AttributesHi(ALL));
    const lo = leafDescriptorLo(image.other.lo, s2AttributesLo(ALL, false), 3);
    if (breaks) {
      yield* setEntry(cpu, image, 0, 0);
      yield* flush(cpu, image, waits);
    }
    yield* setEntry(cpu, image, hi, lo);
  }

  it('is silent with break, flush and make', () => {
    const checked = run((cpu, image) => move(cpu, image, true, true));
    expect(everything(checked)).toEqual([]);
    expect(checked.result.ending.kind).toBe('finished');
  });

  it('is caught when the entry goes from valid to valid', () => {
    const [text] = run((cpu, image) => move(cpu, image, false, true)).violations(
      'break-before-make',
    );
    expect(text).toMatch(/^CPU 2 at .* changes a valid descriptor to one of another output/);
  });

  it('is caught when the make does not wait for the flush', () => {
    const checked = run((cpu, image) => move(cpu, image, true, false));
    const [text] = checked.violations('break-before-make');
    expect(text).toMatch(
      /^CPU [01] at .* another output.* is complete|holds one with another output/,
    );
  });
});

describe('write-protecting a guest page for the dirty log', () => {
  function* protect(cpu: Cpu, image: Image, flushes: boolean, waits: boolean): Program {
    while (!cpu.load64(image.entry.hi, image.entry.lo, Order.Relaxed)) yield;
    yield* setEntry(cpu, image, cpu.hi, cpu.lo & ~S2_WRITE);
    cpu.event(EventKind.PageWriteProtected, image.page.hi, image.page.lo | 12);
    if (flushes) yield* flush(cpu, image, waits);
    cpu.event(EventKind.WriteProtectFlushed, 0, 0);
  }

  it('is silent with a flush', () => {
    expect(everything(run((cpu, image) => protect(cpu, image, true, true)))).toEqual([]);
  });

  it('is caught without a flush', () => {
    const [text] = run((cpu, image) => protect(cpu, image, false, true)).violations('dirty-log');
    expect(text).toMatch(/^CPU [01] at .* writes, as a guest, through a translation filled at/);
  });

  it('is caught when the flush is not waited for', () => {
    const [text] = run((cpu, image) => protect(cpu, image, true, false)).violations('dirty-log');
    expect(text).toMatch(/^CPU 2 at .* takes the flush .* for complete before it is: never/);
  });
});

describe('splitting a guest block', () => {
  function* split(cpu: Cpu, image: Image): Program {
    while (!cpu.load64(image.entry.hi, image.entry.lo, Order.Relaxed)) yield;
    // A page descriptor where a block's type bits were, as seen by the store.
    yield* setEntry(cpu, image, cpu.hi, cpu.lo ^ 2);
    yield* setEntry(cpu, image, 0, 0);
  }
  const sizes = (bbm: '0' | '2') => {
    const other = makeTestMachine({ cpuCount: 3, nodeCount: 1, features: { bbm } });
    const program = (cpu: Cpu, image: Image) =>
      cpu.id === VMM ? vmm(cpu, image, split) : vcpu(cpu, image);
    return checkedRun(other, { boot, program }).violations('break-before-make');
  };

  it('needs a break without FEAT_BBM, and none with level 2', () => {
    expect(sizes('0')[0]).toMatch(/changes a valid descriptor to one of another size/);
    expect(sizes('2')).toEqual([]);
  });
});
