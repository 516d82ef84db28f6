/**
 * Use of what was freed: objects of one line (ObjectFreed), table pages (TablePageFreed), until
 * they are handed out again. Every access of a program or a walker is looked at, so nothing has to
 * be poisoned; `age` is how many objects were freed since, as rcutorture's pipe counts it
 * (kernel/rcu/rcutorture.c: rtort_pipe_count).
 */

import { EventKind } from '../../cpu/operations.ts';
import type { OracleContext, OracleFacts, StressOracle } from './oracle.ts';

export const USE_AFTER_FREE = 'use-after-free';

export const USE_AFTER_FREE_FACTS: OracleFacts = {
  name: USE_AFTER_FREE,
  description: 'nobody reads or writes what was freed; its age says how long ago',
  engines: ['explore', 'host', 'virtual'],
};

const LINE_SHIFT = 6;
const PAGE_SHIFT = 12;

interface Freed {
  readonly cpu: number;
  /** Frees before this one. */
  readonly age: number;
}

/** Physical address in units of 2^shift, as one exact number. */
function unitOf(hi: number, lo: number, shift: number): number {
  return (hi & 0xffff) * 2 ** (32 - shift) + (lo >>> shift);
}

export function makeUseAfterFree(context: OracleContext): StressOracle {
  const lines = new Map<number, Freed>();
  const pages = new Map<number, Freed>();
  let frees = 0;

  const free = (units: Map<number, Freed>, unit: number, cpu: number, hi: number, lo: number) => {
    const before = units.get(unit);
    if (before !== undefined) {
      const text = 'frees what is free already';
      context.fail({ oracle: USE_AFTER_FREE, cpus: [cpu, before.cpu], text, hi, lo });
    }
    units.set(unit, { cpu, age: frees++ });
  };

  return {
    name: USE_AFTER_FREE,
    event(cpu, kind, hi, lo) {
      switch (kind) {
        case EventKind.ObjectFreed:
          free(lines, unitOf(hi, lo, LINE_SHIFT), cpu, hi, lo);
          break;
        case EventKind.ObjectAllocated:
          lines.delete(unitOf(hi, lo, LINE_SHIFT));
          break;
        case EventKind.TablePageFreed:
          free(pages, unitOf(hi, lo, PAGE_SHIFT), cpu, hi, lo);
          break;
        case EventKind.TablePageAllocated:
          pages.delete(unitOf(hi, lo, PAGE_SHIFT));
          break;
        case EventKind.FrameAllocated:
          for (let page = 0; pages.size > 0 && page < 1 << (lo & 0xfff); page++) {
            pages.delete(unitOf(hi, lo, PAGE_SHIFT) + page);
          }
          break;
        default:
      }
    },

    access(cpu, hi, lo, _bytes, writes) {
      if (frees === 0) return;
      const freed = lines.get(unitOf(hi, lo, LINE_SHIFT)) ?? pages.get(unitOf(hi, lo, PAGE_SHIFT));
      if (freed === undefined) return;
      const age = frees - freed.age;
      const text = `${writes ? 'writes to' : 'reads'} what was freed, age ${age}`;
      context.fail({ oracle: USE_AFTER_FREE, cpus: [cpu, freed.cpu], text, hi, lo });
    },
  };
}
