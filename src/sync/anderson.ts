/**
 * Anderson's array lock: a ticket names a slot of an array, each waiter spins on its own slot.
 * Source: T. Anderson, "The Performance of Spin Lock Alternatives for Shared-Memory
 * Multiprocessors", IEEE TPDS 1990, table V.
 * Invariant: one slot at most is granted; there are at least as many slots as CPUs, so a slot is
 * free again before its number comes round.
 * Line transfers per hand-over, arrival included: 4 to 5 (the counter, the owner's place, the slot
 * to the releaser and back, at times the slot before that), whatever n.
 * Deviations: the array has a power of two of slots, so that tickets may wrap; the owner's place is
 * kept in the lock, where Anderson has a variable of the process, so that locks may be released in
 * any order.
 */

import type { Cpu } from '../cpu/cpu.ts';
import { Condition, Order } from '../cpu/operations.ts';
import { nodeOf, toLinear } from '../memory/physical-address.ts';
import type { Lock } from './lock.ts';
import { lockBranch, noteAcquired, notePassed, noteReleased } from './lock-events.ts';

/** The lock, a line each: next ticket; address of the slots (boot writes it); owner's ticket. */
const NEXT = 0;
const SLOTS = 64;
const PLACE = 128;
const LOCK_BYTES = 132;

/** What a stress run should pass, and from how many CPUs and rounds on it can. */
const Passed = {
  waited: lockBranch('anderson', 'waited on its slot', [2, 1]),
  granted: lockBranch('anderson', 'found its slot granted', [2, 1]),
} as const;

/** Steps are one attempt each, but slotBytes and slotCount. */
export interface AndersonSteps {
  /** A line each, or waiters share lines. */
  readonly slotBytes: number;
  slotCount(cpuCount: number): number;
  /** Result in cpu.lo: the ticket. */
  take(cpu: Cpu, hi: number, lo: number): boolean;
  wait(cpu: Cpu, slotHi: number, slotLo: number): boolean;
  /** The slot is ours no longer than until its number comes round. */
  reset(cpu: Cpu, slotHi: number, slotLo: number): boolean;
  handOver(cpu: Cpu, slotHi: number, slotLo: number): boolean;
}

export const andersonSteps: AndersonSteps = {
  slotBytes: 64,
  slotCount: (cpuCount) => 1 << (32 - Math.clz32(cpuCount - 1)),
  take: (cpu, hi, lo) => cpu.add32(hi, lo + NEXT, 1, Order.AcquireRelease),
  wait: (cpu, hi, lo) => cpu.cond32(hi, lo, Condition.NotEqual, -1, 0, Order.Acquire),
  reset: (cpu, hi, lo) => cpu.store32(hi, lo, 0, Order.Relaxed),
  handOver: (cpu, hi, lo) => cpu.store32(hi, lo, 1, Order.Release),
};

export function makeAndersonLock(steps: AndersonSteps = andersonSteps): Lock {
  const offsetOf = (cpu: Cpu, ticket: number): number =>
    (ticket & (steps.slotCount(cpu.cpuCount) - 1)) * steps.slotBytes;
  return {
    name: 'anderson',
    bytes: LOCK_BYTES,
    branches: Object.values(Passed),
    bytesPerCpu: 2 * steps.slotBytes,

    init(boot, physical) {
      const bytes = steps.slotCount(boot.machine.cpuCount) * steps.slotBytes;
      const slots = boot.allocate(nodeOf(physical.hi), bytes);
      boot.write32(slots, 0, 1);
      const { hi, lo } = toLinear(slots);
      boot.write64(physical, SLOTS, hi, lo);
    },

    *acquire(cpu, hi, lo) {
      while (!steps.take(cpu, hi, lo)) yield;
      const ticket = cpu.lo;
      while (!cpu.load64(hi, lo + SLOTS, Order.Relaxed)) yield;
      const slotHi = cpu.hi;
      const slotLo = cpu.lo + offsetOf(cpu, ticket);
      while (!cpu.load32(slotHi, slotLo, Order.Acquire)) yield;
      const contended = cpu.lo === 0;
      notePassed(cpu, contended ? Passed.waited : Passed.granted);
      if (contended) while (!steps.wait(cpu, slotHi, slotLo)) yield;
      while (!steps.reset(cpu, slotHi, slotLo)) yield;
      while (!cpu.store32(hi, lo + PLACE, ticket, Order.Relaxed)) yield;
      noteAcquired(cpu, hi, lo, contended);
    },

    *release(cpu, hi, lo) {
      while (!cpu.load32(hi, lo + PLACE, Order.Relaxed)) yield;
      const next = cpu.lo + 1;
      while (!cpu.load64(hi, lo + SLOTS, Order.Relaxed)) yield;
      const slotHi = cpu.hi;
      const slotLo = cpu.lo + offsetOf(cpu, next);
      noteReleased(cpu, hi, lo);
      while (!steps.handOver(cpu, slotHi, slotLo)) yield;
    },
  };
}
