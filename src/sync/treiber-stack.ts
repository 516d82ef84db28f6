/**
 * Treiber's stack as a free list of table pages: a head word that is compared and swapped, each
 * free page holds the address of the next one. A tag in the head changes with every swap, against
 * ABA: a page that was taken and put back between a look at the head and the swap.
 * Source: R. K. Treiber, "Systems Programming: Coping with Parallelism", IBM RJ 5118, 1986; the
 * tag as in the principles of operation of System/370 (CDS); packed into the pointer's upper bits
 * as kernel lock-less lists of x86 do without a 16-byte swap.
 * Invariant: a page is on the list or somebody's, never both; the tag of a head is never used again
 * while somebody can hold the old head (2^28 swaps).
 * Line transfers: 1 to 2 per push (head, the page is one's own), 2 to 3 per pop (head twice, page).
 * Deviation: pages never stop being pages, so that a late look into one that is taken does no harm;
 * what it read is thrown away with the failed swap.
 * Events: branches alone, because the list itself uses the first word of free pages.
 */

import type { Cpu, Program } from '../cpu/cpu.ts';
import { Order } from '../cpu/operations.ts';
import { LINEAR_MAP_HI } from '../memory/physical-address.ts';
import { lockBranch, notePassed } from './lock-events.ts';

export const TREIBER_STACK_BYTES = 8;
/** Pages are 4 KiB or more: 12 bits below the address, 16 above, make the tag. */
const LOW_TAG = 0xfff;

/** What a stress run should pass, and from how many CPUs and rounds on it can. */
export const StackBranch = {
  pushLost: lockBranch('treiber-stack', 'push found the head moved', [2, 1]),
  popLost: lockBranch('treiber-stack', 'pop found the head moved', [2, 1]),
  empty: lockBranch('treiber-stack', 'pop found the list empty', [2, 1]),
} as const;

export interface TreiberSteps {
  /** Reads the head; result in cpu.hi and cpu.lo, tag included. */
  readHead(cpu: Cpu, hi: number, lo: number): Program;
  /**
   * Replaces the head that was seen by the address of another page (0, 0 = none); result in
   * cpu.ok; if it failed, the head as it is in cpu.hi and cpu.lo.
   */
  swing(
    cpu: Cpu,
    hi: number,
    lo: number,
    seenHi: number,
    seenLo: number,
    pageHi: number,
    pageLo: number,
  ): Program;
}

export const treiberSteps: TreiberSteps = {
  *readHead(cpu, hi, lo) {
    while (!cpu.load64(hi, lo, Order.Acquire)) yield;
  },

  *swing(cpu, hi, lo, seenHi, seenLo, pageHi, pageLo) {
    const tag = ((((seenHi >>> 16) << 12) | (seenLo & LOW_TAG)) + 1) & 0xfffffff;
    const headHi = ((tag >>> 12) << 16) | (pageHi & 0xffff);
    const headLo = (pageLo & ~LOW_TAG) | (tag & LOW_TAG);
    const order = Order.AcquireRelease;
    while (!cpu.cas64(hi, lo, seenHi, seenLo, headHi, headLo, order)) yield;
  },
};

export interface PageStack {
  readonly bytes: number;
  /** Gives a page (linear-map address) to the list: it is nobody's with the swap. */
  push(cpu: Cpu, hi: number, lo: number, pageHi: number, pageLo: number): Program;
  /** Takes a page; cpu.ret: 1 = its linear-map address is in cpu.hi and cpu.lo, 0 = none left. */
  pop(cpu: Cpu, hi: number, lo: number): Program;
}

export function makeTreiberStack(steps: TreiberSteps = treiberSteps): PageStack {
  return {
    bytes: TREIBER_STACK_BYTES,

    *push(cpu, hi, lo, pageHi, pageLo) {
      yield* steps.readHead(cpu, hi, lo);
      do {
        const seenHi = cpu.hi;
        const seenLo = cpu.lo;
        const nextLo = seenLo & ~LOW_TAG;
        while (!cpu.store64(pageHi, pageLo, seenHi & 0xffff, nextLo, Order.Relaxed)) yield;
        yield* steps.swing(cpu, hi, lo, seenHi, seenLo, pageHi, pageLo);
        if (!cpu.ok) notePassed(cpu, StackBranch.pushLost);
      } while (!cpu.ok);
    },

    *pop(cpu, hi, lo) {
      yield* steps.readHead(cpu, hi, lo);
      for (;;) {
        const seenHi = cpu.hi;
        const seenLo = cpu.lo;
        const pageHi = (seenHi & 0xffff) | LINEAR_MAP_HI;
        const pageLo = seenLo & ~LOW_TAG;
        // Physical page 0 of node 0 is never a table page: 0 ends the list.
        if ((seenHi & 0xffff) === 0 && pageLo === 0) {
          notePassed(cpu, StackBranch.empty);
          cpu.ret = 0;
          return;
        }
        while (!cpu.load64(pageHi, pageLo, Order.Relaxed)) yield;
        yield* steps.swing(cpu, hi, lo, seenHi, seenLo, cpu.hi, cpu.lo);
        if (!cpu.ok) {
          notePassed(cpu, StackBranch.popLost);
          continue;
        }
        cpu.hi = pageHi;
        cpu.lo = pageLo;
        cpu.ret = 1;
        return;
      }
    },
  };
}
