/**
 * Every lock by name: what `lock=`, `mmuLock=` and `mmapLock=` accept, what `list locks` prints and
 * what the conformance tests run. A new lock is its file and one entry here.
 */

import { UserError } from '../base/errors.ts';
import { makeBravoLock } from './bravo.ts';
import { makeClhLock } from './clh.ts';
import { asReadWriteLock } from './exclusive.ts';
import type { Lock, LockFacts, ReadWriteLock } from './lock.ts';
import { makeMcsLock } from './mcs.ts';
import { makePercpuSemaphore } from './percpu-rwsem.ts';
import { makeQueuedReadWriteLock } from './qrwlock.ts';
import { makeQueuedSpinlock } from './qspinlock.ts';
import { EXCLUSIVE_LOCKS } from './registry-exclusive.ts';
import { makeReadWriteSemaphore, sleepingRwsemSteps } from './rwsem.ts';
import { makeSequenceLock } from './seqcount.ts';
import { makeSimpleReadWriteLock } from './simple-rwlock.ts';
import { makeTestAndSetLock } from './test-and-set.ts';
import { backOffSteps, makeTestAndTestAndSetLock } from './test-and-test-and-set.ts';
import { makeTicketLock } from './ticket.ts';
import { makeUnlocked } from './unlocked.ts';

export type RegisteredLock =
  | { readonly kind: 'spinlock'; readonly facts: LockFacts; make(): Lock }
  | { readonly kind: 'read-write'; readonly facts: LockFacts; make(): ReadWriteLock };

/** Other names that kernel options use. */
const ALIASES: Readonly<Record<string, string>> = { spinlock: 'qspinlock', rwlock: 'qrwlock' };

function spinlock(
  make: () => Lock,
  description: string,
  source: string,
  fair: boolean,
  queue: boolean,
  transfers: string,
): RegisteredLock {
  const facts = { description, source, fair, queue, numaAware: false, transfers };
  return { kind: 'spinlock', facts: { ...facts, readers: 'none' }, make };
}

function readWrite(
  make: () => ReadWriteLock,
  description: string,
  source: string,
  shape: Pick<LockFacts, 'fair' | 'queue' | 'readers' | 'sleeps'>,
  transfers: string,
): RegisteredLock {
  const facts = { description, source, numaAware: false, transfers };
  return { kind: 'read-write', facts: { ...facts, ...shape }, make };
}

const SHARED: Pick<LockFacts, 'fair' | 'queue' | 'readers'> = {
  fair: true,
  queue: true,
  readers: 'shared line',
};

