/**
 * Mutual exclusion by the events that every lock reports (src/sync/lock-events.ts): one writer or
 * readers, released by its holder, once. src/checkers/lock-ownership.ts holds the same rule over
 * the logs of a timed run; here it speaks at the step that breaks it.
 */

import { addressKey } from '../../checkers/violation.ts';
import { EventKind } from '../../cpu/operations.ts';
import type { OracleContext, OracleFacts, StressOracle } from './oracle.ts';

export const EXCLUSION = 'exclusion';

export const EXCLUSION_FACTS: OracleFacts = {
  name: EXCLUSION,
  description: 'a lock has one writer, or readers, and is released by who holds it',
  engines: ['explore', 'host', 'virtual'],
};

const NOBODY = -1;

interface Holders {
  writer: number;
  /** One entry per hold. */
  readonly readers: number[];
}

export function makeExclusion(context: OracleContext): StressOracle {
  const locks = new Map<number, Holders>();

  const at = (hi: number, lo: number): Holders => {
    const key = addressKey(hi, lo);
    let lock = locks.get(key);
    if (lock === undefined) locks.set(key, (lock = { writer: NOBODY, readers: [] }));
    return lock;
  };

  const fail = (cpus: readonly number[], text: string, hi: number, lo: number): void =>
    context.fail({ oracle: EXCLUSION, cpus, text, hi, lo });

  return {
    name: EXCLUSION,
    event(cpu, kind, hi, lo) {
      if (kind > EventKind.ReadLockReleased) return;
      const lock = at(hi, lo);
      const { writer, readers } = lock;
      if (kind === EventKind.LockAcquired) {
        if (writer !== NOBODY) fail([cpu, writer], 'acquires a lock that another holds', hi, lo);
        else if (readers.length > 0) {
          fail([cpu, ...readers], 'acquires a lock that readers hold', hi, lo);
        }
        lock.writer = cpu;
      } else if (kind === EventKind.LockReleased) {
        if (writer !== cpu) fail([cpu], 'releases a lock that it does not hold', hi, lo);
        lock.writer = NOBODY;
      } else if (kind === EventKind.ReadLockAcquired) {
        if (writer !== NOBODY) fail([cpu, writer], 'reads under a lock of a writer', hi, lo);
        readers.push(cpu);
      } else {
        const held = readers.indexOf(cpu);
        if (held < 0) fail([cpu], 'releases a read lock that it does not hold', hi, lo);
        else readers.splice(held, 1);
      }
    },
  };
}
