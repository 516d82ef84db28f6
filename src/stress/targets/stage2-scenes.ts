/**
 * What CPUs do to the stage 2 of a small VM (stage2-target.ts): another frame for a page, no frame
 * any more, a block in place of a table, two maps that meet, a permission that is relaxed.
 *
 * A frame that no table leads to and no TLB may lead to any more is told to be free; who still gets
 * there used a stale translation.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import {
  Condition,
  EventKind,
  Fence,
  Level,
  Order,
  Regime,
  Register,
} from '../../cpu/operations.ts';
import { rcuEnterIdle, rcuExitIdle } from '../../kernel/base/rcu.ts';
import { addressOf } from '../../kernel/stage2/address.ts';
import { testClearYoung } from '../../kernel/stage2/age.ts';
import { Stage2Branch } from '../../kernel/stage2/branches.ts';
import { mapRange } from '../../kernel/stage2/pgtable-map.ts';
import { Walk } from '../../kernel/stage2/pgtable-walk.ts';
import { makeYoung, relaxPermissions } from '../../kernel/stage2/relax.ts';
import { unmapRange } from '../../kernel/stage2/unmap.ts';
import type { Vm } from '../../kernel/stage2/vm.ts';
import type { Address } from '../../memory/physical-address.ts';
import { lockBranch, notePassed } from '../../sync/lock-events.ts';
import { PERM_EXEC, PERM_READ, PERM_WRITE } from '../../translation/descriptors.ts';
import { s2AttributesHi, s2AttributesLo } from '../../translation/stage2-descriptors.ts';
import {
  ChangeKind,
  Outcome,
  tellAccess,
  tellChange,
  tellOutcome,
  tellRefusal,
} from '../oracles/history-events.ts';
import type { StressSize } from '../target.ts';
import { BLOCK_BYTES, GUEST_IPA, GUEST_VA, type SmallVm } from './small-vm.ts';
import type { Scene } from './stage2-target.ts';

const PAGE = 4096;
const { Coalesced, FoundRelaxed, GaveUp, Lost, MetBroken, Split, TableInVain } = Stage2Branch;
/** Told by the scenes themselves. */
const MET_CHANGE = lockBranch('stage2', 'a guest met an entry without a mapping', [2, 1]);
const AGAIN = lockBranch('stage2', 'a fault was made again', [2, 1]);
const ALL = PERM_READ | PERM_WRITE | PERM_EXEC;

/** Tells that a frame belongs to nobody: whoever still gets there used a stale translation. */
function freeFrame(cpu: Cpu, { hi, lo }: Address, page: number): void {
  cpu.event(EventKind.FrameFreed, hi, lo + page * PAGE);
}

/** Maps [page, page + bytes) of the guest to a block's memory. */
function* mapPages(
  cpu: Cpu,
  vm: Vm,
  image: SmallVm,
  page: number,
  bytes: number,
  block: number,
  modes: number,
): Program {
  const { hi, lo } = image.blocks[block]!;
  const cache = image.caches[cpu.id]!;
  const request = {
    physical: addressOf(hi, lo) + page * PAGE,
    attributesHi: s2AttributesHi(ALL),
    attributesLo: s2AttributesLo(ALL, vm.fwb),
    tables: cache,
    forcePages: false,
  };
  const ipa = GUEST_IPA + page * PAGE;
  const output = { hi, lo: lo + page * PAGE };
  const told = { space: vm.index, kind: ChangeKind.Map, ipa, bytes, output, permissions: ALL };
  tellChange(cpu, told);
  yield* mapRange(cpu, vm, ipa, bytes, request, modes | Walk.HandleFault);
  tellOutcome(cpu, cpu.ret === 0 ? Outcome.Done : Outcome.Nothing);
}

/** Adds permissions to a page. */
function* allow(cpu: Cpu, vm: Vm, ipa: number, permissions: number): Program {
  const told = { space: vm.index, kind: ChangeKind.Allow, ipa, bytes: PAGE, permissions };
  tellChange(cpu, told);
  yield* relaxPermissions(cpu, vm, ipa, permissions, Walk.Shared);
  tellOutcome(cpu, cpu.ret === 0 ? Outcome.Done : Outcome.Nothing);
}

