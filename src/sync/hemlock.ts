/**
 * Hemlock: an MCS queue without nodes; each CPU has one word, in which it grants a lock by its
 * address to whoever waits for it.
 * Source: D. Dice, A. Kogan, "Hemlock: Compact and Scalable Mutual Exclusion", SPAA 2021,
 * listing 1.
 * Invariants: the tail is the CPU that asked last; a CPU's grant is null unless it is between a
 * release and the successor's answer; at most one waiter is behind a CPU for a given lock.
 * Line transfers per hand-over, arrival included: 3 (the tail, the grant to the waiter, its answer
 * back), whatever n; waiters for several locks of one CPU share that CPU's grant line.
 * Deviation: release also waits for a null grant before it writes one, because an interrupt handler
 * may release a lock of its own in the middle of another release.
 */

import type { Cpu, Program } from '../cpu/cpu.ts';
import { Condition, Order } from '../cpu/operations.ts';
import type { Lock } from './lock.ts';
import {
  distantBranch,
  lockBranch,
  noteAcquired,
  notePassed,
  noteReleased,
} from './lock-events.ts';
import { LockNode, nodeLo } from './lock-nodes.ts';

/** The high half of a linear-map address is never 0: it tells a grant from none. */
const HIGH = 4;

/** What a stress run should pass, and from how many CPUs and rounds on it can. */
const Passed = {
  waited: lockBranch('hemlock', 'waited for a grant', [2, 1]),
  emptied: lockBranch('hemlock', 'left an empty queue', [2, 1]),
  handed: lockBranch('hemlock', 'handed over', [2, 1]),
  other: distantBranch(
    'hemlock',
    'saw a grant of another lock',
    'takes a handler that releases a lock inside a release',
  ),
} as const;

/** Steps that are no programs are one attempt each. */
export interface HemlockSteps {
  /** Result in cpu.lo: CPU + 1 of the one before us, 0 = the lock is ours. */
  enqueue(cpu: Cpu, hi: number, lo: number): boolean;
  /** Waits until CPU `previous` grants this very lock. */
  wait(cpu: Cpu, hi: number, lo: number, previous: number): Program;
  /** Tells `previous` that its grant has been taken. */
  answer(cpu: Cpu, previous: number): boolean;
  /** Result in cpu.ok: nobody was behind us, and the lock is free. */
  emptyTail(cpu: Cpu, hi: number, lo: number): boolean;
  handOver(cpu: Cpu, hi: number, lo: number): boolean;
  /** Performed when this CPU's grant is null. */
  awaitAnswer(cpu: Cpu): boolean;
}

function grantOf(cpu: Cpu, owner: number): number {
  return nodeLo(cpu, owner, LockNode.Grant);
}

export const hemlockSteps: HemlockSteps = {
  enqueue: (cpu, hi, lo) => cpu.swap32(hi, lo, cpu.id + 1, Order.AcquireRelease),

  *wait(cpu, hi, lo, previous) {
    const grantHi = cpu.perCpuHi(previous);
    const grant = grantOf(cpu, previous);
    for (;;) {
      while (!cpu.load64(grantHi, grant, Order.Acquire)) yield;
      if (cpu.hi === hi && cpu.lo === lo) return;
      if (cpu.hi !== 0) notePassed(cpu, Passed.other);
      // One half can match in a grant of another lock: wait for the one that does not.
      const [at, wanted] = cpu.hi === hi ? [grant, lo] : [grant + HIGH, hi];
      while (!cpu.cond32(grantHi, at, Condition.Equal, -1, wanted, Order.Relaxed)) yield;
    }
  },

  answer: (cpu, previous) =>
    cpu.store64(cpu.perCpuHi(previous), grantOf(cpu, previous), 0, 0, Order.Release),

  emptyTail: (cpu, hi, lo) => cpu.cas32(hi, lo, cpu.id + 1, 0, Order.Release),

  handOver: (cpu, hi, lo) =>
    cpu.store64(cpu.perCpuHi(cpu.id), grantOf(cpu, cpu.id), hi, lo, Order.Release),

  awaitAnswer: (cpu) =>
    cpu.cond32(
      cpu.perCpuHi(cpu.id),
      grantOf(cpu, cpu.id) + HIGH,
      Condition.Equal,
      -1,
      0,
      Order.Relaxed,
    ),
};

export function makeHemlock(steps: HemlockSteps = hemlockSteps): Lock {
  return {
    name: 'hemlock',
    bytes: 4,
    branches: Object.values(Passed),

    *acquire(cpu, hi, lo) {
      while (!steps.enqueue(cpu, hi, lo)) yield;
      const contended = cpu.lo !== 0;
      if (contended) {
        notePassed(cpu, Passed.waited);
        const previous = cpu.lo - 1;
        yield* steps.wait(cpu, hi, lo, previous);
        while (!steps.answer(cpu, previous)) yield;
      }
      noteAcquired(cpu, hi, lo, contended);
    },

    *release(cpu, hi, lo) {
      noteReleased(cpu, hi, lo);
      while (!steps.emptyTail(cpu, hi, lo)) yield;
      notePassed(cpu, cpu.ok ? Passed.emptied : Passed.handed);
      if (cpu.ok) return;
      while (!steps.awaitAnswer(cpu)) yield;
      while (!steps.handOver(cpu, hi, lo)) yield;
      while (!steps.awaitAnswer(cpu)) yield;
    },
  };
}
