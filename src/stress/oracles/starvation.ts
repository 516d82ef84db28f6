/**
 * A bound on how often a waiter is overtaken: after a CPU is seen to be blocked for a lock,
 * requests that are made later may be served before it so many times and no more.
 *
 * Only a CPU that is blocked counts as waiting: one that the scheduler merely holds back before it
 * has joined the queue can be overtaken by anybody, and no lock can help it. Nor can one that waits
 * behind a CPU held back on its way in or out: in hierarchical locks a follower is in the queue of
 * nodes only when its leader is, and gets the word after the leader has let that queue go. So a
 * request made while somebody is on the way overtakes nobody. Needs LockAsked events.
 */

import { addressKey } from '../../checkers/violation.ts';
import { EventKind } from '../../cpu/operations.ts';
import type { OracleContext, OracleFacts, StressOracle } from './oracle.ts';

export const STARVATION = 'starvation';

export const STARVATION_FACTS: OracleFacts = {
  name: STARVATION,
  description: 'a waiter that is blocked is overtaken as often as its lock allows, and no more',
  engines: ['explore'],
};

interface Request {
  readonly cpu: number;
  readonly key: number;
  /** CPUs that were blocked for the lock when this request was made. */
  readonly ahead: readonly Request[];
  bypasses: number;
}

/** `bound`: overtakings per acquisition that the lock allows. */
export function makeStarvation(context: OracleContext, bound: number): StressOracle {
  const waiting = new Map<number, Request>();
  /** By CPU: the lock that it let go last; it may not have left it yet. */
  const leaving = new Map<number, number>();

  /** On its way in or out, or a store of its own still is (the word to its successor). */
  const isHeldBack = (cpu: number): boolean =>
    !(context.isStill === undefined ? context.isBlocked(cpu) : context.isStill(cpu));

  const somebodyIsOnTheWay = (key: number): boolean => {
    for (const request of waiting.values()) {
      if (request.key === key && isHeldBack(request.cpu)) return true;
    }
    for (const [cpu, left] of leaving) {
      if (left === key && isHeldBack(cpu)) return true;
    }
    return false;
  };

  return {
    name: STARVATION,
    event(cpu, kind, hi, lo) {
      const key = addressKey(hi, lo);
      if (kind === EventKind.LockAsked) {
        leaving.delete(cpu);
        const ahead = somebodyIsOnTheWay(key)
          ? []
          : [...waiting.values()].filter((request) => request.key === key);
        waiting.set(cpu, { cpu, key, ahead, bypasses: 0 });
      } else if (kind === EventKind.LockReleased || kind === EventKind.ReadLockReleased) {
        leaving.set(cpu, key);
      } else if (kind === EventKind.LockAcquired || kind === EventKind.ReadLockAcquired) {
        leaving.delete(cpu);
        const own = waiting.get(cpu);
        if (own === undefined || own.key !== key) return;
        waiting.delete(cpu);
        for (const request of own.ahead) {
          if (waiting.get(request.cpu) !== request || ++request.bypasses <= bound) continue;
          const text = `is overtaken ${request.bypasses} times while it waits`;
          context.fail({ oracle: STARVATION, cpus: [request.cpu, cpu], text, hi, lo });
        }
      }
    },
  };
}
