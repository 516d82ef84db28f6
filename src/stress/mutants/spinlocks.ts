/**
 * Mutants of the simple spinlocks: test-and-set, ticket.
 */

import { Order } from '../../cpu/operations.ts';
import { makeTestAndSetLock, testAndSetSteps } from '../../sync/test-and-set.ts';
import { makeTicketLock, ticketSteps } from '../../sync/ticket.ts';
import type { Mutant } from '../mutant.ts';
import { DEADLOCK } from '../oracles/deadlock.ts';
import { EXCLUSION } from '../oracles/exclusion.ts';
import { LOST_UPDATE } from '../oracles/lost-update.ts';
import { mutatedLock } from './mutated-lock.ts';

/** Two tickets before serving and next pass 255. */
const NEAR_WRAP = 0x00fe_00fe;

export const SPINLOCK_MUTANTS: readonly Mutant[] = [
  mutatedLock({
    id: 'M01',
    name: 'tas-load-store',
    change: 'the lock is taken by a load and a store',
    model: 'sc',
    depth: 2,
    oracles: [EXCLUSION, LOST_UPDATE],
    make: () =>
      makeTestAndSetLock({
        ...testAndSetSteps,
        *tryTake(cpu, hi, lo) {
          while (!cpu.load32(hi, lo, Order.Acquire)) yield;
          const old = cpu.lo;
          if (old === 0) while (!cpu.store32(hi, lo, 1, Order.Relaxed)) yield;
          cpu.lo = old;
        },
      }),
  }),
  mutatedLock({
    id: 'M02',
    name: 'lock-busted',
    change: 'the lock is taken whatever its word says',
    model: 'sc',
    depth: 1,
    oracles: [EXCLUSION, LOST_UPDATE],
    make: () =>
      makeTestAndSetLock({
        ...testAndSetSteps,
        *tryTake(cpu, hi, lo) {
          while (!cpu.load32(hi, lo, Order.Acquire)) yield;
          cpu.lo = 0;
        },
      }),
  }),
  mutatedLock({
    id: 'M03',
    name: 'tas-rel-plain',
    change: 'the release is a relaxed store',
    model: 'needs armv8',
    oracles: [],
    make: () =>
      makeTestAndSetLock({
        ...testAndSetSteps,
        *free(cpu, hi, lo) {
          while (!cpu.store32(hi, lo, 0, Order.Relaxed)) yield;
        },
      }),
  }),
  mutatedLock({
    id: 'M04',
    name: 'tas-acq-plain',
    change: 'the acquiring swap is relaxed',
    model: 'needs armv8',
    oracles: [],
    make: () =>
      makeTestAndSetLock({
        ...testAndSetSteps,
        *tryTake(cpu, hi, lo) {
          while (!cpu.swap32(hi, lo, 1, Order.Relaxed)) yield;
        },
      }),
  }),
  mutatedLock({
    id: 'M06',
    name: 'ticket-nonatomic',
    change: 'the ticket is taken by a load and a store',
    model: 'sc',
    depth: 2,
    oracles: [EXCLUSION, LOST_UPDATE, DEADLOCK],
    make: () =>
      makeTicketLock({
        ...ticketSteps,
        *take(cpu, hi, lo) {
          while (!cpu.load32(hi, lo, Order.Relaxed)) yield;
          const word = cpu.lo;
          while (!cpu.store32(hi, lo, (word + 0x10000) | 0, Order.Relaxed)) yield;
          cpu.lo = word;
        },
      }),
  }),
  mutatedLock({
    id: 'M07',
    name: 'ticket-wrap',
    change: 'the ticket being served wraps at 8 bits, the next one at 16; started near the wrap',
    model: 'sc',
    depth: 1,
    oracles: [DEADLOCK],
    make: () => ({
      ...makeTicketLock({
        ...ticketSteps,
        *serveNext(cpu, hi, lo) {
          while (!cpu.load32(hi, lo, Order.Relaxed)) yield;
          const next = (cpu.lo + 1) & 0xff;
          while (!cpu.store16(hi, lo, next, Order.Release)) yield;
        },
      }),
      init: (boot, physical) => boot.write32(physical, 0, NEAR_WRAP),
    }),
  }),
  mutatedLock({
    id: 'M08',
    name: 'ticket-trylock-inc',
    change: 'trylock takes a ticket whatever the word says, and leaves it when it is not served',
    model: 'sc',
    depth: 2,
    oracles: [DEADLOCK],
    parts: ['write', 'try'],
    size: { cpus: 2, operations: 2 },
    make: () =>
      makeTicketLock({
        ...ticketSteps,
        *tryTake(cpu, hi, lo) {
          while (!cpu.add32(hi, lo, 0x10000, Order.SequentiallyConsistent)) yield;
          cpu.ret = cpu.lo >>> 16 === (cpu.lo & 0xffff) ? 1 : 0;
        },
      }),
  }),
];
