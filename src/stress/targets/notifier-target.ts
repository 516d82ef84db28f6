/**
 * Stage-2 faults beside MMU notifiers: the whole fault path (memslot, VMA, sequence, page look-up,
 * mmu_lock) on vCPUs, while CPU 0 takes the memory behind the guest's pages away. A frame is told
 * to be free when its invalidation has ended: a guest that still gets there has been given a
 * mapping that nobody will ever remove.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Condition, EventKind, Order, Regime } from '../../cpu/operations.ts';
import { rcuExitIdle } from '../../kernel/base/rcu.ts';
import {
  HostEntry,
  newHostEntryRead,
  readEntry,
  readUpper,
  storeEntry,
} from '../../kernel/stage2/host-table.ts';
import { readVmaStart, vmaEndHi } from '../../kernel/stage2/mm-struct.ts';
import { invalidateEndNotify, invalidateStartNotify } from '../../kernel/stage2/notifier.ts';
import { type Stage2Steps, stage2Steps } from '../../kernel/stage2/steps.ts';
import { runVcpu } from '../../kernel/stage2/vcpu.ts';
import { openVms, type Vm } from '../../kernel/stage2/vm.ts';
import { type Address, addBytes } from '../../memory/physical-address.ts';
import type { Reporter, StressImage, StressSize, StressTarget } from '../target.ts';
import { BLOCK_BYTES, GUEST_VA, type SmallVm } from './small-vm.ts';
import { bootSmallKvm, type SmallKvm } from './small-vm-kvm.ts';
import { shapeOf } from './target-shape.ts';

const PAGE = 4096;
const ROOM_BYTES = 64 * PAGE;
const PRESENT = HostEntry.Present | HostEntry.Write;
/** Words of SmallVm.done: a guest runs; all changes are made. */
const STARTED = 4;
const DONE = 0;
const LOOK_UPS = 8;
const RETRIED = 'a fault was tried again';
const HUGE = 'a huge page was mapped';

/** What CPU 0 does to the memory, once per operation. */
interface NotifierScene {
  readonly description: string;
  readonly hugetlb: boolean;
  readonly slotBytes: number;
  /** The first page that boot maps; null: none. */
  readonly firstMapped: number | null;
  /** Pages that the guest touches. */
  readonly pages: number;
  readonly goal: string;
  /** Goal.notBy. */
  readonly notBy?: Readonly<Record<string, string>>;
  change(cpu: Cpu, vm: Vm, small: SmallVm, round: number): Program;
}

function freed(cpu: Cpu, { hi, lo }: Address, page: number): void {
  cpu.event(EventKind.FrameFreed, hi, lo + page * PAGE);
}

/** migrate_pages of one page, from block to block. */
const migrateScene: NotifierScene = {
  description: 'faults of a page that is migrated: sequence, look-up, retry',
  hugetlb: false,
  slotBytes: 2 * PAGE,
  firstMapped: 1,
  pages: 1,
  goal: RETRIED,
  *change(cpu, vm, { blocks }, round) {
    const slot = vm.image.slots[0]!;
    const entry = newHostEntryRead();
    yield* readEntry(cpu, vm, slot.host, 0, entry);
    yield* invalidateStartNotify(cpu, vm, slot, 0, PAGE);
    const { hi, lo } = addBytes(blocks[1]!, round * PAGE);
    yield* vm.spinlock.acquire(cpu, entry.lockHi, entry.lockLo);
    const old = { hi: entry.hi, lo: entry.lo & ~(PAGE - 1) };
    while (!storeEntry(cpu, entry, hi, lo | PRESENT)) yield;
    yield* vm.spinlock.release(cpu, entry.lockHi, entry.lockLo);
    yield* invalidateEndNotify(cpu, vm);
    freed(cpu, old, 0);
  },
};

/** munmap of a hugetlb page, and pages mapped at its address: the VMA is another. */
const remapScene: NotifierScene = {
  description: 'faults while a VMA of huge pages makes way for one of pages',
  hugetlb: true,
  slotBytes: BLOCK_BYTES,
  firstMapped: null,
  pages: 2,
  goal: HUGE,
  notBy: { urw: 'it deals out the few steps of CPU 0 evenly, and the first fault needs many' },
  *change(cpu, vm, { blocks }, round) {
    // What is gone can't go again.
    if (round > 0) return;
    const { mm, slots } = vm.image;
    const slot = slots[0]!;
    const entry = newHostEntryRead();
    // Beside the new pages there is memory of others.
    freed(cpu, blocks[1]!, 1);
    freed(cpu, blocks[2]!, 0);
    // The look-up of what is to go: long enough for a guest to be in the middle of its fault.
    for (let read = 0; read < LOOK_UPS; read++) while (!readVmaStart(cpu, vm, 0)) yield;
    yield* vm.mmapLock.acquire(cpu, mm.hi, mm.mmapLock);
    while (!readUpper(cpu, slot.host, 0, entry)) yield;
    yield* invalidateStartNotify(cpu, vm, slot, 0, BLOCK_BYTES);
    const end = slot.basePage + slot.pages;
    while (!cpu.store64(mm.hi, mm.vmas[0]! + 8, vmaEndHi(end, 0), end, Order.Relaxed)) yield;
    const { hi, lo } = slot.host.bootTables;
    while (!storeEntry(cpu, entry, hi & 0xffff, lo | HostEntry.Table)) yield;
    yield* invalidateEndNotify(cpu, vm);
    yield* vm.mmapLock.release(cpu, mm.hi, mm.mmapLock);
    for (let page = 0; page < 2; page++) freed(cpu, blocks[0]!, page);
  },
};