function* unmapPage(cpu: Cpu, vm: Vm, ipa: number): Program {
  tellChange(cpu, { space: vm.index, kind: ChangeKind.Unmap, ipa, bytes: PAGE });
  yield* unmapRange(cpu, vm, ipa, PAGE, false);
  tellOutcome(cpu, Outcome.Done);
}

/** The exclusive side of mmu_lock around a change. */
export function* exclusively(cpu: Cpu, vm: Vm, change: Program): Program {
  yield* vm.mmuLock.acquire(cpu, vm.kvmHi, vm.field.mmuLock);
  yield* change;
  yield* vm.mmuLock.release(cpu, vm.kvmHi, vm.field.mmuLock);
}

function* sharing(cpu: Cpu, vm: Vm, change: Program): Program {
  yield* vm.mmuLock.acquireRead(cpu, vm.kvmHi, vm.field.mmuLock);
  yield* change;
  yield* vm.mmuLock.releaseRead(cpu, vm.kvmHi, vm.field.mmuLock);
}

/** In the guest: `abort` is what a stage-2 fault does, then the access is made again. */
export function* asGuest(
  cpu: Cpu,
  vm: Vm,
  image: SmallVm,
  abort: (cpu: Cpu) => Program,
  guest: Program,
): Program {
  cpu.setVector(Level.El2, function* (self) {
    while (!rcuExitIdle(self)) yield;
    yield* abort(self);
    while (!rcuEnterIdle(self)) yield;
  });
  while (!cpu.load64(vm.kvmHi, vm.field.vmid, Order.Relaxed)) yield;
  const vmid = cpu.lo;
  while (!cpu.setRoot(Register.Vttbr, image.root.hi, image.root.lo, vmid)) yield;
  const { rootHi, rootLo } = image.guest;
  while (!cpu.setRoot(Register.GuestTtbr0, rootHi, rootLo, 0)) yield;
  while (!cpu.fence(Fence.Isb)) yield;
  cpu.setRegime(Regime.Guest);
  yield* guest;
  cpu.setRegime(Regime.Host);
}

function* touch(cpu: Cpu, page: number, times: number, write = false): Program {
  tellAccess(cpu, 0, GUEST_IPA + page * PAGE);
  const lo = (GUEST_VA + page * PAGE) | 0;
  for (let i = 0; i < times; i++) {
    if (write) while (!cpu.store64(0, lo, 0, i, Order.Relaxed)) yield;
    else while (!cpu.load64(0, lo, Order.Relaxed)) yield;
    cpu.mark();
  }
}

/** The guest touches a page while it changes, and once more when the host says that it is done. */
function* touchAround(cpu: Cpu, image: SmallVm, page: number): Program {
  yield* touch(cpu, page, 2);
  const { hi, lo } = image.done;
  cpu.setRegime(Regime.Host);
  while (!cpu.cond32(hi, lo, Condition.NotEqual, -1, 0, Order.Acquire)) yield;
  cpu.setRegime(Regime.Guest);
  yield* touch(cpu, page, 1);
}

/** The change is complete, and its frames are free. */
function* tellDone(cpu: Cpu, image: SmallVm, freed: readonly number[]): Program {
  for (const page of freed) freeFrame(cpu, image.blocks[0]!, page);
  while (!cpu.store32(image.done.hi, image.done.lo, 1, Order.Release)) yield;
}

/** The guest's access was refused: it gives up. */
export function* giveUp(cpu: Cpu): Program {
  tellRefusal(cpu);
  notePassed(cpu, MET_CHANGE);
  cpu.skipAttempt();
  while (!cpu.fence(Fence.Isb)) yield;
}

/** As a host thread in RCU. */
function* asHost(cpu: Cpu, vm: Vm, work: Program): Program {
  while (!rcuExitIdle(cpu)) yield;
  yield* work;
  yield* vm.rcu.finish(cpu);
}

const PAIR: StressSize = { cpus: 2, operations: 1 };

/** Page 0 gets another frame; the old one is free afterwards. */
export const remapScene: Scene = {
  description: 'a page of a running guest gets another frame',
  options: { faults: 'exclusive', prune: 'immediate' },
  mapped: true,
  size: PAIR,
  mappedAtEnd: [0],
  branches: [MET_CHANGE],
  program(cpu, vm, image) {
    if (cpu.id > 0) {
      return asGuest(cpu, vm, image, giveUp, touchAround(cpu, image, 0));
    }
    return asHost(cpu, vm, remap(cpu, vm, image));
  },
};

