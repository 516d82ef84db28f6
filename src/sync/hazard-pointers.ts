/**
 * Hazard pointers: who uses an object publishes its address; who has taken one out of a structure
 * keeps it until nobody publishes it.
 * Source: M. M. Michael, "Hazard Pointers: Safe Memory Reclamation for Lock-Free Objects", IEEE
 * TPDS 2004, figures 2 and 3.
 * Invariants: an object that is protected was still in its source after its address was published,
 * with a full barrier between the two; who reclaims looks at the published addresses after the
 * object was taken out. So one of them sees the other.
 * Line transfers: 0 per protection (the CPU's own line) while nobody reclaims; one per CPU and
 * reclamation, and one back.
 * Deviations: slots are per CPU, four of them, not per thread; published addresses are compared
 * one by one instead of sorted.
 */

import { assert } from '../base/assert.ts';
import type { Cpu, Program } from '../cpu/cpu.ts';
import { EventKind, Fence, Order } from '../cpu/operations.ts';
import { lockBranch, notePassed } from './lock-events.ts';
import { LockNode, nodeLo } from './lock-nodes.ts';

export const HAZARD_SLOTS = 4;
/** Objects that a CPU may have retired and not reclaimed. */
export const RETIRED_MAX = 64;
/** LockNode.Retired: their number, then their addresses. */
const FIRST = 8;

/** Frees the object at an address, and reports it (EventKind.ObjectFreed) when done with it. */
export type FreeObject = (cpu: Cpu, hi: number, lo: number) => Program;

/** What a stress run should pass, and from how many CPUs and rounds on it can. */
export const HazardBranch = {
  moved: lockBranch(
    'hazard-pointers',
    'source changed while its object was being protected',
    [2, 1],
  ),
} as const;

export interface HazardSteps {
  /** Publishes the address in a slot of this CPU. */
  publish(cpu: Cpu, slot: number, hi: number, lo: number): Program;
  /** One attempt: the address is visible before the source is read again. */
  fence(cpu: Cpu): boolean;
  /** Reads the source again; result in cpu.ret: 1 = it still names the object. */
  recheck(cpu: Cpu, sourceHi: number, sourceLo: number, hi: number, lo: number): Program;
  /** Result in cpu.ret: 1 = some CPU publishes the address. */
  isProtected(cpu: Cpu, hi: number, lo: number): Program;
}

function slotLo(cpu: Cpu, owner: number, slot: number): number {
  return nodeLo(cpu, owner, LockNode.Hazards) + slot * 8;
}

export const hazardSteps: HazardSteps = {
  *publish(cpu, slot, hi, lo) {
    const at = slotLo(cpu, cpu.id, slot);
    while (!cpu.store64(cpu.perCpuHi(cpu.id), at, hi, lo, Order.Relaxed)) yield;
  },

  fence: (cpu) => cpu.fence(Fence.DmbIsh),

  *recheck(cpu, sourceHi, sourceLo, hi, lo) {
    while (!cpu.load64(sourceHi, sourceLo, Order.Acquire)) yield;
    cpu.ret = cpu.hi === hi && cpu.lo === lo ? 1 : 0;
  },

  *isProtected(cpu, hi, lo) {
    for (let other = 0; other < cpu.cpuCount; other++) {
      for (let slot = 0; slot < HAZARD_SLOTS; slot++) {
        while (!cpu.load64(cpu.perCpuHi(other), slotLo(cpu, other, slot), Order.Acquire)) yield;
        if (cpu.hi !== hi || cpu.lo !== lo) continue;
        cpu.ret = 1;
        return;
      }
    }
    cpu.ret = 0;
  },
};

export interface HazardPointers {
  /**
   * Reads an address from its source and protects what it names until clear or the next use of the
   * slot; result in cpu.hi and cpu.lo, (0, 0) = the source was empty.
   */
  protect(cpu: Cpu, slot: number, sourceHi: number, sourceLo: number): Program;
  /** Ends the protection. */
  clear(cpu: Cpu, slot: number): Program;
  /** The object can't be found any more: to be freed when nobody protects it. */
  retire(cpu: Cpu, hi: number, lo: number): Program;
  /** Frees what this CPU has retired and nobody protects; cpu.ret: how many are left. */
  reclaim(cpu: Cpu, free: FreeObject): Program;
}

export function makeHazardPointers(steps: HazardSteps = hazardSteps): HazardPointers {
  return {
    *protect(cpu, slot, sourceHi, sourceLo) {
      assert(slot >= 0 && slot < HAZARD_SLOTS, `hazard pointer ${slot} of ${HAZARD_SLOTS}`);
      for (;;) {
        while (!cpu.load64(sourceHi, sourceLo, Order.Relaxed)) yield;
        const { hi, lo } = cpu;
        if (hi === 0 && lo === 0) return;
        yield* steps.publish(cpu, slot, hi, lo);
        while (!steps.fence(cpu)) yield;
        yield* steps.recheck(cpu, sourceHi, sourceLo, hi, lo);
        if (cpu.ret === 0) {
          notePassed(cpu, HazardBranch.moved);
          continue;
        }
        cpu.hi = hi;
        cpu.lo = lo;
        return;
      }
    },

    *clear(cpu, slot) {
      const at = slotLo(cpu, cpu.id, slot);
      while (!cpu.store64(cpu.perCpuHi(cpu.id), at, 0, 0, Order.Release)) yield;
    },

    *retire(cpu, hi, lo) {
      const ownHi = cpu.perCpuHi(cpu.id);
      const retired = nodeLo(cpu, cpu.id, LockNode.Retired);
      cpu.event(EventKind.ObjectUnlinked, hi, lo);
      while (!cpu.load32(ownHi, retired, Order.Relaxed)) yield;
      const count = cpu.lo;
      assert(count < RETIRED_MAX, `cpu ${cpu.id} retires more than ${RETIRED_MAX} objects`);
      while (!cpu.store64(ownHi, retired + FIRST + count * 8, hi, lo, Order.Relaxed)) yield;
      while (!cpu.store32(ownHi, retired, count + 1, Order.Relaxed)) yield;
    },

    *reclaim(cpu, free) {
      const ownHi = cpu.perCpuHi(cpu.id);
      const retired = nodeLo(cpu, cpu.id, LockNode.Retired);
      while (!cpu.load32(ownHi, retired, Order.Relaxed)) yield;
      const count = cpu.lo;
      let left = 0;
      // What was taken out is out for everybody before the published addresses are read.
      while (!cpu.fence(Fence.DmbIsh)) yield;
      for (let index = 0; index < count; index++) {
        while (!cpu.load64(ownHi, retired + FIRST + index * 8, Order.Relaxed)) yield;
        const { hi, lo } = cpu;
        yield* steps.isProtected(cpu, hi, lo);
        if (cpu.ret === 0) {
          yield* free(cpu, hi, lo);
          continue;
        }
        while (!cpu.store64(ownHi, retired + FIRST + left * 8, hi, lo, Order.Relaxed)) yield;
        left++;
      }
      while (!cpu.store32(ownHi, retired, left, Order.Relaxed)) yield;
      cpu.ret = left;
    },
  };
}
