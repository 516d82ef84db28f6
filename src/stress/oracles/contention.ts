/**
 * Not an oracle of mistakes but of reach: was the lock contended, did two wait at once? A pass in
 * which nobody ever waited says nothing.
 */

import { addressKey } from '../../checkers/violation.ts';
import { EventKind } from '../../cpu/operations.ts';
import type { OracleContext, StressOracle } from './oracle.ts';

/** Goals of every lock target. */
export const CONTENDED = 'contended';
export const TWO_WAITERS = 'two waiters';

interface Demand {
  holders: number;
  waiters: number;
}

export function makeContention(context: OracleContext): StressOracle {
  const locks = new Map<number, Demand>();
  /** By CPU: locks that it has asked for and not got, innermost last (handlers ask too). */
  const asked: number[][] = Array.from({ length: context.cpuCount }, () => []);

  const at = (key: number): Demand => {
    let lock = locks.get(key);
    if (lock === undefined) locks.set(key, (lock = { holders: 0, waiters: 0 }));
    return lock;
  };

  return {
    name: CONTENDED,
    event(cpu, kind, hi, lo) {
      if (kind > EventKind.ReadLockReleased && kind !== EventKind.LockAsked) return;
      const key = addressKey(hi, lo);
      const lock = at(key);
      if (kind === EventKind.LockAsked) {
        lock.waiters++;
        asked[cpu]!.push(key);
        if (lock.holders === 0) return;
        context.reach(CONTENDED);
        if (lock.waiters > 1) context.reach(TWO_WAITERS);
      } else if (kind === EventKind.LockAcquired || kind === EventKind.ReadLockAcquired) {
        const own = asked[cpu]!.lastIndexOf(key);
        if (own >= 0) {
          asked[cpu]!.splice(own, 1);
          lock.waiters--;
        }
        lock.holders++;
        // They asked while it was free, and others wait now all the same.
        if (lock.waiters > 0) context.reach(CONTENDED);
        if (lock.waiters > 1) context.reach(TWO_WAITERS);
      } else {
        lock.holders--;
      }
    },
  };
}
