/**
 * Mutants of the kernel's queued spinlock.
 */

import { Order } from '../../cpu/operations.ts';
import { makeQueuedSpinlock, type QueuedSteps, queuedSteps } from '../../sync/qspinlock.ts';
import type { Mutant } from '../mutant.ts';
import { DEADLOCK } from '../oracles/deadlock.ts';
import { EXCLUSION } from '../oracles/exclusion.ts';
import { LOST_UPDATE } from '../oracles/lost-update.ts';
import { qspinlockNestedTarget } from '../targets/interrupt-nesting-target.ts';
import { type MutatedLock, mutatedLock } from './mutated-lock.ts';

const LOCKED = 1;
const PENDING = 1 << 8;

/** A handler waits for a lock while its program waits for another. */
const NESTED = { parts: ['interrupt'], size: { cpus: 4, operations: 3 } } as const;

/** Three CPUs: one owns, one is pending, one queues. */
function mutated(mutant: Omit<MutatedLock, 'make'>, steps: Partial<QueuedSteps>): Mutant {
  const make = () => makeQueuedSpinlock({ ...queuedSteps, ...steps });
  return mutatedLock({ size: { cpus: 3, operations: 1 }, parts: ['write'], ...mutant, make });
}

export const QSPINLOCK_MUTANTS: readonly Mutant[] = [
  mutated(
    {
      id: 'M16',
      name: 'qspin-pending-noundo',
      change: 'pending that was set in vain is not taken back',
      model: 'sc',
      depth: 2,
      oracles: [DEADLOCK],
      size: { cpus: 4, operations: 1 },
    },
    {
      *undoPending(cpu, hi, lo) {
        while (!cpu.load32(hi, lo, Order.Relaxed)) yield;
      },
    },
  ),
  mutated(
    {
      id: 'M17',
      name: 'qspin-pending-steal',
      change: 'pending becomes locked without waiting for the owner',
      model: 'sc',
      depth: 2,
      oracles: [EXCLUSION, LOST_UPDATE],
    },
    {
      *waitPending(cpu, hi, lo) {
        while (!cpu.store16(hi, lo, LOCKED, Order.Relaxed)) yield;
      },
    },
  ),
  mutated(
    {
      id: 'M18',
      name: 'qspin-tail-cas',
      change: 'the last in the queue stores the whole word, and a new tail with it',
      model: 'sc',
      depth: 2,
      oracles: [DEADLOCK],
      size: { cpus: 4, operations: 1 },
    },
    {
      *lockAndEmpty(cpu, hi, lo) {
        while (!cpu.store32(hi, lo, LOCKED, Order.Relaxed)) yield;
        cpu.ok = true;
      },
    },
  ),
  {
    id: 'M19',
    name: 'qspin-idx-overflow',
    change: 'the fifth nesting level wraps to the first of four nodes',
    model: 'sc',
    // Five levels have to be contended, before the two of the mistake itself.
    depth: 7,
    oracles: [EXCLUSION, DEADLOCK, LOST_UPDATE],
    make: () =>
      qspinlockNestedTarget(
        { ...queuedSteps, nodeIndex: (depth) => depth % 4 },
        'M19 qspin-idx-overflow',
      ),
  },
  mutated(
    {
      id: 'M20',
      name: 'qspin-set-locked-word',
      change: 'the locked byte is set by a store of the word',
      model: 'sc',
      depth: 2,
      oracles: [DEADLOCK],
      size: { cpus: 4, operations: 1 },
    },
    {
      *setLocked(cpu, hi, lo) {
        while (!cpu.store32(hi, lo, LOCKED, Order.Relaxed)) yield;
      },
    },
  ),
  mutated(
    {
      id: 'M21',
      name: 'qspin-pending-relaxed',
      change: 'pending is set by a relaxed fetch-and-or',
      model: 'lkmm only',
      oracles: [],
    },
    {
      *setPending(cpu, hi, lo) {
        while (!cpu.set32(hi, lo, PENDING, Order.Relaxed)) yield;
      },
    },
  ),
];

export const QSPINLOCK_CONTROLS: readonly Mutant[] = [
  mutated(
    {
      id: 'C08',
      name: 'qspin-one-node',
      change: 'one node per CPU; the nesting level beyond it spins without',
      model: 'sc',
      oracles: [],
      ...NESTED,
    },
    { nodeIndex: (depth) => (depth === 0 ? 0 : -1) },
  ),
];
