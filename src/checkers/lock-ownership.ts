/**
 * Mutual exclusion of every lock by its address (invariant I2: exactly one software owner): a lock
 * has one writer or readers, is released by the CPU that holds it, and by nobody twice. What a CPU
 * still holds when all programs have ended is a violation too.
 *
 * Locks report an acquisition after the access that makes it true and a release before
 * (lock-events.ts), so in emulated time a hand-over never looks like two owners. Sleeping locks
 * belong to the CPU, as no task moves between CPUs; up_read by another than the reader is not
 * modelled.
 */

import { EventKind } from '../cpu/operations.ts';
import type { Occurrence, Oracle, ReplayInput } from './oracle.ts';
import { addressKey, Findings, Rule, Space } from './violation.ts';

interface LockState {
  readonly hi: number;
  readonly lo: number;
  writer: number;
  /** When the writer, or the last reader, came. */
  sincePs: number;
  /** Holds by CPU. */
  readonly readers: Map<number, number>;
}

export class LockOwnership implements Oracle {
  readonly rule = Rule.Locks;
  readonly findings = new Findings();
  readonly #locks = new Map<number, LockState>();
  readonly #finished: boolean;
  #acquisitions = 0;
  #endPs = 0;

  constructor(input: ReplayInput) {
    this.#finished = input.finished && input.untilPs === Number.POSITIVE_INFINITY;
  }

  event(o: Occurrence): void {
    this.#endPs = o.timePs;
    switch (o.kind) {
      case EventKind.LockAcquired:
        this.#acquired(o);
        break;
      case EventKind.LockReleased:
        this.#released(o);
        break;
      case EventKind.ReadLockAcquired:
        this.#readAcquired(o);
        break;
      case EventKind.ReadLockReleased:
        this.#readReleased(o);
        break;
      default:
    }
  }

  #acquired(o: Occurrence): void {
    const lock = this.#lockAt(o);
    if (lock.writer >= 0) {
      this.#violated(o, [lock.writer], 'acquires a lock that another holder has');
    } else if (lock.readers.size > 0) {
      this.#violated(o, [...lock.readers.keys()], 'acquires a lock that readers hold');
    }
    lock.writer = o.cpu;
    lock.sincePs = o.timePs;
    this.#acquisitions++;
  }

  #released(o: Occurrence): void {
    const lock = this.#lockAt(o);
    if (lock.writer < 0) {
      this.#violated(o, [], 'releases a lock that nobody holds');
    } else if (lock.writer !== o.cpu) {
      this.#violated(o, [lock.writer], 'releases a lock that another CPU holds');
    }
    lock.writer = -1;
  }

  #readAcquired(o: Occurrence): void {
    const lock = this.#lockAt(o);
    if (lock.writer >= 0) {
      this.#violated(o, [lock.writer], 'acquires a lock for reading that a writer holds');
    }
    lock.readers.set(o.cpu, (lock.readers.get(o.cpu) ?? 0) + 1);
    lock.sincePs = o.timePs;
    this.#acquisitions++;
  }

  #readReleased(o: Occurrence): void {
    const lock = this.#lockAt(o);
    const holds = lock.readers.get(o.cpu) ?? 0;
    if (holds === 0) {
      this.#violated(o, [...lock.readers.keys()], 'releases a read lock that it does not hold');
    } else if (holds === 1) {
      lock.readers.delete(o.cpu);
    } else {
      lock.readers.set(o.cpu, holds - 1);
    }
  }

  finish(): void {
    if (!this.#finished) return;
    for (const lock of this.#locks.values()) {
      const holders = lock.writer >= 0 ? [lock.writer] : [...lock.readers.keys()];
      if (holders.length === 0) continue;
      const text = `has ended and still holds a lock, taken at ${lock.sincePs / 1000} ns`;
      this.findings.add({
        rule: this.rule,
        timePs: this.#endPs,
        cpus: holders,
        text,
        space: Space.Virtual,
        hi: lock.hi,
        lo: lock.lo,
      });
    }
  }

  summary(): string {
    return `${this.#acquisitions} acquisitions of ${this.#locks.size} locks excluded each other`;
  }

  #lockAt(o: Occurrence): LockState {
    const key = addressKey(o.hi, o.lo);
    let lock = this.#locks.get(key);
    if (lock === undefined) {
      lock = { hi: o.hi, lo: o.lo, writer: -1, sincePs: 0, readers: new Map() };
      this.#locks.set(key, lock);
    }
    return lock;
  }

  #violated(o: Occurrence, others: readonly number[], text: string): void {
    const cpus = [o.cpu, ...others];
    const { timePs, hi, lo } = o;
    this.findings.add({ rule: this.rule, timePs, cpus, text, space: Space.Virtual, hi, lo });
  }
}
