/**
 * The MMU-notifier sequence alone (src/sync/invalidate-sequence.ts): CPU 0 replaces the object that
 * a pointer names, between the begin and the end of an invalidation, and frees the old one; the
 * other CPUs follow the pointer without a lock and put what they found into a word of their own, as
 * a fault puts a page into stage 2. Whoever uses that word must not meet a freed object.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { EventKind, Fence, Order } from '../../cpu/operations.ts';
import { toLinear } from '../../memory/physical-address.ts';
import {
  invalidateBegin,
  invalidateEnd,
  invalidateInProgress,
  invalidateSnapshot,
} from '../../sync/invalidate-sequence.ts';
import { makeQueuedReadWriteLock } from '../../sync/qrwlock.ts';
import type { Reporter, StressImage, StressSize, StressTarget } from '../target.ts';
import { shapeOf } from './target-shape.ts';

const LINE = 64;
const ROOM_BYTES = 16384;
const INSTALLED = 'an object was put in';
const RETRIED = 'an object was looked up again';

/** `retries`: is what was looked up given up when it may be gone? */
export function invalidateSequenceTarget(
  retries: (mayBeGone: boolean) => boolean = (mayBeGone) => mayBeGone,
  name = 'invalidate-sequence',
): StressTarget {
  return {
    name,
    group: 'protocols',
    description: 'objects looked up beside their invalidation, and put in under the lock',
    smallest: { cpus: 2, operations: 1 },
    usual: { cpus: 2, operations: 2 },
    goals: [
      { name: INSTALLED, leastCpus: 2, leastOperations: 1 },
      { name: RETRIED, leastCpus: 2, leastOperations: 1 },
    ],
    ...shapeOf(2, ROOM_BYTES),
    boot(memory, { cpus, operations }) {
      const lock = memory.allocateNamed('mmu_lock', 0, LINE);
      const sequence = memory.allocateNamed('mmu_invalidate_seq', 0, LINE);
      const pointer = memory.allocateNamed('pointer', 0, LINE);
      const mappings = memory.allocateNamed('mappings', 0, cpus * LINE);
      const objects = memory.allocateNamed('objects', 0, (operations + 1) * LINE);
      makeQueuedReadWriteLock().init?.(memory, lock);
      const first = toLinear(objects);
      memory.write64(pointer, 0, first.hi, first.lo);
      const all = { lock, sequence, pointer, mappings, objects };
      const addresses = Object.fromEntries(
        Object.entries(all).map(([word, at]) => [word, toLinear(at)]),
      );
      return { addresses, numbers: {} };
    },
    program(cpu, image, size, report) {
      if (cpu.id >= size.cpus) return null;
      return cpu.id === 0 ? replace(cpu, image, size) : use(cpu, image, size, retries, report);
    },
    finish() {},
  };
}

type Addresses = Readonly<
  Record<
    'lock' | 'sequence' | 'pointer' | 'mappings' | 'objects',
    { readonly hi: number; readonly lo: number }
  >
>;

function* replace(cpu: Cpu, image: StressImage, size: StressSize): Program {
  const { lock, sequence, pointer, mappings, objects } = image.addresses as Addresses;
  const mmuLock = makeQueuedReadWriteLock();
  for (let round = 1; round <= size.operations; round++) {
    yield* mmuLock.acquire(cpu, lock.hi, lock.lo);
    yield* invalidateBegin(cpu, sequence.hi, sequence.lo);
    for (let other = 1; other < size.cpus; other++) {
      while (!cpu.store64(mappings.hi, mappings.lo + other * LINE, 0, 0, Order.Relaxed)) yield;
    }
    yield* mmuLock.release(cpu, lock.hi, lock.lo);
    const fresh = objects.lo + round * LINE;
    while (!cpu.store64(pointer.hi, pointer.lo, objects.hi, fresh, Order.Release)) yield;
    yield* mmuLock.acquire(cpu, lock.hi, lock.lo);
    yield* invalidateEnd(cpu, sequence.hi, sequence.lo);
    yield* mmuLock.release(cpu, lock.hi, lock.lo);
    cpu.event(EventKind.ObjectFreed, objects.hi, fresh - LINE);
    cpu.mark();
  }
}

function* use(
  cpu: Cpu,
  image: StressImage,
  size: StressSize,
  retries: (mayBeGone: boolean) => boolean,
  report: Reporter,
): Program {
  const { lock, mappings } = image.addresses as Addresses;
  const mmuLock = makeQueuedReadWriteLock();
  const own = mappings.lo + cpu.id * LINE;
  for (let round = 0; round < size.operations; round++) {
    for (;;) {
      yield* lookUp(cpu, image, own, retries);
      if (cpu.ret === 1) break;
      report.reach(RETRIED);
    }
    report.reach(INSTALLED);
    yield* mmuLock.acquireRead(cpu, lock.hi, lock.lo);
    while (!cpu.load64(mappings.hi, own, Order.Relaxed)) yield;
    const { hi, lo } = cpu;
    if (lo !== 0) while (!cpu.load32(hi, lo, Order.Relaxed)) yield;
    yield* mmuLock.releaseRead(cpu, lock.hi, lock.lo);
    cpu.mark();
  }
}

/** As user_mem_abort does. Result in cpu.ret: 1 = the object is in. */
function* lookUp(
  cpu: Cpu,
  image: StressImage,
  own: number,
  retries: (mayBeGone: boolean) => boolean,
): Program {
  const { lock, sequence, pointer, mappings } = image.addresses as Addresses;
  const mmuLock = makeQueuedReadWriteLock();
  while (!invalidateSnapshot(cpu, sequence.hi, sequence.lo)) yield;
  const seen = cpu.lo;
  while (!cpu.fence(Fence.DmbIshLd)) yield;
  while (!cpu.load64(pointer.hi, pointer.lo, Order.Acquire)) yield;
  const { hi, lo } = cpu;
  yield* mmuLock.acquireRead(cpu, lock.hi, lock.lo);
  while (!invalidateInProgress(cpu, sequence.hi, sequence.lo)) yield;
  let mayBeGone = cpu.lo !== 0;
  if (!mayBeGone) {
    while (!cpu.fence(Fence.DmbIshLd)) yield;
    while (!invalidateSnapshot(cpu, sequence.hi, sequence.lo)) yield;
    mayBeGone = cpu.lo !== seen;
  }
  const mustRetry = retries(mayBeGone);
  if (!mustRetry) while (!cpu.store64(mappings.hi, own, hi, lo, Order.Relaxed)) yield;
  yield* mmuLock.releaseRead(cpu, lock.hi, lock.lo);
  cpu.ret = mustRetry ? 0 : 1;
}
