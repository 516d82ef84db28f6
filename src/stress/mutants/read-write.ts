/**
 * Mutants of the reader-writer locks: qrwlock, BRAVO, rw_semaphore.
 */

import type { Cpu } from '../../cpu/cpu.ts';
import { Condition, Fence, Order } from '../../cpu/operations.ts';
import { type BravoSteps, bravoSteps, makeBravoLock } from '../../sync/bravo.ts';
import type { Lock } from '../../sync/lock.ts';
import { LockNode, nodeLo } from '../../sync/lock-nodes.ts';
import { makePercpuSemaphore, percpuSemaphoreSteps } from '../../sync/percpu-rwsem.ts';
import { makeQueuedReadWriteLock, queuedReadWriteSteps } from '../../sync/qrwlock.ts';
import { makeReadWriteSemaphore, rwsemSteps } from '../../sync/rwsem.ts';
import {
  HANDOFF,
  LOCK_MASK,
  Waiter,
  WRITER_LOCKED,
  waiterHi,
  waiterLo,
} from '../../sync/rwsem-layout.ts';
import { spinForWrite } from '../../sync/rwsem-spin.ts';
import type { Mutant } from '../mutant.ts';
import { EXCLUSION } from '../oracles/exclusion.ts';
import { LOST_UPDATE } from '../oracles/lost-update.ts';
import { STARVATION } from '../oracles/starvation.ts';
import { TORN_READ } from '../oracles/torn-read.ts';
import { RWSEM_HAND_OFF } from '../targets/lock-promises.ts';
import { mutatedLock } from './mutated-lock.ts';

const READER = 1 << 9;
const INNER = 64;

/** BRAVO over qrwlock, biased from boot on: the first reads publish themselves. */
function biased(steps: Partial<BravoSteps>): Lock {
  return {
    ...makeBravoLock(makeQueuedReadWriteLock(), { ...bravoSteps, ...steps }),
    init: (boot, physical) => boot.write32(physical, 0, 1),
  };
}

/** One writes, one reads. */
const PAIR = { size: { cpus: 2, operations: 1 } } as const;

/** Writers that sleep, spin and read; the promise of a hand-over is watched. */
const RWSEM = {
  parts: ['write', 'read'],
  size: { cpus: 4, operations: 3 },
  handOff: RWSEM_HAND_OFF,
} as const;

const NOT_ALONE = [EXCLUSION, TORN_READ, LOST_UPDATE];

/** The right lock under the oracle that tells M34. */
export const READ_WRITE_CONTROLS: readonly Mutant[] = [
  mutatedLock({
    id: 'C09',
    name: 'rwsem-handoff-kept',
    change: 'nothing: a spinner leaves the lock to a first waiter who asked for it',
    model: 'sc',
    oracles: [],
    ...RWSEM,
    make: () => makeReadWriteSemaphore(),
  }),
];

