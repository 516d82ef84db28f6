/**
 * Ticket spinlock, one word: next ticket in the upper half, ticket being served in the lower.
 * Source: include/asm-generic/ticket_spinlock.h (v5.19 and later).
 * Invariant: (next - serving) mod 2^16 = owner + waiters; only the owner writes `serving`.
 * Line transfers per hand-over, n waiters: up to 2n (the serving store and every arriving
 * fetch-and-add invalidate all waiters, each reads the line again).
 */

import type { Cpu, Program } from '../cpu/cpu.ts';
import { Condition, Order } from '../cpu/operations.ts';
import type { Lock } from './lock.ts';
import { lockBranch, noteAcquired, notePassed, noteReleased, noteTried } from './lock-events.ts';

const NEXT_ONE = 1 << 16;
const SERVING = 0xffff;

/** What a stress run should pass, and from how many CPUs and rounds on it can. */
const Passed = {
  waited: lockBranch('ticket', 'waited for its ticket', [2, 1]),
  triedBusy: lockBranch('ticket', 'tried while it was taken', [3, 1], [2, 2]),
  tryLost: lockBranch('ticket', 'tried and lost the race', [3, 1], [2, 2]),
} as const;

export interface TicketSteps {
  /** Result in cpu.lo: the word before this CPU's ticket was taken. */
  take(cpu: Cpu, hi: number, lo: number): Program;
  wait(cpu: Cpu, hi: number, lo: number, ticket: number): Program;
  /** ticket_spin_trylock; result in cpu.ret: 1 = the lock was free and is ours. */
  tryTake(cpu: Cpu, hi: number, lo: number): Program;
  serveNext(cpu: Cpu, hi: number, lo: number): Program;
}

export const ticketSteps: TicketSteps = {
  *take(cpu, hi, lo) {
    while (!cpu.add32(hi, lo, NEXT_ONE, Order.SequentiallyConsistent)) yield;
  },

  *wait(cpu, hi, lo, ticket) {
    while (!cpu.cond32(hi, lo, Condition.Equal, SERVING, ticket, Order.Acquire)) yield;
  },

  *tryTake(cpu, hi, lo) {
    while (!cpu.load32(hi, lo, Order.Relaxed)) yield;
    const word = cpu.lo;
    cpu.ret = 0;
    if (word >>> 16 !== (word & SERVING)) {
      notePassed(cpu, Passed.triedBusy);
      return;
    }
    const taken = (word + NEXT_ONE) | 0;
    while (!cpu.cas32(hi, lo, word, taken, Order.SequentiallyConsistent)) yield;
    if (!cpu.ok) notePassed(cpu, Passed.tryLost);
    cpu.ret = cpu.ok ? 1 : 0;
  },

  *serveNext(cpu, hi, lo) {
    while (!cpu.load32(hi, lo, Order.Relaxed)) yield;
    const next = (cpu.lo + 1) & SERVING;
    while (!cpu.store16(hi, lo, next, Order.Release)) yield;
  },
};

export interface TicketLock extends Lock {
  /** Result in cpu.ret: 1 = taken. */
  tryAcquire(cpu: Cpu, hi: number, lo: number): Program;
}

export function makeTicketLock(steps: TicketSteps = ticketSteps): TicketLock {
  return {
    name: 'ticket',
    bytes: 4,
    branches: Object.values(Passed),

    *acquire(cpu, hi, lo) {
      yield* steps.take(cpu, hi, lo);
      const ticket = cpu.lo >>> 16;
      const contended = ticket !== (cpu.lo & SERVING);
      if (contended) {
        notePassed(cpu, Passed.waited);
        yield* steps.wait(cpu, hi, lo, ticket);
      }
      noteAcquired(cpu, hi, lo, contended);
    },

    *tryAcquire(cpu, hi, lo) {
      yield* steps.tryTake(cpu, hi, lo);
      if (cpu.ret === 0) return;
      noteTried(cpu, hi, lo);
      noteAcquired(cpu, hi, lo, false);
    },

    *release(cpu, hi, lo) {
      noteReleased(cpu, hi, lo);
      yield* steps.serveNext(cpu, hi, lo);
    },
  };
}
