/**
 * Per-VMA locks under stress (src/sync/per-vma-lock.ts): CPU 0 changes both bounds of a VMA with
 * mmap_lock held and the VMA marked as written; the other CPUs read the bounds under the VMA's own
 * lock, or under mmap_lock where that is refused. Bounds that don't belong together are torn.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Order } from '../../cpu/operations.ts';
import { toLinear } from '../../memory/physical-address.ts';
import {
  initVmaLock,
  MM_LOCK_SEQUENCE_BYTES,
  VMA_LOCK_BYTES,
  vmaEndRead,
  vmaEndWriteAll,
  vmaStartRead,
  vmaStartWrite,
} from '../../sync/per-vma-lock.ts';
import { makeReadWriteSemaphore } from '../../sync/rwsem.ts';
import { checkEqual } from '../oracles/torn-read.ts';
import type { Reporter, StressImage, StressSize, StressTarget } from '../target.ts';
import { shapeOf } from './target-shape.ts';

const ROOM_BYTES = 16384;
const OWN_LOCK = "a fault took the VMA's own lock";
const MMAP_LOCK = 'a fault took mmap_lock instead';

/** How a fault locks a VMA, and a writer. */
export interface VmaLocking {
  readonly startRead: typeof vmaStartRead;
  readonly startWrite: typeof vmaStartWrite;
}

export function perVmaLockTarget(
  locking: Partial<VmaLocking> = {},
  name = 'per-vma-lock',
): StressTarget {
  const all = { startRead: vmaStartRead, startWrite: vmaStartWrite, ...locking };
  return {
    name,
    group: 'protocols',
    description: 'bounds of a VMA, read under its own lock while mmap_lock holders change them',
    smallest: { cpus: 2, operations: 1 },
    usual: { cpus: 2, operations: 2 },
    goals: [
      { name: OWN_LOCK, leastCpus: 2, leastOperations: 1 },
      { name: MMAP_LOCK, leastCpus: 2, leastOperations: 1 },
    ],
    ...shapeOf(2, ROOM_BYTES),
    boot(memory) {
      const semaphore = makeReadWriteSemaphore();
      const mmapLock = memory.allocateNamed('mm->mmap_lock', 0, semaphore.bytes);
      const sequence = memory.allocateNamed('mm->mm_lock_seq', 0, MM_LOCK_SEQUENCE_BYTES);
      const lock = memory.allocateNamed('vma->vm_lock', 0, VMA_LOCK_BYTES);
      const bounds = memory.allocateNamed('vma', 0, 64);
      semaphore.init?.(memory, mmapLock);
      initVmaLock(memory, lock);
      const addresses = {
        mmapLock: toLinear(mmapLock),
        sequence: toLinear(sequence),
        lock: toLinear(lock),
        bounds: toLinear(bounds),
      };
      return { addresses, numbers: {} };
    },
    program(cpu, image, size, report) {
      if (cpu.id >= size.cpus) return null;
      return cpu.id === 0 ? change(cpu, image, size, all) : fault(cpu, image, size, all, report);
    },
    finish() {},
  };
}

type Addresses = Readonly<
  Record<'mmapLock' | 'sequence' | 'lock' | 'bounds', { readonly hi: number; readonly lo: number }>
>;

function* change(cpu: Cpu, image: StressImage, size: StressSize, locking: VmaLocking): Program {
  const { mmapLock, sequence, lock, bounds } = image.addresses as Addresses;
  const semaphore = makeReadWriteSemaphore();
  for (let round = 1; round <= size.operations; round++) {
    yield* semaphore.acquire(cpu, mmapLock.hi, mmapLock.lo);
    yield* locking.startWrite(cpu, lock, sequence);
    while (!cpu.store32(bounds.hi, bounds.lo, round, Order.Relaxed)) yield;
    while (!cpu.store32(bounds.hi, bounds.lo + 8, round, Order.Relaxed)) yield;
    yield* vmaEndWriteAll(cpu, sequence);
    yield* semaphore.release(cpu, mmapLock.hi, mmapLock.lo);
    cpu.mark();
  }
}

function* fault(
  cpu: Cpu,
  image: StressImage,
  size: StressSize,
  locking: VmaLocking,
  report: Reporter,
): Program {
  const { mmapLock, sequence, lock } = image.addresses as Addresses;
  const semaphore = makeReadWriteSemaphore();
  for (let round = 0; round < size.operations; round++) {
    yield* locking.startRead(cpu, lock, sequence);
    if (cpu.ret === 1) {
      report.reach(OWN_LOCK);
      yield* readBounds(cpu, image, report);
      yield* vmaEndRead(cpu, lock);
    } else {
      report.reach(MMAP_LOCK);
      yield* semaphore.acquireRead(cpu, mmapLock.hi, mmapLock.lo);
      yield* readBounds(cpu, image, report);
      yield* semaphore.releaseRead(cpu, mmapLock.hi, mmapLock.lo);
    }
    cpu.mark();
  }
}

function* readBounds(cpu: Cpu, image: StressImage, report: Reporter): Program {
  const { hi, lo } = image.addresses['bounds']!;
  while (!cpu.load32(hi, lo, Order.Relaxed)) yield;
  const start = cpu.lo;
  while (!cpu.load32(hi, lo + 8, Order.Relaxed)) yield;
  checkEqual(cpu.id, start, cpu.lo, { hi, lo }, report);
}
