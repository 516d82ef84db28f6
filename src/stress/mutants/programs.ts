/**
 * Mutants of how locks are used: the lock is right, the order or the context of taking it is not.
 */

import { makeQueuedReadWriteLock } from '../../sync/qrwlock.ts';
import { makeQueuedSpinlock } from '../../sync/qspinlock.ts';
import type { Mutant } from '../mutant.ts';
import { DEADLOCK } from '../oracles/deadlock.ts';
import { LOCK_CLASS } from '../oracles/lock-class.ts';
import { mutatedLock } from './mutated-lock.ts';

export const PROGRAM_MUTANTS: readonly Mutant[] = [
  mutatedLock({
    id: 'M28',
    name: 'rw-upgrade',
    change: 'readers ask for the write side before they let go of the read side',
    model: 'sc',
    depth: 2,
    oracles: [DEADLOCK],
    parts: ['upgrade'],
    size: { cpus: 2, operations: 1 },
    make: () => makeQueuedReadWriteLock(),
  }),
  mutatedLock({
    id: 'M47',
    name: 'ab-ba',
    change: 'two locks are taken in both orders',
    model: 'sc',
    depth: 2,
    oracles: [LOCK_CLASS, DEADLOCK],
    parts: ['nested', 'reversed'],
    size: { cpus: 2, operations: 1 },
    make: () => makeQueuedSpinlock(),
  }),
  mutatedLock({
    id: 'M48',
    name: 'irq-unsafe',
    change: 'a handler takes a lock that programs hold with interrupts enabled',
    model: 'sc',
    depth: 2,
    oracles: [LOCK_CLASS, DEADLOCK],
    parts: ['interrupt'],
    size: { cpus: 2, operations: 1 },
    handlerLock: 0,
    make: () => makeQueuedSpinlock(),
  }),
];
