/**
 * The break-before-make automaton of each descriptor (Arm ARM D8.16.1): a valid descriptor that
 * changes its output address, its size or its memory type goes through invalid, a TLBI that reaches
 * everybody, and a DSB of the CPU that issued it, before it is valid again. Permissions, the access
 * flag and dirty state may change in place.
 *
 * A word is a descriptor if its page is a table: told so when it was handed out, or seen by a
 * hardware walk. TLBIs are not matched with addresses here: one that misses shows as a stale
 * translation (stale-tlb.ts).
 */

import { EventKind, isBroadcast } from '../../cpu/operations.ts';
import { isValid, PTE_AF } from '../../translation/descriptors.ts';
import {
  S2_PERMISSION_MASK_HI,
  S2_PERMISSION_MASK_LO,
} from '../../translation/stage2-descriptors.ts';
import type { OracleContext, StressOracle } from './oracle.ts';

export const BREAK_BEFORE_MAKE = 'break-before-make';

const PAGE_SHIFT = 12;
/** Bits that may change in a valid descriptor; dirty and software bits are in the high half. */
const FREE_HI = S2_PERMISSION_MASK_HI | 0x0788_0000;
const FREE_LO = S2_PERMISSION_MASK_LO | PTE_AF;

/** A descriptor that was broken: what it held, and how far its TLBI is. */
interface Broken {
  readonly hi: number;
  readonly lo: number;
  /** CPU whose TLBI came after the break; -1 = none yet. */
  issuer: number;
  clean: boolean;
}

function unitOf(hi: number, lo: number, shift: number): number {
  return (hi & 0xffff) * 2 ** (32 - shift) + (lo >>> shift);
}

function sameMapping(aHi: number, aLo: number, bHi: number, bLo: number): boolean {
  return ((aHi ^ bHi) & ~FREE_HI) === 0 && ((aLo ^ bLo) & ~FREE_LO) === 0;
}

export function makeBreakBeforeMake(
  context: OracleContext,
  word: (hi: number, lo: number) => number,
): StressOracle {
  const tables = new Set<number>();
  const broken = new Map<number, Broken>();

  const change = (
    cpu: number,
    hi: number,
    lo: number,
    oldHi: number,
    oldLo: number,
    newHi: number,
    newLo: number,
  ): void => {
    const key = unitOf(hi, lo, 3);
    if (isValid(oldLo)) {
      if (!isValid(newLo)) broken.set(key, { hi: oldHi, lo: oldLo, issuer: -1, clean: false });
      else if (!sameMapping(oldHi, oldLo, newHi, newLo)) {
        const text = 'changes a valid descriptor without breaking it first';
        context.fail({ oracle: BREAK_BEFORE_MAKE, cpus: [cpu], text, hi, lo });
      }
      return;
    }
    const before = broken.get(key);
    if (before === undefined || !isValid(newLo)) return;
    broken.delete(key);
    if (before.clean || sameMapping(before.hi, before.lo, newHi, newLo)) return;
    const what = before.issuer < 0 ? 'no TLBI' : 'a TLBI that is not complete';
    const text = `makes a descriptor anew after ${what}`;
    context.fail({ oracle: BREAK_BEFORE_MAKE, cpus: [cpu], text, hi, lo });
  };

  return {
    name: BREAK_BEFORE_MAKE,
    event(_cpu, kind, hi, lo) {
      if (kind === EventKind.TablePageAllocated) tables.add(unitOf(hi, lo, PAGE_SHIFT));
      else if (kind === EventKind.TablePageFreed) tables.delete(unitOf(hi, lo, PAGE_SHIFT));
    },
    walkRead(_cpu, hi, lo) {
      tables.add(unitOf(hi, lo, PAGE_SHIFT));
    },
    wrote(cpu, hi, lo, bytes, oldLo, oldHi) {
      if (bytes !== 8 || tables.size === 0) return;
      if (!tables.has(unitOf(hi, lo, PAGE_SHIFT))) return;
      change(cpu, hi, lo, oldHi, oldLo, word(hi, lo + 4), word(hi, lo));
    },
    tlbi({ issuer, operation }) {
      if (broken.size === 0 || !isBroadcast(operation)) return;
      for (const entry of broken.values()) if (!entry.clean) entry.issuer = issuer;
    },
    dsb(cpu) {
      if (broken.size === 0) return;
      for (const entry of broken.values()) if (entry.issuer === cpu) entry.clean = true;
    },
  };
}