export const LOCKS: Readonly<Record<string, RegisteredLock>> = {
  tas: spinlock(
    () => makeTestAndSetLock(),
    'test-and-set: every waiter swaps',
    'Anderson, IEEE TPDS 1990',
    false,
    false,
    'unbounded',
  ),
  ttas: spinlock(
    () => makeTestAndTestAndSetLock(),
    'test-and-test-and-set: waiters read, then swap',
    'Anderson, IEEE TPDS 1990',
    false,
    false,
    'up to 2n',
  ),
  'ttas-backoff': spinlock(
    () => makeTestAndTestAndSetLock(backOffSteps, 'ttas-backoff'),
    'test-and-test-and-set with capped exponential back-off',
    'Anderson, IEEE TPDS 1990',
    false,
    false,
    '2 to 2n',
  ),
  ticket: spinlock(
    () => makeTicketLock(),
    'ticket lock: FIFO, all wait on one word',
    'include/asm-generic/ticket_spinlock.h',
    true,
    false,
    'up to 2n',
  ),
  mcs: spinlock(
    () => makeMcsLock(),
    'MCS queue lock: each waits on its own node',
    'Mellor-Crummey, Scott, ACM TOCS 1991',
    true,
    true,
    '5',
  ),
  clh: spinlock(
    () => makeClhLock(),
    'CLH queue lock: each waits on the node before it',
    'Craig 1993; Magnusson, Landin, Hagersten 1994',
    true,
    true,
    '4',
  ),
  qspinlock: spinlock(
    () => makeQueuedSpinlock(),
    "the kernel's spinlock: pending bit, then an MCS queue",
    'kernel/locking/qspinlock.c',
    true,
    true,
    '3; 8 with three CPUs and more',
  ),
  seqlock: spinlock(
    () => makeSequenceLock(),
    'seqlock, write side: a spinlock and a sequence that lets readers notice',
    'include/linux/seqlock.h',
    true,
    true,
    '3 to 4; 8 to 10 with three CPUs and more; one per reader that looks',
  ),
  ...EXCLUSIVE_LOCKS,
  qrwlock: readWrite(
    () => makeQueuedReadWriteLock(),
    "the kernel's rwlock: one count, a queue for whoever has to wait",
    'kernel/locking/qrwlock.c',
    SHARED,
    '2 per read, 3 to 4 per write; 10 to 18 per write with three CPUs and more',
  ),
  rwsem: readWrite(
    () => makeReadWriteSemaphore(),
    'rw_semaphore: sleeps, writers spin optimistically',
    'kernel/locking/rwsem.c',
    { ...SHARED, fair: false, sleeps: true },
    '2 per read, 6 and a wake-up per sleeper',
  ),
  'rwsem-nospin': readWrite(
    () => makeReadWriteSemaphore(sleepingRwsemSteps, 'rwsem-nospin'),
    'rw_semaphore without optimistic spinning',
    'kernel/locking/rwsem.c, CONFIG_RWSEM_SPIN_ON_OWNER=n',
    { ...SHARED, fair: false, sleeps: true },
    '2 per read, 6 and a wake-up per sleeper',
  ),
  'simple-rwlock': readWrite(
    () => makeSimpleReadWriteLock(),
    'reader-writer lock of one count word, without a queue',
    'arch/arm64/include/asm/spinlock.h up to v4.14',
    { fair: false, queue: false, readers: 'shared line' },
    '2 per read, 2 and more per write',
  ),
  'percpu-rwsem': readWrite(
    () => makePercpuSemaphore(),
    'percpu_rw_semaphore: readers count per CPU, a writer waits a grace period',
    'kernel/locking/percpu-rwsem.c',
    { fair: false, queue: true, readers: 'per CPU', sleeps: true },
    '0 per read without writers; all CPUs twice per write',
  ),
  'bravo-qrwlock': readWrite(
    () => makeBravoLock(makeQueuedReadWriteLock()),
    'BRAVO over qrwlock: readers publish in a slot of their own CPU',
    'Dice, Kogan, USENIX ATC 2019',
    { fair: false, queue: true, readers: 'per CPU' },
    '0 per biased read; all CPUs per write that ends the bias',
  ),
  none: readWrite(
    () => makeUnlocked(),
    'no lock (what-if)',
    'none',
    { fair: false, queue: false, readers: 'no writes' },
    '0',
  ),
};

export const LOCK_NAMES: readonly string[] = Object.keys(LOCKS);

function find(name: string): RegisteredLock {
  const key = ALIASES[name] ?? name;
  const entry = Object.hasOwn(LOCKS, key) ? LOCKS[key] : undefined;
  if (entry === undefined) {
    throw new UserError(`unknown lock '${name}'; locks are ${LOCK_NAMES.join(', ')}`);
  }
  return entry;
}

/** Any lock; acquire and release of a reader-writer lock are its write side. */
export function makeLock(name: string): Lock | ReadWriteLock {
  return find(name).make();
}

export function isReadWriteLock(lock: Lock): lock is ReadWriteLock {
  return 'acquireRead' in lock;
}

export function spinlockByName(name: string): Lock {
  const entry = find(name);
  if (entry.kind === 'spinlock') return entry.make();
  throw new UserError(`lock '${name}' is no spinlock; spinlocks are ${namesOf('spinlock')}`);
}

/** A spinlock's readers exclude each other. */
export function readWriteLockByName(name: string): ReadWriteLock {
  const entry = find(name);
  return entry.kind === 'read-write' ? entry.make() : asReadWriteLock(entry.make());
}

function namesOf(kind: RegisteredLock['kind']): string {
  const names = LOCK_NAMES.filter((name) => LOCKS[name]!.kind === kind);
  return names.join(', ');
}
