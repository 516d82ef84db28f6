/**
 * A promise kept: once the first waiter of a lock has asked for it to be handed over, nobody takes
 * it before him. A bound of no overtakings, about a waiter who may sleep all the while: what others
 * may do before he asks, and how often, is not said (starvation.ts has bounds for locks that
 * promise one). Told at the write that takes the lock, because events come later.
 */

import { addressKey } from '../../checkers/violation.ts';
import { EventKind } from '../../cpu/operations.ts';
import type { OracleContext, StressOracle } from './oracle.ts';
import { STARVATION } from './starvation.ts';

/** Where a lock keeps its promise: offsets of words, bits of the state. */
export interface HandOffWords {
  readonly state: number;
  /** The first waiter asked. */
  readonly asked: number;
  /** A writer has it. */
  readonly taken: number;
  /** CPU + 1 of the first waiter. */
  readonly first: number;
}

export function makeHandOff(
  context: OracleContext,
  word: (hi: number, lo: number) => number,
  words: HandOffWords,
): StressOracle {
  /** Locks that somebody asked for, by the address of their state. */
  const locks = new Map<number, { hi: number; lo: number }>();

  return {
    name: STARVATION,
    event(_cpu, kind, hi, lo) {
      if (kind !== EventKind.LockAsked) return;
      locks.set(addressKey(hi & 0xffff, lo + words.state), { hi, lo });
    },
    wrote(cpu, hi, lo, _bytes, oldLo) {
      if ((oldLo & words.asked) === 0 || (oldLo & words.taken) !== 0) return;
      const lock = locks.get(addressKey(hi & 0xffff, lo));
      if (lock === undefined || (word(hi, lo) & words.taken) === 0) return;
      const first = word(lock.hi, lock.lo + words.first) - 1;
      if (first === cpu) return;
      const text = 'is robbed of a lock that was promised to it';
      context.fail({ oracle: STARVATION, cpus: [first, cpu], text, hi: lock.hi, lo: lock.lo });
    },
  };
}
