/**
 * All seeded mistakes, in the order of their ids, and the controls. test/reports/mutants.md is
 * printed from this.
 */

import type { Mutant } from '../mutant.ts';
import { ABSENT_MUTANTS } from './absent.ts';
import { CONTROLS } from './controls.ts';
import { EXECMEM_MUTANTS } from './execmem.ts';
import { NUMA_LOCK_MUTANTS } from './numa-locks.ts';
import { PERFORMANCE_MUTANTS } from './performance.ts';
import { PROGRAM_MUTANTS } from './programs.ts';
import { QSPINLOCK_MUTANTS } from './qspinlock.ts';
import { QUEUE_LOCK_MUTANTS } from './queue-locks.ts';
import { READ_WRITE_MUTANTS } from './read-write.ts';
import { RECLAMATION_MUTANTS } from './reclamation.ts';
import { SEQUENCE_MUTANTS } from './sequences.ts';
import { SLEEPING_LOCK_MUTANTS } from './sleeping-locks.ts';
import { SPINLOCK_MUTANTS } from './spinlocks.ts';
import { STAGE2_MUTANTS } from './stage2.ts';
import { STAGE2_PROTOCOL_MUTANTS } from './stage2-protocols.ts';
import { TEXT_MUTANTS } from './text.ts';

const ALL: readonly Mutant[] = [
  ...SPINLOCK_MUTANTS,
  ...QUEUE_LOCK_MUTANTS,
  ...QSPINLOCK_MUTANTS,
  ...READ_WRITE_MUTANTS,
  ...PROGRAM_MUTANTS,
  ...SEQUENCE_MUTANTS,
  ...RECLAMATION_MUTANTS,
  ...STAGE2_MUTANTS,
  ...STAGE2_PROTOCOL_MUTANTS,
  ...TEXT_MUTANTS,
  ...EXECMEM_MUTANTS,
  ...SLEEPING_LOCK_MUTANTS,
  ...NUMA_LOCK_MUTANTS,
  ...PERFORMANCE_MUTANTS,
  ...ABSENT_MUTANTS,
];

export const MUTANTS: readonly Mutant[] = [...ALL].sort((a, b) => (a.id < b.id ? -1 : 1));

export { CONTROLS };
