/**
 * Mutants of sequence counters and of RCU.
 */

import { Condition, Fence, Order } from '../../cpu/operations.ts';
import { makeSequenceLock, type SequenceSteps, sequenceSteps } from '../../sync/seqcount.ts';
import type { Mutant } from '../mutant.ts';
import { SHORT_GRACE_PERIOD } from '../oracles/grace-period.ts';
import { TORN_READ } from '../oracles/torn-read.ts';
import { USE_AFTER_FREE } from '../oracles/use-after-free.ts';
import { rcuTarget, rcuTargetSteps } from '../targets/rcu-target.ts';
import { seqlockTarget } from '../targets/seqcount-target.ts';

/** The seqlock with some steps replaced, under its target. */
function mutated(facts: Omit<Mutant, 'make'>, steps: Partial<SequenceSteps>): Mutant {
  const make = () => makeSequenceLock({ ...sequenceSteps, ...steps });
  return { ...facts, make: () => seqlockTarget(make, `${facts.id} ${facts.name}`) };
}

export const SEQUENCE_MUTANTS: readonly Mutant[] = [
  mutated(
    {
      id: 'M39',
      name: 'seqlock-no-odd-check',
      change: 'a reader accepts an odd sequence to start with',
      model: 'sc',
      depth: 2,
      oracles: [TORN_READ],
    },
    {
      *readBegin(cpu, hi, lo) {
        while (!cpu.load32(hi, lo, Order.Acquire)) yield;
      },
    },
  ),
  mutated(
    {
      id: 'M40',
      name: 'seqlock-no-rmb',
      change: 'no read barrier between reading and looking at the sequence again',
      model: 'needs armv8',
      oracles: [],
    },
    { readFence: () => true },
  ),
  {
    id: 'M42',
    name: 'rcu-short-gp',
    change: 'grace periods leave the last CPU out',
    model: 'sc',
    depth: 2,
    oracles: [SHORT_GRACE_PERIOD, USE_AFTER_FREE],
    make: () =>
      rcuTarget({ ...rcuTargetSteps, watched: (cpus) => cpus.slice(0, -1) }, 'M42 rcu-short-gp'),
  },
  {
    id: 'M43',
    name: 'rcu-assign-plain',
    change: 'the pointer is published by a relaxed store',
    model: 'needs armv8',
    oracles: [],
    make: () =>
      rcuTarget(
        {
          ...rcuTargetSteps,
          publish: (cpu, hi, lo, objectHi, objectLo) =>
            cpu.store64(hi, lo, objectHi, objectLo, Order.Relaxed),
        },
        'M43 rcu-assign-plain',
      ),
  },
];

/** Right though they look wrong: nobody may complain. */
export const SEQUENCE_CONTROLS: readonly Mutant[] = [
  mutated(
    {
      id: 'C05',
      name: 'seqlock-begin-polls',
      change: 'a reader polls for an even sequence by relaxed loads, with a barrier after',
      model: 'sc',
      oracles: [],
    },
    {
      *readBegin(cpu, hi, lo) {
        while (!cpu.cond32(hi, lo, Condition.AnyBitClear, 1, 0, Order.Relaxed)) yield;
        const start = cpu.lo;
        while (!cpu.fence(Fence.DmbIshLd)) yield;
        cpu.lo = start;
      },
    },
  ),
];
