/**
 * Negative controls: changes that look like mistakes and are none. Every oracle must stay silent,
 * under every model.
 */

import { Condition, Order } from '../../cpu/operations.ts';
import { LockNode, nodeLo } from '../../sync/lock-nodes.ts';
import { makeMcsLock, mcsSteps } from '../../sync/mcs.ts';
import {
  makeTestAndTestAndSetLock,
  testAndTestAndSetSteps,
} from '../../sync/test-and-test-and-set.ts';
import { makeTicketLock, ticketSteps } from '../../sync/ticket.ts';
import type { Mutant } from '../mutant.ts';
import { EXECMEM_CONTROLS } from './execmem.ts';
import { mutatedLock } from './mutated-lock.ts';
import { NUMA_LOCK_CONTROLS } from './numa-locks.ts';
import { QSPINLOCK_CONTROLS } from './qspinlock.ts';
import { READ_WRITE_CONTROLS } from './read-write.ts';
import { SEQUENCE_CONTROLS } from './sequences.ts';
import { STAGE2_CONTROLS } from './stage2.ts';
import { TEXT_CONTROLS } from './text.ts';

export const CONTROLS: readonly Mutant[] = [
  mutatedLock({
    id: 'C01',
    name: 'ttas-spin-relaxed',
    change: 'waiters poll by relaxed loads; the swap after them acquires',
    model: 'sc',
    oracles: [],
    make: () =>
      makeTestAndTestAndSetLock({
        ...testAndTestAndSetSteps,
        *wait(cpu, hi, lo) {
          while (!cpu.cond32(hi, lo, Condition.Equal, -1, 0, Order.Relaxed)) yield;
        },
      }),
  }),
  mutatedLock({
    id: 'C02',
    name: 'ticket-take-relaxed',
    change: 'the ticket is taken by a relaxed fetch-and-add; the wait acquires',
    model: 'sc',
    oracles: [],
    make: () =>
      makeTicketLock({
        ...ticketSteps,
        *take(cpu, hi, lo) {
          while (!cpu.add32(hi, lo, 0x10000, Order.Relaxed)) yield;
        },
      }),
  }),
  mutatedLock({
    id: 'C03',
    name: 'mcs-swap-seq-cst',
    change: 'the tail swap is sequentially consistent',
    model: 'sc',
    oracles: [],
    make: () =>
      makeMcsLock({
        ...mcsSteps,
        *enqueue(cpu, hi, lo, self) {
          const node = nodeLo(cpu, cpu.id, LockNode.Mcs + ((self - 1) % 8) * 64);
          while (!cpu.store64(cpu.perCpuHi(cpu.id), node, 1, 0, Order.Relaxed)) yield;
          while (!cpu.swap32(hi, lo, self, Order.SequentiallyConsistent)) yield;
        },
      }),
  }),
  ...SEQUENCE_CONTROLS,
  ...NUMA_LOCK_CONTROLS,
  ...QSPINLOCK_CONTROLS,
  ...READ_WRITE_CONTROLS,
  ...STAGE2_CONTROLS,
  ...TEXT_CONTROLS,
  ...EXECMEM_CONTROLS,
];