export const READ_WRITE_MUTANTS: readonly Mutant[] = [
  mutatedLock({
    id: 'M26',
    name: 'rw-reader-slip',
    change: 'a reader looks for a writer first and counts itself in afterwards',
    model: 'sc',
    depth: 2,
    oracles: NOT_ALONE,
    make: () => {
      /** By CPU: the count that a reader saw before it entered. */
      const seen = new Map<number, number>();
      return makeQueuedReadWriteLock({
        ...queuedReadWriteSteps,
        enterReader(cpu, hi, lo) {
          if (!seen.has(cpu.id)) {
            if (!cpu.load32(hi, lo, Order.Acquire)) return false;
            seen.set(cpu.id, cpu.lo);
          }
          if (!cpu.add32(hi, lo, READER, Order.Relaxed)) return false;
          cpu.lo = seen.get(cpu.id)!;
          seen.delete(cpu.id);
          return true;
        },
      });
    },
  }),
  mutatedLock({
    id: 'M30',
    name: 'bravo-no-recheck',
    change: 'a reader does not look at the bias again after it has published itself',
    model: 'sc',
    depth: 2,
    oracles: NOT_ALONE,
    ...PAIR,
    make: () =>
      biased({
        *publish(cpu, hi, lo) {
          const at = nodeLo(cpu, cpu.id, LockNode.VisibleReaders);
          const order = Order.SequentiallyConsistent;
          while (!cpu.swap64(cpu.perCpuHi(cpu.id), at, hi, lo + INNER, order)) yield;
          cpu.ret = 0;
        },
      }),
  }),
  mutatedLock({
    id: 'M31',
    name: 'bravo-nofence',
    change: 'a reader publishes itself by a plain store, with no barrier before the second look',
    model: 'tso',
    depth: 2,
    oracles: NOT_ALONE,
    ...PAIR,
    make: () => biased({ publish: publishUnfenced }),
  }),
  mutatedLock({
    id: 'M32',
    name: 'bravo-collision',
    change: 'a slot that is taken is overwritten',
    model: 'sc',
    depth: 3,
    oracles: NOT_ALONE,
    parts: ['nested read', 'write'],
    size: { cpus: 2, operations: 3 },
    make: () =>
      biased({
        *publish(cpu, hi, lo) {
          const at = nodeLo(cpu, cpu.id, LockNode.VisibleReaders);
          const own = cpu.perCpuHi(cpu.id);
          const order = Order.SequentiallyConsistent;
          while (!cpu.swap64(own, at, hi, lo + INNER, order)) yield;
          while (!cpu.load32(hi, lo, Order.Acquire)) yield;
          cpu.ret = 0;
          if (cpu.lo !== 0) return;
          while (!cpu.swap64(own, at, 0, 0, Order.Release)) yield;
          cpu.ret = -1;
        },
      }),
  }),
  mutatedLock({
    id: 'M27',
    name: 'rw-writer-starve',
    change: 'readers do not queue behind a writer that waits',
    model: 'sc',
    oracles: [STARVATION],
    parts: ['read', 'read', 'read', 'read', 'read', 'read', 'read', 'write'],
    size: { cpus: 3, operations: 6 },
    bypasses: 4,
    make: () =>
      makeQueuedReadWriteLock({
        ...queuedReadWriteSteps,
        *waitReader(cpu, hi, lo) {
          while (!cpu.cond32(hi, lo, Condition.Equal, 0xff, 0, Order.Acquire)) yield;
        },
      }),
  }),
  mutatedLock({
    id: 'M29',
    name: 'percpu-rwsem-no-gp',
    change: 'the writer does not wait for readers that have not seen it',
    model: 'sc',
    depth: 2,
    oracles: NOT_ALONE,
    ...PAIR,
    make: () =>
      makePercpuSemaphore({
        ...percpuSemaphoreSteps,
        *waitGracePeriod(cpu) {
          while (!cpu.fence(Fence.DmbIsh)) yield;
        },
      }),
  }),
  mutatedLock({
    id: 'M34',
    name: 'rwsem-handoff-lost',
    change: 'a spinner steals the lock and clears the bit by which the first waiter asked for it',
    model: 'sc',
    depth: 3,
    oracles: [STARVATION],
    ...RWSEM,
    make: () =>
      makeReadWriteSemaphore({
        ...rwsemSteps,
        spin: (cpu, hi, lo) =>
          spinForWrite(cpu, hi, lo, (count) =>
            (count & LOCK_MASK) === 0 ? (count | WRITER_LOCKED) & ~HANDOFF : 0,
          ),
      }),
  }),
  mutatedLock({
    id: 'M33',
    name: 'rwsem-no-acquire',
    change: 'a woken reader reads that it was granted the lock by a relaxed load',
    model: 'needs armv8',
    oracles: [],
    make: () =>
      makeReadWriteSemaphore({
        ...rwsemSteps,
        *sleepReader(cpu) {
          const waiting = waiterLo(cpu, cpu.id) + Waiter.Waiting;
          for (;;) {
            while (!cpu.load32(waiterHi(cpu, cpu.id), waiting, Order.Relaxed)) yield;
            if (cpu.lo === 0) return;
            while (!cpu.idle()) yield;
          }
        },
      }),
  }),
];

function* publishUnfenced(cpu: Cpu, hi: number, lo: number) {
  const at = nodeLo(cpu, cpu.id, LockNode.VisibleReaders);
  const own = cpu.perCpuHi(cpu.id);
  while (!cpu.store64(own, at, hi, lo + INNER, Order.Relaxed)) yield;
  while (!cpu.load32(hi, lo, Order.Acquire)) yield;
  cpu.ret = 0;
  if (cpu.lo !== 0) return;
  while (!cpu.store64(own, at, 0, 0, Order.Release)) yield;
  cpu.ret = -1;
}