function* remap(cpu: Cpu, vm: Vm, image: SmallVm): Program {
  yield* exclusively(cpu, vm, mapPages(cpu, vm, image, 0, PAGE, 1, 0));
  yield* tellDone(cpu, image, [0]);
}

/** A block takes the place of the table of pages. */
export const collapseScene: Scene = {
  description: 'a block takes the place of a table under a running guest',
  options: { faults: 'exclusive', prune: 'immediate' },
  mapped: true,
  size: PAIR,
  mappedAtEnd: [0, 1],
  branches: [Coalesced, MET_CHANGE],
  program(cpu, vm, image) {
    if (cpu.id > 0) {
      return asGuest(cpu, vm, image, giveUp, touchAround(cpu, image, 1));
    }
    return asHost(cpu, vm, collapse(cpu, vm, image));
  },
};

function* collapse(cpu: Cpu, vm: Vm, image: SmallVm): Program {
  yield* exclusively(cpu, vm, mapPages(cpu, vm, image, 0, BLOCK_BYTES, 1, 0));
  yield* tellDone(cpu, image, [0, 1]);
}

/** One of the guest's pages goes; its table stays for the other. */
export const unmapScene: Scene = {
  description: 'a page of a running guest goes',
  options: { faults: 'exclusive', prune: 'immediate' },
  mapped: true,
  size: PAIR,
  mappedAtEnd: [],
  branches: [MET_CHANGE],
  program(cpu, vm, image) {
    if (cpu.id > 0) {
      return asGuest(cpu, vm, image, giveUp, touchAround(cpu, image, 0));
    }
    return asHost(cpu, vm, unmap(cpu, vm, image));
  },
};

function* unmap(cpu: Cpu, vm: Vm, image: SmallVm): Program {
  yield* exclusively(cpu, vm, unmapPage(cpu, vm, GUEST_IPA));
  yield* tellDone(cpu, image, [0]);
}

/** A shared collapse beside shared walkers of the table that goes. */
export const pruneScene: Scene = {
  description: 'a block takes the place of a table that another CPU walks',
  options: { faults: 'parallel', prune: 'rcu-callback' },
  mapped: true,
  size: PAIR,
  mappedAtEnd: [0],
  branches: [Coalesced, MetBroken],
  walksUnlinked: true,
  program(cpu, vm, image) {
    return asHost(cpu, vm, cpu.id === 0 ? pruneShared(cpu, vm, image) : walkShared(cpu, vm));
  },
};

function* pruneShared(cpu: Cpu, vm: Vm, image: SmallVm): Program {
  yield* sharing(cpu, vm, mapPages(cpu, vm, image, 0, BLOCK_BYTES, 0, Walk.Shared));
  yield* vm.rcu.poll(cpu);
}

function* walkShared(cpu: Cpu, vm: Vm): Program {
  const ipa = GUEST_IPA + PAGE;
  yield* sharing(cpu, vm, allow(cpu, vm, ipa, PERM_READ));
}

/** Two faults of one empty block at once: each maps a page, one makes the table. */
export const meetScene: Scene = {
  description: 'two faults map pages of one empty block at once',
  options: { faults: 'parallel', prune: 'rcu-callback' },
  mapped: false,
  size: PAIR,
  mappedAtEnd: [0, 1],
  branches: [Lost, MetBroken, TableInVain, AGAIN],
  program(cpu, vm, image) {
    return asHost(cpu, vm, mapUntilThere(cpu, vm, image, cpu.id, Walk.Shared));
  },
};

/** The same under an exclusive mmu_lock. */
export const meetExclusiveScene: Scene = {
  ...meetScene,
  description: 'two faults map pages of one empty block, one after the other',
  options: { faults: 'exclusive', prune: 'immediate' },
  program: (cpu, vm, image) => asHost(cpu, vm, mapUntilThere(cpu, vm, image, cpu.id, 0)),
};

/** As a guest does: -EAGAIN means that it faults again. */
function* mapUntilThere(cpu: Cpu, vm: Vm, image: SmallVm, page: number, modes: number): Program {
  for (;;) {
    const change = mapPages(cpu, vm, image, page, PAGE, 0, modes);
    yield* modes === 0 ? exclusively(cpu, vm, change) : sharing(cpu, vm, change);
    if (cpu.ret === 0) break;
    notePassed(cpu, AGAIN);
  }
  cpu.mark();
}

