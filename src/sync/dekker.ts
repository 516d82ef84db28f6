/**
 * Dekker's algorithm for two CPUs, by loads and stores alone.
 * Source: E. Dijkstra, "Cooperating Sequential Processes", EWD 123, 1965, section 2.1.
 * Invariant: a side that wants the lock has raised its flag before it reads the other's; the turn
 * is changed by the owner alone, when it leaves; a side whose turn it isn't lowers its flag.
 * Line transfers per hand-over: 3, both flags and the turn, arrival included.
 * Deviations: which CPU is which side is claimed at the first acquisition (two-sides.ts); a full
 * fence after each raising of a flag, which Dijkstra's indivisible accesses need not.
 */

import type { Cpu } from '../cpu/cpu.ts';
import { Condition, Fence, Order } from '../cpu/operations.ts';
import type { Lock } from './lock.ts';
import { lockBranch, noteAcquired, notePassed, noteReleased } from './lock-events.ts';
import { sideOf } from './two-sides.ts';

/** A line per side with its flag; a line with the turn (a side); and the claims. */
const SIDE_BYTES = 64;
const TURN = 128;
const CLAIMS = 192;
const LOCK_BYTES = 200;

/** What a stress run should pass, and from how many CPUs and rounds on it can. */
const Passed = {
  insisted: lockBranch('dekker', 'insisted: its turn', [2, 1]),
  gaveWay: lockBranch('dekker', 'lowered its flag: the turn of the other', [2, 1]),
} as const;

/** Steps are one attempt each. */
export interface DekkerSteps {
  raise(cpu: Cpu, hi: number, own: number): boolean;
  /** Store to load: our flag is visible before we read the other's. */
  order(cpu: Cpu): boolean;
  lower(cpu: Cpu, hi: number, own: number): boolean;
  awaitTurn(cpu: Cpu, hi: number, turn: number, side: number): boolean;
  awaitOther(cpu: Cpu, hi: number, other: number): boolean;
  giveTurn(cpu: Cpu, hi: number, turn: number, side: number): boolean;
  leave(cpu: Cpu, hi: number, own: number): boolean;
}

export const dekkerSteps: DekkerSteps = {
  raise: (cpu, hi, own) => cpu.store32(hi, own, 1, Order.Relaxed),
  order: (cpu) => cpu.fence(Fence.DmbIsh),
  lower: (cpu, hi, own) => cpu.store32(hi, own, 0, Order.Relaxed),
  awaitTurn: (cpu, hi, turn, side) =>
    cpu.cond32(hi, turn, Condition.Equal, -1, side, Order.Relaxed),
  awaitOther: (cpu, hi, other) => cpu.cond32(hi, other, Condition.Equal, -1, 0, Order.Acquire),
  giveTurn: (cpu, hi, turn, side) => cpu.store32(hi, turn, side, Order.Relaxed),
  leave: (cpu, hi, own) => cpu.store32(hi, own, 0, Order.Release),
};

export function makeDekkerLock(steps: DekkerSteps = dekkerSteps): Lock {
  return {
    name: 'dekker',
    bytes: LOCK_BYTES,
    cpusMax: 2,
    branches: Object.values(Passed),

    *acquire(cpu, hi, lo) {
      yield* sideOf(cpu, hi, lo + CLAIMS);
      const side = cpu.ret;
      const own = lo + side * SIDE_BYTES;
      const other = lo + (1 - side) * SIDE_BYTES;
      let contended = false;
      for (;;) {
        while (!steps.raise(cpu, hi, own)) yield;
        while (!steps.order(cpu)) yield;
        while (!cpu.load32(hi, other, Order.Acquire)) yield;
        if (cpu.lo === 0) break;
        contended = true;
        while (!cpu.load32(hi, lo + TURN, Order.Relaxed)) yield;
        if (cpu.lo === side) {
          notePassed(cpu, Passed.insisted);
          // The other side lowers its flag when it leaves, or sees that it isn't its turn.
          while (!steps.awaitOther(cpu, hi, other)) yield;
          break;
        }
        notePassed(cpu, Passed.gaveWay);
        while (!steps.lower(cpu, hi, own)) yield;
        while (!steps.awaitTurn(cpu, hi, lo + TURN, side)) yield;
      }
      noteAcquired(cpu, hi, lo, contended);
    },

    *release(cpu, hi, lo) {
      yield* sideOf(cpu, hi, lo + CLAIMS);
      const side = cpu.ret;
      noteReleased(cpu, hi, lo);
      while (!steps.giveTurn(cpu, hi, lo + TURN, 1 - side)) yield;
      while (!steps.leave(cpu, hi, lo + side * SIDE_BYTES)) yield;
    },
  };
}
