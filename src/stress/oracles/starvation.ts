/**
 * A bound on how often a waiter is overtaken: after a CPU is seen to be blocked for a lock,
 * requests that are made later may be served before it so many times and no more.
 *
 * Only a CPU that is blocked counts as waiting: one that the scheduler merely holds back before it
 * has joined the queue can be overtaken by anybody, and no lock can help it. Needs LockAsked
 * events.
 */

import { addressKey } from '../../checkers/violation.ts';
import { EventKind } from '../../cpu/operations.ts';
import type { OracleContext, StressOracle } from './oracle.ts';

export const STARVATION = 'starvation';

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

  return {
    name: STARVATION,
    event(cpu, kind, hi, lo) {
      const key = addressKey(hi, lo);
      if (kind === EventKind.LockAsked) {
        const ahead = [...waiting.values()].filter(
          (request) => request.key === key && context.isBlocked(request.cpu),
        );
        waiting.set(cpu, { cpu, key, ahead, bypasses: 0 });
      } else if (kind === EventKind.LockAcquired || kind === EventKind.ReadLockAcquired) {
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
