/**
 * A sequence counter under stress: one writer at a time changes two words, readers read them
 * without a lock and repeat when the counter says so.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { EventKind, Order } from '../../cpu/operations.ts';
import { type Address, toLinear } from '../../memory/physical-address.ts';
import { QueuedBranch } from '../../sync/qspinlock.ts';
import { makeSequenceLock, type SequenceLock } from '../../sync/seqcount.ts';
import { checkCount } from '../oracles/lost-update.ts';
import { checkEqual } from '../oracles/torn-read.ts';
import type { Reporter, StressImage, StressSize, StressTarget } from '../target.ts';
import { raise } from './critical-section.ts';
import { goalsOf } from './lock-goals.ts';
import { shapeOf } from './target-shape.ts';

const LINE_BYTES = 64;
const ROOM_BYTES = 4096;
/** Of the writers' spinlock: every other CPU writes, so that twice as many are needed. */
const QUEUE = goalsOf([
  { ...QueuedBranch.pending, from: [{ cpus: 3, operations: 1 }] },
  { ...QueuedBranch.queued, from: [{ cpus: 5, operations: 1 }] },
]);

/** Even CPUs write, odd ones read. */
export function seqlockTarget(
  make: () => SequenceLock = makeSequenceLock,
  name = 'seqlock',
): StressTarget {
  return {
    name,
    group: 'locks',
    description: 'two words behind a seqlock: readers repeat instead of waiting',
    smallest: { cpus: 2, operations: 1 },
    usual: { cpus: 3, operations: 2 },
    goals: [{ name: 'read again', leastCpus: 2, leastOperations: 1 }, ...QUEUE.goals],
    branches: QUEUE.branches,
    ...shapeOf(3, ROOM_BYTES),
    boot(memory) {
      const addresses: Record<string, Address> = {};
      for (const word of ['seqlock', 'first', 'second']) {
        const bytes = word === 'seqlock' ? make().bytes : LINE_BYTES;
        addresses[word] = toLinear(memory.allocateNamed(word, 0, bytes));
      }
      return { addresses, numbers: {} };
    },
    program(cpu, image, size, report) {
      if (cpu.id >= size.cpus) return null;
      return cpu.id % 2 === 0
        ? write(cpu, image, size, make())
        : read(cpu, image, size, report, make());
    },
    finish(memory, image, size, report) {
      const writes = Math.ceil(size.cpus / 2) * size.operations;
      checkCount(memory, image.addresses['first']!, writes, 'the guarded count', report);
    },
  };
}

function* write(cpu: Cpu, image: StressImage, size: StressSize, lock: SequenceLock): Program {
  const { hi, lo } = image.addresses['seqlock']!;
  for (let round = 0; round < size.operations; round++) {
    cpu.event(EventKind.LockAsked, hi, lo);
    yield lock.acquire(cpu, hi, lo);
    yield* raise(cpu, image.addresses['first']!);
    yield* raise(cpu, image.addresses['second']!);
    yield lock.release(cpu, hi, lo);
    cpu.mark();
  }
}

function* read(
  cpu: Cpu,
  image: StressImage,
  size: StressSize,
  report: Reporter,
  lock: SequenceLock,
): Program {
  const { hi, lo } = image.addresses['seqlock']!;
  const first = image.addresses['first']!;
  const second = image.addresses['second']!;
  for (let round = 0; round < size.operations; round++) {
    for (;;) {
      yield* lock.readBegin(cpu, hi, lo);
      const start = cpu.lo;
      while (!cpu.load32(first.hi, first.lo, Order.Relaxed)) yield;
      const a = cpu.lo;
      while (!cpu.load32(second.hi, second.lo, Order.Relaxed)) yield;
      const b = cpu.lo;
      yield* lock.readRetry(cpu, hi, lo, start);
      if (cpu.ret === 0) {
        checkEqual(cpu.id, a, b, first, report);
        break;
      }
      report.reach('read again');
    }
    cpu.mark();
  }
}