/** A collapse that locks all entries, beside a CPU that maps into the table. */
export const lockDescendantsScene: Scene = {
  description: 'a block takes the place of a table that another CPU maps into',
  options: { faults: 'parallel', prune: 'lock-descendants' },
  mapped: true,
  size: PAIR,
  mappedAtEnd: [1],
  ownsDescendants: true,
  branches: [Coalesced, GaveUp, Lost, MetBroken],
  program(cpu, vm, image) {
    return asHost(cpu, vm, cpu.id === 0 ? lockAll(cpu, vm, image) : remapShared(cpu, vm, image));
  },
};

/** The same in the series that was merged: what is mapped into a table that goes faults again. */
export const orphanScene: Scene = {
  ...lockDescendantsScene,
  description: 'a block takes the place of a table that another CPU maps into, unlocked',
  options: { faults: 'parallel', prune: 'rcu-callback' },
  ownsDescendants: false,
};

function* lockAll(cpu: Cpu, vm: Vm, image: SmallVm): Program {
  yield* sharing(cpu, vm, mapPages(cpu, vm, image, 0, BLOCK_BYTES, 0, Walk.Shared));
}

function* remapShared(cpu: Cpu, vm: Vm, image: SmallVm): Program {
  yield* sharing(cpu, vm, mapPages(cpu, vm, image, 1, PAGE, 1, Walk.Shared));
}

/** Two vCPUs write to a page that is mapped read-only. */
export const relaxScene: Scene = {
  description: 'two vCPUs write to a page that may only be read so far',
  options: { faults: 'parallel', prune: 'rcu-callback', relaxTlbi: 'local' },
  mapped: true,
  permissions: PERM_READ | PERM_EXEC,
  size: PAIR,
  mappedAtEnd: [0],
  branches: [FoundRelaxed, Lost],
  program(cpu, vm, image) {
    const relax = (self: Cpu): Program => sharing(self, vm, allow(self, vm, GUEST_IPA, ALL));
    return asGuest(cpu, vm, image, relax, touch(cpu, 0, 1, true));
  },
};

/** Pages lose their access flag while a guest uses them; nothing is flushed. */
export const ageScene: Scene = {
  description: 'the access flag of a page is cleared under a running guest, without a flush',
  options: { faults: 'parallel', prune: 'rcu-callback' },
  mapped: true,
  size: { cpus: 2, operations: 2 },
  mappedAtEnd: [0, 1],
  program(cpu, vm, image, size) {
    if (cpu.id === 0) return asHost(cpu, vm, ageTwice(cpu, vm, image, size.operations));
    const young = (self: Cpu): Program =>
      sharing(self, vm, makeYoung(self, vm, GUEST_IPA, Walk.Shared));
    return asGuest(cpu, vm, image, young, touchAround(cpu, image, 0));
  },
};

/** The same where hardware sets no access flag: the fault sets it, without a TLBI. */
export const accessFlagScene: Scene = {
  ...ageScene,
  description: 'the access flag of a page is set again by the fault, without a TLBI',
  features: { hafdbs: 'none' },
};

function* ageTwice(cpu: Cpu, vm: Vm, image: SmallVm, rounds: number): Program {
  for (let round = 0; round < rounds; round++) {
    yield* exclusively(cpu, vm, testClearYoung(cpu, vm, GUEST_IPA, PAGE));
    cpu.mark();
  }
  yield* tellDone(cpu, image, []);
}

/** FEAT_BBM level 2: a populated table takes the place of a block at once. */
export const splitScene: Scene = {
  description: 'a table of the same pages takes the place of a block, without break or flush',
  options: { faults: 'exclusive', prune: 'immediate', stage2Bbm: true },
  features: { bbm: '2-noabort' },
  mapped: true,
  block: true,
  size: PAIR,
  mappedAtEnd: [0, 1],
  branches: [Split],
  program(cpu, vm, image) {
    if (cpu.id > 0) return asGuest(cpu, vm, image, giveUp, touchAround(cpu, image, 1));
    return asHost(cpu, vm, split(cpu, vm, image));
  },
};

function* split(cpu: Cpu, vm: Vm, image: SmallVm): Program {
  yield* exclusively(cpu, vm, mapPages(cpu, vm, image, 0, PAGE, 0, 0));
  yield* tellDone(cpu, image, []);
}
