/** A sequence latch under stress: one writer, readers that never wait for it. */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Order } from '../../cpu/operations.ts';
import { toLinear } from '../../memory/physical-address.ts';
import { makeSequenceLatch, type SequenceLatch } from '../../sync/seqcount-latch.ts';
import { checkEqual } from '../oracles/torn-read.ts';
import type { Reporter, StressImage, StressSize, StressTarget } from '../target.ts';
import { shapeOf } from './target-shape.ts';

const COPY_BYTES = 64;
const ROOM_BYTES = 4096;

/** CPU 0 writes, the others read. */
export function latchTarget(
  make: () => SequenceLatch = makeSequenceLatch,
  name = 'seqcount-latch',
): StressTarget {
  return {
    name,
    group: 'locks',
    description: 'two copies behind a latch: readers take the one that is not written',
    smallest: { cpus: 2, operations: 1 },
    usual: { cpus: 2, operations: 2 },
    goals: [{ name: 'read again', leastCpus: 2, leastOperations: 1 }],
    ...shapeOf(2, ROOM_BYTES),
    boot(memory) {
      const latch = memory.allocateNamed('latch', 0, make().bytes);
      const copies = memory.allocateNamed('copies', 0, 2 * COPY_BYTES);
      return { addresses: { latch: toLinear(latch), copies: toLinear(copies) }, numbers: {} };
    },
    program(cpu, image, size, report) {
      if (cpu.id >= size.cpus) return null;
      if (cpu.id === 0) return write(cpu, image, size, make());
      return read(cpu, image, size, report, make());
    },
    finish() {},
  };
}

function* write(cpu: Cpu, image: StressImage, size: StressSize, latch: SequenceLatch): Program {
  const { hi, lo } = image.addresses['latch']!;
  const copies = image.addresses['copies']!;
  for (let round = 1; round <= size.operations; round++) {
    yield* latch.update(cpu, hi, lo, function* (self, copy) {
      const at = copies.lo + copy * COPY_BYTES;
      while (!self.store32(copies.hi, at, round, Order.Relaxed)) yield;
      while (!self.store32(copies.hi, at + 4, round, Order.Relaxed)) yield;
    });
    cpu.mark();
  }
}

function* read(
  cpu: Cpu,
  image: StressImage,
  size: StressSize,
  report: Reporter,
  latch: SequenceLatch,
): Program {
  const { hi, lo } = image.addresses['latch']!;
  const copies = image.addresses['copies']!;
  for (let round = 0; round < size.operations; round++) {
    for (;;) {
      yield* latch.readBegin(cpu, hi, lo);
      const start = cpu.lo;
      const at = copies.lo + (start & 1) * COPY_BYTES;
      while (!cpu.load32(copies.hi, at, Order.Relaxed)) yield;
      const first = cpu.lo;
      while (!cpu.load32(copies.hi, at + 4, Order.Relaxed)) yield;
      const second = cpu.lo;
      yield* latch.readRetry(cpu, hi, lo, start);
      if (cpu.ret === 0) {
        checkEqual(cpu.id, first, second, copies, report);
        break;
      }
      report.reach('read again');
    }
    cpu.mark();
  }
}
