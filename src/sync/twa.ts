/**
 * TWA, a ticket lock augmented with a waiting array: only the next in line spins on the lock, the
 * others on words of an array that all locks share.
 * Source: D. Dice, A. Kogan, "TWA - Ticket Locks Augmented with a Waiting Array", Euro-Par 2019,
 * listing 1 (LongTermThreshold = 1).
 * Invariants: tickets are served in order; a change of a waiting word is a hint to look again,
 * never a grant, because locks and tickets collide in the array.
 * Line transfers per hand-over, arrival included: 4 (the tickets, the grant to the next in line,
 * its waiting word to the releaser and back), whatever n; 2 with two CPUs, which never wait far.
 * Deviations: the array is spread over the CPUs' areas, a line per CPU, and neighbouring tickets
 * hash to different lines (the paper: 4096 words in one array, ticket * 127).
 */

import type { Cpu, Program } from '../cpu/cpu.ts';
import { Condition, Order } from '../cpu/operations.ts';
import type { Lock } from './lock.ts';
import { lockBranch, noteAcquired, notePassed, noteReleased } from './lock-events.ts';
import { LockNode, nodeLo } from './lock-nodes.ts';

/** Next ticket and ticket being served, a line each. */
const NEXT = 0;
const GRANT = 64;
const LOCK_BYTES = 68;
/** Waiters further than this from the grant wait in the array. */
const NEAR = 1;
const WORDS_PER_LINE = 16;

/** What a stress run should pass, and from how many CPUs and rounds on it can. */
const Passed = {
  near: lockBranch('twa', 'waited next in line', [2, 1]),
  far: lockBranch('twa', 'waited in the array', [3, 1]),
  closer: lockBranch('twa', 'next in line before it waited in the array', [3, 1]),
} as const;

/** Steps that are no programs are one attempt each. */
export interface TwaSteps {
  /** Result in cpu.lo: the ticket. */
  take(cpu: Cpu, hi: number, lo: number): boolean;
  /** Waits in the array until the ticket is next in line. */
  waitFar(cpu: Cpu, hi: number, lo: number, ticket: number): Program;
  waitNear(cpu: Cpu, hi: number, lo: number, ticket: number): boolean;
  serve(cpu: Cpu, hi: number, lo: number, ticket: number): boolean;
  /** Whoever holds the ticket after `served` is next in line now. */
  callNear(cpu: Cpu, hi: number, lo: number, served: number): boolean;
}

/** CPU whose line has the waiting word of a ticket. */
function lineOf(cpu: Cpu, lo: number, ticket: number): number {
  return ((lo >>> 6) + (ticket >>> 0)) % cpu.cpuCount;
}

function wordOf(cpu: Cpu, owner: number, hi: number, lo: number): number {
  const word = ((lo >>> 6) ^ hi) & (WORDS_PER_LINE - 1);
  return nodeLo(cpu, owner, LockNode.WaitingArray + word * 4);
}

export const twaSteps: TwaSteps = {
  take: (cpu, hi, lo) => cpu.add32(hi, lo + NEXT, 1, Order.AcquireRelease),

  *waitFar(cpu, hi, lo, ticket) {
    const owner = lineOf(cpu, lo, ticket);
    const atHi = cpu.perCpuHi(owner);
    const at = wordOf(cpu, owner, hi, lo);
    while (!cpu.load32(atHi, at, Order.Acquire)) yield;
    let seen = cpu.lo;
    let hasWaited = false;
    for (;;) {
      while (!cpu.load32(hi, lo + GRANT, Order.Acquire)) yield;
      if (((ticket - cpu.lo) | 0) <= NEAR) {
        notePassed(cpu, hasWaited ? Passed.far : Passed.closer);
        return;
      }
      hasWaited = true;
      while (!cpu.cond32(atHi, at, Condition.NotEqual, -1, seen, Order.Acquire)) yield;
      seen = cpu.lo;
    }
  },

  waitNear: (cpu, hi, lo, ticket) =>
    cpu.cond32(hi, lo + GRANT, Condition.Equal, -1, ticket, Order.Acquire),

  serve: (cpu, hi, lo, ticket) => cpu.store32(hi, lo + GRANT, ticket, Order.Release),

  callNear(cpu, hi, lo, served) {
    const ticket = (served + NEAR) | 0;
    const owner = lineOf(cpu, lo, ticket);
    return cpu.add32(cpu.perCpuHi(owner), wordOf(cpu, owner, hi, lo), 1, Order.AcquireRelease);
  },
};

export function makeTwaLock(steps: TwaSteps = twaSteps): Lock {
  return {
    name: 'twa',
    bytes: LOCK_BYTES,
    branches: Object.values(Passed),

    *acquire(cpu, hi, lo) {
      while (!steps.take(cpu, hi, lo)) yield;
      const ticket = cpu.lo;
      while (!cpu.load32(hi, lo + GRANT, Order.Acquire)) yield;
      const distance = (ticket - cpu.lo) | 0;
      if (distance > 0) notePassed(cpu, Passed.near);
      if (distance > NEAR) yield* steps.waitFar(cpu, hi, lo, ticket);
      if (distance > 0) while (!steps.waitNear(cpu, hi, lo, ticket)) yield;
      noteAcquired(cpu, hi, lo, distance > 0);
    },

    *release(cpu, hi, lo) {
      while (!cpu.load32(hi, lo + GRANT, Order.Relaxed)) yield;
      const served = (cpu.lo + 1) | 0;
      noteReleased(cpu, hi, lo);
      while (!steps.serve(cpu, hi, lo, served)) yield;
      while (!steps.callNear(cpu, hi, lo, served)) yield;
    },
  };
}
