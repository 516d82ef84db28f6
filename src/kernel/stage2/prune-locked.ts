/**
 * prune=lock-descendants: before a table is replaced by a block, every leaf entry below it is
 * locked one by one, so that no parallel walker can install anything into the subtree that is about
 * to go ("KVM: arm64: Parallelize stage 2 fault handling", RFC 00/17, April 2022). The series that
 * was merged dropped this: an entry installed into an unlinked subtree only means one more fault.
 *
 * Deviation: table entries inside the subtree are not locked; whoever wants to replace one has to
 * lock the same leaves first.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { LINEAR_MAP_HI } from '../../memory/physical-address.ts';
import { notePassed } from '../../sync/lock-events.ts';
import {
  isCounted,
  isLockedInvalid,
  KVM_INVALID_PTE_LOCKED,
} from '../../translation/stage2-descriptors.ts';
import { EAGAIN } from '../base/errno.ts';
import { Stage2Branch } from './branches.ts';
import { type Visit, Walk, type Walker, walkUnlinked } from './pgtable-walk.ts';
import { getTablePage, putTablePage } from './table-page.ts';
import type { Vm } from './vm.ts';

/** An entry that this CPU has locked, and what it held. */
export interface LockedEntry {
  readonly entryHi: number;
  readonly entryLo: number;
  readonly oldHi: number;
  readonly oldLo: number;
}

/**
 * Locks every leaf entry of a table at `level`, noting them in `locked`. Result in cpu.ret: 0, or
 * -EAGAIN if somebody else holds one (then none stays locked).
 */
export function* lockDescendants(
  cpu: Cpu,
  vm: Vm,
  paHi: number,
  paLo: number,
  level: number,
  modes: number,
  locked: LockedEntry[],
): Program {
  const walker: Walker = {
    flags: Walk.Leaf | Walk.HandleFault | (modes & Walk.Shared),
    visit: (at, visit) => lockEntry(at, vm, visit, locked),
  };
  yield* walkUnlinked(cpu, vm.granule, paHi | LINEAR_MAP_HI, paLo, level, walker);
  const result = cpu.ret;
  if (result !== 0) yield* unlockDescendants(cpu, vm, locked);
  cpu.ret = result;
}

function* lockEntry(cpu: Cpu, vm: Vm, visit: Visit, locked: LockedEntry[]): Program {
  const { entryHi, entryLo, oldHi, oldLo } = visit;
  if (isLockedInvalid(oldLo)) {
    notePassed(cpu, Stage2Branch.MetBroken);
    cpu.ret = -EAGAIN;
    return;
  }
  while (!vm.steps.trySet(cpu, visit, 0, KVM_INVALID_PTE_LOCKED)) yield;
  if (!cpu.ok) {
    notePassed(cpu, Stage2Branch.Lost);
    cpu.ret = -EAGAIN;
    return;
  }
  // A locked entry counts; it is put when the subtree is freed.
  if (!isCounted(oldHi, oldLo)) while (!getTablePage(cpu, vm, entryHi, entryLo)) yield;
  locked.push({ entryHi, entryLo, oldHi, oldLo });
  cpu.ret = 0;
}

/** Gives the entries back as they were; their translations were never invalidated. */
export function* unlockDescendants(cpu: Cpu, vm: Vm, locked: readonly LockedEntry[]): Program {
  for (const { entryHi, entryLo, oldHi, oldLo } of locked) {
    while (!vm.steps.unlock(cpu, entryHi, entryLo, oldHi, oldLo)) yield;
    if (!isCounted(oldHi, oldLo)) while (!putTablePage(cpu, vm, entryHi, entryLo)) yield;
  }
}
