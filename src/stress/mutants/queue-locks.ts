/**
 * Mutants of the queue locks: MCS, CLH.
 */

import type { Cpu } from '../../cpu/cpu.ts';
import { Order } from '../../cpu/operations.ts';
import { clhSteps, makeClhLock } from '../../sync/clh.ts';
import { LockNode, nodeLo } from '../../sync/lock-nodes.ts';
import { makeMcsLock, mcsSteps } from '../../sync/mcs.ts';
import type { Mutant } from '../mutant.ts';
import { DEADLOCK } from '../oracles/deadlock.ts';
import { EXCLUSION } from '../oracles/exclusion.ts';
import { LOST_UPDATE } from '../oracles/lost-update.ts';
import { mutatedLock } from './mutated-lock.ts';

/** As in mcs.ts: eight nodes of a line per CPU; words: next, wait, the lock's address. */
const SLOTS = 8;
const WAIT = 4;
const LOCK = 8;

function mcsNodeLo(cpu: Cpu, reference: number): number {
  const owner = Math.floor((reference - 1) / SLOTS);
  return nodeLo(cpu, owner, LockNode.Mcs + ((reference - 1) % SLOTS) * 64);
}

function ownerOf(reference: number): number {
  return Math.floor((reference - 1) / SLOTS);
}

export const QUEUE_LOCK_MUTANTS: readonly Mutant[] = [
  mutatedLock({
    id: 'M10',
    name: 'mcs-unlock-nowait',
    change: 'without a successor in sight the tail is emptied by a store, not compared',
    model: 'sc',
    depth: 2,
    oracles: [DEADLOCK, EXCLUSION, LOST_UPDATE],
    make: () =>
      makeMcsLock({
        ...mcsSteps,
        *leave(cpu, hi, lo, self) {
          const node = mcsNodeLo(cpu, self);
          while (!cpu.load32(cpu.perCpuHi(cpu.id), node, Order.Relaxed)) yield;
          if (cpu.lo !== 0) return;
          while (!cpu.store32(hi, lo, 0, Order.Release)) yield;
          cpu.lo = 0;
        },
      }),
  }),
  mutatedLock({
    id: 'M11',
    name: 'mcs-init-late',
    change: 'the node is initialised after the tail swap',
    model: 'sc',
    depth: 2,
    oracles: [DEADLOCK],
    make: () =>
      makeMcsLock({
        ...mcsSteps,
        *enqueue(cpu, hi, lo, self) {
          while (!cpu.swap32(hi, lo, self, Order.AcquireRelease)) yield;
          const previous = cpu.lo;
          const node = mcsNodeLo(cpu, self);
          while (!cpu.store64(cpu.perCpuHi(cpu.id), node, 1, 0, Order.Relaxed)) yield;
          cpu.lo = previous;
        },
      }),
  }),
  mutatedLock({
    id: 'M12',
    name: 'mcs-publish-relaxed',
    change: 'the node is linked behind the one before by a relaxed store',
    model: 'needs armv8',
    oracles: [],
    make: () =>
      makeMcsLock({
        ...mcsSteps,
        link(cpu, self, previous) {
          const previousHi = cpu.perCpuHi(ownerOf(previous));
          return cpu.store32(previousHi, mcsNodeLo(cpu, previous), self, Order.Relaxed);
        },
      }),
  }),
  mutatedLock({
    id: 'M13',
    name: 'mcs-handover-relaxed',
    change: 'the hand-over is a relaxed store',
    model: 'needs armv8',
    oracles: [],
    make: () =>
      makeMcsLock({
        ...mcsSteps,
        handOver(cpu, next) {
          const wait = mcsNodeLo(cpu, next) + WAIT;
          return cpu.store32(cpu.perCpuHi(ownerOf(next)), wait, 0, Order.Relaxed);
        },
      }),
  }),
  mutatedLock({
    id: 'M14',
    name: 'mcs-node-reuse',
    change: 'the node counts as free before its successor was read; a handler takes it',
    model: 'sc',
    depth: 3,
    oracles: [DEADLOCK, EXCLUSION],
    parts: ['interrupt'],
    make: () =>
      makeMcsLock({
        ...mcsSteps,
        *leave(cpu, hi, lo, self) {
          const ownHi = cpu.perCpuHi(cpu.id);
          while (!cpu.store64(ownHi, mcsNodeLo(cpu, self) + LOCK, 0, 0, Order.Relaxed)) yield;
          yield* mcsSteps.leave(cpu, hi, lo, self);
        },
      }),
  }),
  mutatedLock({
    id: 'M15',
    name: 'clh-wrong-recycle',
    change: 'a CPU keeps its own node instead of the one before',
    model: 'sc',
    depth: 3,
    oracles: [EXCLUSION, DEADLOCK, LOST_UPDATE],
    make: () =>
      makeClhLock({
        ...clhSteps,
        *recycle(cpu) {
          while (!cpu.load32(cpu.perCpuHi(cpu.id), cpu.perCpuLo(cpu.id), Order.Relaxed)) yield;
        },
      }),
  }),
];
