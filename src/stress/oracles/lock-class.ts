/**
 * Lock order and interrupt-safety, as lockdep sees them (kernel/locking/lockdep.c): a circle in
 * "taken inside", and a lock that handlers take and programs hold with interrupts enabled. Both
 * need no run that deadlocks. A class is a lock's address: targets have few locks.
 *
 * An acquisition that only tries waits for nobody and adds no order; two readers of one lock do
 * not wait for each other, but a writer between them makes that a circle, so readers count.
 */

import { addressKey } from '../../checkers/violation.ts';
import { EventKind } from '../../cpu/operations.ts';
import type { OracleContext, OracleFacts, StressOracle } from './oracle.ts';

export const LOCK_CLASS = 'lock-class';

export const LOCK_CLASS_FACTS: OracleFacts = {
  name: LOCK_CLASS,
  description: 'locks are taken in one order; those of handlers are held with interrupts off',
  engines: ['explore', 'host', 'virtual'],
};

interface LockClass {
  /** Classes that were taken while this one was held. */
  readonly inside: Set<number>;
  inHandler: boolean;
  withInterrupts: boolean;
}

export function makeLockClass(context: OracleContext): StressOracle {
  const classes = new Map<number, LockClass>();
  const held: number[][] = Array.from({ length: context.cpuCount }, () => []);
  const handlers = new Int32Array(context.cpuCount);
  const tried = new Uint8Array(context.cpuCount);

  const classOf = (key: number): LockClass => {
    let found = classes.get(key);
    if (found === undefined) {
      found = { inside: new Set(), inHandler: false, withInterrupts: false };
      classes.set(key, found);
    }
    return found;
  };

  const acquired = (cpu: number, hi: number, lo: number): void => {
    const key = addressKey(hi, lo);
    const own = classOf(key);
    const outer = held[cpu]!;
    if (tried[cpu] === 0) {
      for (const other of outer) {
        const { inside } = classOf(other);
        if (other === key || inside.has(key)) continue;
        if (reaches(classes, key, other, new Set())) {
          const text = 'takes two locks in the opposite order of an earlier time';
          context.fail({ oracle: LOCK_CLASS, cpus: [cpu], text, hi, lo });
        }
        inside.add(key);
      }
    }
    tried[cpu] = 0;
    outer.push(key);
    if (handlers[cpu]! > 0) own.inHandler = true;
    else if (context.interrupts(cpu)) own.withInterrupts = true;
    if (own.inHandler && own.withInterrupts) {
      const text = 'takes a lock in a handler that is also held with interrupts enabled';
      context.fail({ oracle: LOCK_CLASS, cpus: [cpu], text, hi, lo });
    }
  };

  return {
    name: LOCK_CLASS,
    event(cpu, kind, hi, lo) {
      switch (kind) {
        case EventKind.LockAcquired:
        case EventKind.ReadLockAcquired:
          acquired(cpu, hi, lo);
          break;
        case EventKind.LockReleased:
        case EventKind.ReadLockReleased: {
          const at = held[cpu]!.lastIndexOf(addressKey(hi, lo));
          if (at >= 0) held[cpu]!.splice(at, 1);
          break;
        }
        case EventKind.LockTried:
          tried[cpu] = 1;
          break;
        case EventKind.InterruptEntered:
          handlers[cpu]!++;
          break;
        case EventKind.InterruptLeft:
          handlers[cpu]!--;
          break;
        default:
      }
    },
  };
}

/** Is `to` taken inside `from`, directly or by others in between? */
function reaches(
  classes: ReadonlyMap<number, LockClass>,
  from: number,
  to: number,
  seen: Set<number>,
): boolean {
  if (from === to) return true;
  if (seen.has(from)) return false;
  seen.add(from);
  for (const next of classes.get(from)?.inside ?? []) {
    if (reaches(classes, next, to, seen)) return true;
  }
  return false;
}
