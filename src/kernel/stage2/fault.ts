/**
 * One stage-2 abort: kvm_handle_guest_abort, user_mem_abort, handle_access_fault
 * (arch/arm64/kvm/mmu.c, v6.13; the locking of older versions by `faults=`), in the kernel's order:
 * decode, SRCU, memslot, memcache before any lock, mmap_lock and VMA, sequence, page look-up,
 * mmu_lock, sequence again, map or relax, unlock, mark dirty.
 *
 * There is no loop here: -EAGAIN means that somebody changed things meanwhile, and the guest simply
 * executes its instruction again.
 *
 * Deviations: no MMIO, no injection of faults into the guest (an access outside all memslots is a
 * failure of the emulated program), no MTE, no nested guests, no device memory.
 */

import { BugError, CheckError, UserError } from '../../base/errors.ts';
import type { Cpu, Program } from '../../cpu/cpu.ts';
import { FaultKind, Fence } from '../../cpu/operations.ts';
import { Cost } from '../../machine/costs.ts';
import { Counter, Metric } from '../../metrics/definition.ts';
import { invalidateInProgress, invalidateSnapshot } from '../../sync/invalidate-sequence.ts';
import { PERM_EXEC, PERM_READ, PERM_WRITE } from '../../translation/descriptors.ts';
import { LAST_LEVEL, levelShift } from '../../translation/granule.ts';
import { s2AttributesHi, s2AttributesLo } from '../../translation/stage2-descriptors.ts';
import { EAGAIN } from '../base/errno.ts';
import { fillMemcache, memcacheObjects } from '../base/memcache.ts';
import { srcuCountReader, srcuReadIndex, srcuReadUnlock } from '../base/srcu.ts';
import { PageFlag } from '../base/struct-page.ts';
import { addressOf, alignDown, powerOfTwo } from './address.ts';
import { markPageDirty } from './dirty-bitmap.ts';
import { mappingShift } from './mapping-size.ts';
import { findSlot, readActiveSet, SlotFlag } from './memslots.ts';
import {
  holdOf,
  hugetlbShiftOf,
  lockLookUp,
  readVmaEnd,
  readVmaStart,
  unlockVma,
} from './mm-struct.ts';
import { lookUpPage, putPage, readPageFlags, setPageDirty } from './page-lookup.ts';
import { mapRange } from './pgtable-map.ts';
import { Walk } from './pgtable-walk.ts';
import { makeYoung, relaxPermissions } from './relax.ts';
import { HOST_WRITABLE_HI, unprotectLockless } from './unprotect-lockless.ts';
import type { Vcpu } from './vcpu-state.ts';
import type { SlotImage, Vm } from './vm.ts';

/** What is known of a fault, as local variables of user_mem_abort. Private to the vCPU. */
interface Fault {
  readonly slot: SlotImage;
  /** IPA of the page. */
  readonly ipa: number;
  readonly offset: number;
  readonly permission: boolean;
  readonly write: boolean;
  readonly execute: boolean;
  readonly logging: boolean;
  /** log2 of what the faulting entry covers (permission faults). */
  readonly granuleShift: number;
}

/** kvm_handle_guest_abort: returns to the guest in every case. */
export function* handleGuestAbort(cpu: Cpu, vm: Vm, vcpu: Vcpu): Program {
  const { fsc, write, instruction, stage1Walk, ipaHi, ipaLo } = cpu.exception;
  const kind = fsc & ~3;
  const level = fsc & 3;
  const ipa = alignDown(addressOf(ipaHi, ipaLo), vm.pageBytes);
  cpu.count(Counter.FaultsStage2, 1);
  cpu.spend(Cost.FaultDecode);
  const known =
    kind === FaultKind.Translation ||
    kind === FaultKind.Permission ||
    kind === FaultKind.AccessFlag;
  if (!known) throw unexpectedFault(cpu, vm, kind, level, ipa);
  // srcu_read_lock.
  while (!srcuReadIndex(cpu, vm.image.srcu)) yield;
  const srcuIndex = cpu.ret;
  while (!srcuCountReader(cpu, vm.image.srcu, srcuIndex)) yield;
  while (!readActiveSet(cpu, vm.kvmHi, vm.field.memslots)) yield;
  yield* findSlot(cpu, vm.image.memslots, cpu.ret, ipa / vm.pageBytes);
  if (cpu.ret < 0) {
    throw new CheckError(
      `cpu ${cpu.id}: the guest of ${vm.image.name} touches IPA 0x${ipa.toString(16)}, which is ` +
        'in no memslot (an exit to the VMM, not modelled)',
    );
  }
  const slot = vm.image.slots[cpu.ret]!;
  const permission = kind === FaultKind.Permission;
  if (kind === FaultKind.AccessFlag) {
    yield* handleAccessFault(cpu, vm, ipa);
  } else {
    yield userMemAbort(cpu, vm, vcpu, {
      slot,
      ipa,
      offset: ipa - slot.baseIpa,
      permission,
      // Of faults on the guest's own tables only a permission fault is a write
      // (kvm_is_write_fault).
      write: stage1Walk ? permission : write && !instruction,
      execute: instruction && !stage1Walk,
      logging: (cpu.lo & SlotFlag.Logging) !== 0,
      granuleShift: levelShift(vm.granule, level),
    });
  }
  while (!srcuReadUnlock(cpu, vm.image.srcu, srcuIndex)) yield;
  cpu.spend(Cost.FaultFinish);
}

