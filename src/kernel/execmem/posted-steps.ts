/**
 * The places where the posted execmem_alloc is wrong (bpf-next v2 1/5, S. Liu, 2022-11-07), as
 * named steps: `postedSteps` does what the patch does, `fixedSteps` what it meant.
 *
 *   leaveFailed   the error path after a failed vmalloc releases free_text_area_lock a second time
 *   addVm         all_text_vm is written with no lock held
 *   unlinkVm      the predecessor's link is written to a local pointer: the vm stays on the list
 *   freeVms       at most one vm per execmem_free: what else became free waits for the next one
 *   ranges        without CONFIG_MODULES text comes from VMALLOC, out of PC-relative reach
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Order } from '../../cpu/operations.ts';
import type { Address } from '../../memory/physical-address.ts';
import type { Lock } from '../../sync/lock.ts';
import type { VmallocRange } from '../vmalloc/image.ts';
import { type PostedImage, TextVm } from './posted-image.ts';
import type { ReachImage } from './reach.ts';

export interface PostedSteps {
  /** vmalloc has failed; free_text_area_lock was released before it. */
  leaveFailed(cpu: Cpu, lock: Lock, image: PostedImage): Program;
  /** A vm goes to the head of all_text_vm; no lock is held. */
  addVm(cpu: Cpu, lock: Lock, image: PostedImage, vm: Address): Program;
  /** The vm behind `previous` leaves the list; its Next is `next`. free_text_area_lock is held. */
  unlinkVm(cpu: Cpu, previous: Address, next: Address): Program;
  /** After a merge: `freeOne` gives one vm back and leaves ret = 1 if there was one. */
  freeVms(cpu: Cpu, freeOne: () => Program): Program;
  ranges(reach: ReachImage): readonly VmallocRange[];
}

export const postedSteps: PostedSteps = {
  leaveFailed: (cpu, lock, { lock: words }) => lock.release(cpu, words.hi, words.lo),
  addVm: (cpu, _lock, image, vm) => pushVm(cpu, image, vm),
  *unlinkVm() {},
  freeVms: (_cpu, freeOne) => freeOne(),
  ranges: ({ ranges }) => ranges,
};

export const fixedSteps: PostedSteps = {
  *leaveFailed() {},
  *addVm(cpu, lock, image, vm) {
    yield* lock.acquire(cpu, image.lock.hi, image.lock.lo);
    yield* pushVm(cpu, image, vm);
    yield* lock.release(cpu, image.lock.hi, image.lock.lo);
  },
  *unlinkVm(cpu, { hi, lo }, next) {
    while (!cpu.store64(hi, lo + TextVm.Next, next.hi, next.lo, Order.Relaxed)) yield;
  },
  *freeVms(cpu, freeOne) {
    do yield* freeOne();
    while (cpu.ret === 1);
  },
  ranges: ({ moduleRanges }) => moduleRanges,
};

function* pushVm(cpu: Cpu, { allTextVm }: PostedImage, vm: Address): Program {
  while (!cpu.load64(allTextVm.hi, allTextVm.lo, Order.Relaxed)) yield;
  const { hi, lo } = cpu;
  while (!cpu.store64(vm.hi, vm.lo + TextVm.Next, hi, lo, Order.Relaxed)) yield;
  while (!cpu.store64(allTextVm.hi, allTextVm.lo, vm.hi, vm.lo, Order.Relaxed)) yield;
}