const SCENES = { migrate: migrateScene, remap: remapScene } as const;

export interface NotifierTargetOptions {
  readonly name: string;
  readonly scene: keyof typeof SCENES;
  readonly steps?: Partial<Stage2Steps>;
}

export function notifierTarget({ name, scene, steps }: NotifierTargetOptions): StressTarget {
  const all = { ...stage2Steps, ...steps };
  const what: NotifierScene = SCENES[scene];
  return {
    name,
    group: 'protocols',
    description: what.description,
    smallest: { cpus: 2, operations: 1 },
    usual: { cpus: 2, operations: 1 },
    goals: [
      {
        name: what.goal,
        leastCpus: 2,
        leastOperations: 1,
        ...(what.notBy === undefined ? {} : { notBy: what.notBy }),
      },
    ],
    ...shapeOf(2, ROOM_BYTES),
    boot(memory, { cpus }) {
      const kvm = bootSmallKvm(memory, {
        vms: 1,
        vmidBits: 8,
        cpus,
        options: { faults: 'parallel', prune: 'rcu-callback' },
        mapped: what.firstMapped !== null,
        firstMapped: what.firstMapped ?? 0,
        slotBytes: what.slotBytes,
        hugetlb: what.hugetlb,
        cached: 7,
      });
      return { addresses: {}, numbers: {}, parts: { kvm } };
    },
    program(cpu, image, size, report) {
      if (cpu.id >= size.cpus) return null;
      return takePart(cpu, image, size, what, all, report);
    },
    finish() {},
  };
}

/** What a vCPU's faults came to. */
interface Faults {
  mapped: number;
}

function tellFaults(steps: Stage2Steps, faults: Faults, report: Reporter): Stage2Steps {
  return {
    ...steps,
    retries(mayBeGone) {
      if (mayBeGone) report.reach(RETRIED);
      else faults.mapped++;
      return steps.retries(mayBeGone);
    },
  };
}

function* takePart(
  cpu: Cpu,
  image: StressImage,
  size: StressSize,
  scene: NotifierScene,
  steps: Stage2Steps,
  report: Reporter,
): Program {
  const { vms, kvm } = image.parts!['kvm'] as SmallKvm;
  const small = vms[0]!;
  const faults: Faults = { mapped: 0 };
  const vm = openVms(kvm, tellFaults(steps, faults, report))[0]!;
  while (!rcuExitIdle(cpu)) yield;
  if (cpu.id === 0) {
    yield* waitFor(cpu, small, STARTED);
    for (let round = 0; round < size.operations; round++) {
      yield* scene.change(cpu, vm, small, round);
      cpu.mark();
    }
    yield* tell(cpu, small, DONE);
  } else {
    yield* runVcpu(cpu, vm, cpu.id, function* (at) {
      yield* tell(at, small, STARTED);
      for (let round = 0; round < size.operations; round++) yield* touch(at, scene.pages);
      if (faults.mapped === 1) report.reach(HUGE);
      // Once more when no invalidation is under way.
      yield* waitFor(at, small, DONE);
      yield* touch(at, scene.pages);
    });
  }
  yield* vm.rcu.finish(cpu);
}

/** The host's words are no part of the guest. */
function* tell(cpu: Cpu, { done }: SmallVm, word: number): Program {
  const regime = cpu.regime;
  cpu.setRegime(Regime.Host);
  while (!cpu.store32(done.hi, done.lo + word, 1, Order.Release)) yield;
  cpu.setRegime(regime);
}

function* waitFor(cpu: Cpu, { done }: SmallVm, word: number): Program {
  const regime = cpu.regime;
  cpu.setRegime(Regime.Host);
  while (!cpu.cond32(done.hi, done.lo + word, Condition.NotEqual, -1, 0, Order.Acquire)) yield;
  cpu.setRegime(regime);
}

function* touch(cpu: Cpu, pages: number): Program {
  for (let page = 0; page < pages; page++) {
    const lo = (GUEST_VA + page * PAGE) | 0;
    while (!cpu.load64(0, lo, Order.Relaxed)) yield;
    cpu.mark();
  }
}