function unexpectedFault(cpu: Cpu, vm: Vm, kind: number, level: number, ipa: number): Error {
  const where = `cpu ${cpu.id}, ${vm.image.name}, IPA 0x${ipa.toString(16)}, level ${level}`;
  if (kind === FaultKind.TlbConflict) {
    return new CheckError(`TLB conflict abort at ${where}: fatal for Linux`);
  }
  return new BugError(`unsupported FSC kind ${kind} at ${where}`);
}

/** read_lock(&kvm->mmu_lock) or write_lock. */
function lockMmu(cpu: Cpu, vm: Vm, shared: boolean): Program {
  const { mmuLock, kvmHi, field } = vm;
  if (shared) return mmuLock.acquireRead(cpu, kvmHi, field.mmuLock);
  return mmuLock.acquire(cpu, kvmHi, field.mmuLock);
}

function unlockMmu(cpu: Cpu, vm: Vm, shared: boolean): Program {
  const { mmuLock, kvmHi, field } = vm;
  if (shared) return mmuLock.releaseRead(cpu, kvmHi, field.mmuLock);
  return mmuLock.release(cpu, kvmHi, field.mmuLock);
}

/** handle_access_fault; shared from v6.3 on, here with all other faults. */
function* handleAccessFault(cpu: Cpu, vm: Vm, ipa: number): Program {
  const shared = vm.options.faults === 'parallel';
  cpu.count(Counter.FaultsAccessFlag, 1);
  cpu.begin(Metric.FaultLockWait);
  yield* lockMmu(cpu, vm, shared);
  cpu.end(Metric.FaultLockWait);
  cpu.begin(Metric.FaultWalk);
  yield* makeYoung(cpu, vm, ipa, shared ? Walk.Shared : 0);
  cpu.end(Metric.FaultWalk);
  yield* unlockMmu(cpu, vm, shared);
}

function* userMemAbort(cpu: Cpu, vm: Vm, vcpu: Vcpu, fault: Fault): Program {
  const { slot, ipa, offset, permission, write, logging } = fault;
  const { image, found } = vcpu;
  if (vm.options.writeProtect === 'lockless' && permission && write && logging) {
    yield* unprotectLockless(cpu, vm, slot, ipa);
    if (cpu.ret === 0) return;
  }
  // Permission faults need table pages only where logging breaks a block up.
  if (!permission || (logging && write)) {
    cpu.begin(Metric.FaultAlloc);
    const minimum = LAST_LEVEL - vm.startLevel;
    while (!memcacheObjects(cpu, image.hi, image.memcacheLo)) yield;
    const objects = cpu.lo;
    cpu.ret = 0;
    if (objects < minimum) {
      yield fillMemcache(cpu, vm.pages, image.hi, image.memcacheLo, objects, minimum);
    }
    cpu.end(Metric.FaultAlloc);
    if (cpu.ret !== 0) throw outOfMemory(cpu, vm, 'stage-2 tables');
  }
  cpu.begin(Metric.FaultMmapLockWait);
  yield* lockLookUp(cpu, vm, slot.id);
  const hold = holdOf(cpu, vm);
  cpu.spend(Cost.VmaLookup);
  while (!readVmaStart(cpu, vm, slot.id)) yield;
  while (!readVmaEnd(cpu, vm, slot.id)) yield;
  const hugetlbShift = hugetlbShiftOf(cpu);
  cpu.end(Metric.FaultMmapLockWait);
  // Before the unlock: what is known of the VMA holds as long as the sequence stands.
  const early = vm.steps.readsSequenceLocked();
  if (!early) yield* unlockVma(cpu, vm, slot.id, hold);
  while (!invalidateSnapshot(cpu, vm.kvmHi, vm.field.invalidate)) yield;
  const sequence = cpu.lo;
  // In the kernel the unlock is this barrier; it pairs with the end of an invalidation.
  while (!cpu.fence(Fence.DmbIshLd)) yield;
  if (early) yield* unlockVma(cpu, vm, slot.id, hold);

  yield* lookUpPage(cpu, vm, image.index, slot, offset, write, found);
  if (cpu.ret !== 0) throw outOfMemory(cpu, vm, 'guest memory');
  // Under logging a read must not open the page for writes that nobody would notice.
  const writable = found.writable && (write || !logging);

  yield* mapFault(cpu, vm, vcpu, fault, writable, sequence, hugetlbShift);
}

