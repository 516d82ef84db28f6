/**
 * Peterson's algorithm for two CPUs, by loads and stores alone, in Kessels' form: each side has a
 * word that only it writes, so that waiting is for one word.
 * Source: G. Peterson, "Myths About the Mutual Exclusion Problem", IPL 1981; J. Kessels,
 * "Arbitration Without Common Modifiable Variables", Acta Informatica 1982.
 * Invariant: a side that wants the lock has said so (WANTS) before it reads the other's word; the
 * two turn bits together say who came last: equal = side 1 waits for side 0, different = side 0.
 * Line transfers per hand-over: 2, each side's word to the other, arrival included.
 * Deviations: which CPU is which side is claimed at the first acquisition (two-sides.ts); a full
 * fence after each store, which the papers' sequentially consistent registers need not.
 */

import type { Cpu } from '../cpu/cpu.ts';
import { Condition, Fence, Order } from '../cpu/operations.ts';
import type { Lock } from './lock.ts';
import { lockBranch, noteAcquired, notePassed, noteReleased } from './lock-events.ts';
import { sideOf } from './two-sides.ts';

/** A line per side, and one for the claims. */
const SIDE_BYTES = 64;
const CLAIMS = 128;
const LOCK_BYTES = 136;
const WANTS = 1;
const TURN = 2;

/** What a stress run should pass, and from how many CPUs and rounds on it can. */
const Passed = {
  waited: lockBranch('peterson', 'waited for the other side', [2, 1]),
  free: lockBranch('peterson', 'found the other side away or behind', [2, 1]),
} as const;

/** Steps are one attempt each. */
export interface PetersonSteps {
  announce(cpu: Cpu, hi: number, own: number, turn: number): boolean;
  /** Store to load: our word is visible before we read the other's. */
  order(cpu: Cpu): boolean;
  setTurn(cpu: Cpu, hi: number, own: number, turn: number): boolean;
  /** Performed when the other side does not want the lock, or came after us. */
  wait(cpu: Cpu, hi: number, other: number, blocking: number): boolean;
  leave(cpu: Cpu, hi: number, own: number, turn: number): boolean;
}

export const petersonSteps: PetersonSteps = {
  announce: (cpu, hi, own, turn) => cpu.store32(hi, own, WANTS | turn, Order.Relaxed),
  order: (cpu) => cpu.fence(Fence.DmbIsh),
  setTurn: (cpu, hi, own, turn) => cpu.store32(hi, own, WANTS | turn, Order.Relaxed),
  wait: (cpu, hi, other, blocking) =>
    cpu.cond32(hi, other, Condition.NotEqual, -1, blocking, Order.Acquire),
  leave: (cpu, hi, own, turn) => cpu.store32(hi, own, turn, Order.Release),
};

export function makePetersonLock(steps: PetersonSteps = petersonSteps): Lock {
  return {
    name: 'peterson',
    bytes: LOCK_BYTES,
    cpusMax: 2,
    branches: Object.values(Passed),

    *acquire(cpu, hi, lo) {
      yield* sideOf(cpu, hi, lo + CLAIMS);
      const side = cpu.ret;
      const own = lo + side * SIDE_BYTES;
      const other = lo + (1 - side) * SIDE_BYTES;
      // The turn bit of last time stays until the new one is known: the other may be between
      // reading it and answering it.
      while (!cpu.load32(hi, own, Order.Relaxed)) yield;
      const before = cpu.lo & TURN;
      while (!steps.announce(cpu, hi, own, before)) yield;
      while (!steps.order(cpu)) yield;
      while (!cpu.load32(hi, other, Order.Relaxed)) yield;
      const theirs = cpu.lo & TURN;
      const turn = side === 0 ? theirs : TURN - theirs;
      while (!steps.setTurn(cpu, hi, own, turn)) yield;
      while (!steps.order(cpu)) yield;
      // Side 0 waits while the turn bits are equal, side 1 while they differ.
      const blocking = WANTS | (side === 0 ? turn : TURN - turn);
      while (!cpu.load32(hi, other, Order.Acquire)) yield;
      const contended = cpu.lo === blocking;
      notePassed(cpu, contended ? Passed.waited : Passed.free);
      if (contended) while (!steps.wait(cpu, hi, other, blocking)) yield;
      noteAcquired(cpu, hi, lo, contended);
    },

    *release(cpu, hi, lo) {
      yield* sideOf(cpu, hi, lo + CLAIMS);
      const own = lo + cpu.ret * SIDE_BYTES;
      while (!cpu.load32(hi, own, Order.Relaxed)) yield;
      const turn = cpu.lo & TURN;
      noteReleased(cpu, hi, lo);
      while (!steps.leave(cpu, hi, own, turn)) yield;
    },
  };
}