function outOfMemory(cpu: Cpu, vm: Vm, what: string): UserError {
  return new UserError(
    `${vm.image.name} is out of emulated memory for ${what} (-ENOMEM, node ${cpu.node}); ` +
      'lower perVcpuMemory= or vcpus=, or say mempolicy=interleave',
  );
}

/** Which faults hold mmu_lock for reading. */
function sharesLock(vm: Vm, fault: Fault): boolean {
  if (vm.options.faults === 'parallel') return true;
  if (vm.options.faults === 'exclusive') return false;
  const pageGranule = fault.granuleShift === vm.granule.shift;
  return fault.logging && fault.permission && fault.write && pageGranule;
}

/**
 * The part of user_mem_abort from mmu_lock on; `sequence`, `hugetlbShift`: of before the page was
 * looked up.
 */
function* mapFault(
  cpu: Cpu,
  vm: Vm,
  vcpu: Vcpu,
  fault: Fault,
  writable: boolean,
  sequence: number,
  hugetlbShift: number,
): Program {
  const { slot, offset, permission, logging, granuleShift } = fault;
  const { found } = vcpu;
  const { kvmHi, field } = vm;
  const shared = sharesLock(vm, fault);
  cpu.begin(Metric.FaultLockWait);
  yield* lockMmu(cpu, vm, shared);
  cpu.end(Metric.FaultLockWait);
  // mmu_invalidate_retry.
  while (!invalidateInProgress(cpu, kvmHi, field.invalidate)) yield;
  let mustRetry = cpu.lo !== 0;
  if (!mustRetry) {
    while (!cpu.fence(Fence.DmbIshLd)) yield;
    while (!invalidateSnapshot(cpu, kvmHi, field.invalidate)) yield;
    mustRetry = cpu.lo !== sequence;
  }
  mustRetry = vm.steps.retries(mustRetry);
  let result = -EAGAIN;
  if (mustRetry) {
    cpu.count(Counter.NotifierRetries, 1);
  } else {
    cpu.begin(Metric.FaultWalk);
    cpu.spend(Cost.StageTwoWalk);
    const hit = permission ? granuleShift : 0;
    while (!mappingShift(cpu, vm, slot, offset, logging, hugetlbShift, hit, found.entry)) yield;
    const shift = cpu.ret;
    const permissions = permissionsOf(vm, fault, writable);
    const modes = vm.options.faults === 'parallel' ? Walk.Shared : 0;
    if (permission && shift === granuleShift) {
      yield* relaxPermissions(cpu, vm, fault.ipa, permissions, modes);
    } else {
      yield* mapFrame(cpu, vm, vcpu, fault, shift, permissions, modes);
    }
    result = cpu.ret;
    cpu.end(Metric.FaultWalk);
  }
  // kvm_release_faultin_page.
  if (found.pageHi !== 0) {
    if (result === 0 && writable) {
      while (!readPageFlags(cpu, found)) yield;
      const dirty = (cpu.lo & PageFlag.Dirty) !== 0;
      if (!dirty) while (!setPageDirty(cpu, found)) yield;
    }
    while (!putPage(cpu, found)) yield;
  }
  yield* unlockMmu(cpu, vm, shared);
  if (result === -EAGAIN) {
    cpu.count(Counter.FaultsRetried, 1);
    return;
  }
  if (result !== 0) throw new BugError(`user_mem_abort ends with ${result}`);
  if (writable && logging) while (!markPageDirty(cpu, slot, offset)) yield;
}

/** PERM_* of the new mapping. */
function permissionsOf(vm: Vm, fault: Fault, writable: boolean): number {
  let permissions = PERM_READ;
  if (writable) permissions |= PERM_WRITE;
  if (fault.execute || vm.dic) permissions |= PERM_EXEC;
  return permissions;
}

/** Maps 2^shift bytes of the frame that was found. Result in cpu.ret. */
function* mapFrame(
  cpu: Cpu,
  vm: Vm,
  vcpu: Vcpu,
  fault: Fault,
  shift: number,
  permissions: number,
  modes: number,
): Program {
  const { ipa, permission } = fault;
  const { found, image } = vcpu;
  const bytes = powerOfTwo(shift);
  const lockless = vm.options.writeProtect === 'lockless' && found.writable;
  const request = {
    physical: alignDown(found.physical, bytes),
    attributesHi: s2AttributesHi(permissions) | (lockless ? HOST_WRITABLE_HI : 0),
    attributesLo: s2AttributesLo(permissions, vm.fwb),
    tables: { hi: image.hi, lo: image.memcacheLo },
    forcePages: false,
  };
  yield* mapRange(cpu, vm, alignDown(ipa, bytes), bytes, request, modes | Walk.HandleFault);
  if (cpu.ret === 0) cpu.count(Counter.FaultsMapped, 1);
  if (cpu.ret !== -EAGAIN || !permission || !vm.options.stage2Bbm) return;
  // The block was split without a flush: only the page's permissions are left to change, and the
  // old entry of the block, which may be in this CPU's TLB for good, has to go.
  yield* relaxPermissions(cpu, vm, ipa, permissions, modes);
}
