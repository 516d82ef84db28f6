/**
 * Mutants of performance: right under every schedule, so every oracle stays silent, and worse than
 * the lock that they were made of when the virtual engine measures them.
 */

import { hash32 } from '../../base/random.ts';
import { PS_PER_NS } from '../../base/units.ts';
import { andersonSteps, makeAndersonLock } from '../../sync/anderson.ts';
import { futexWake } from '../../sync/futex.ts';
import { futexMutexSteps, makeFutexMutex } from '../../sync/futex-mutex.ts';
import type { Lock } from '../../sync/lock.ts';
import { backOffSteps, makeTestAndTestAndSetLock } from '../../sync/test-and-test-and-set.ts';
import type { Measured, Mutant } from '../mutant.ts';
import { type MutatedLock, mutatedLock } from './mutated-lock.ts';

const FIRST_PAUSE_NS = 64;

type Facts = Pick<MutatedLock, 'id' | 'name' | 'change'> & Pick<Measured, 'figure' | 'load'>;

function slower(
  { figure, load, ...facts }: Facts,
  mutated: () => Lock,
  original: () => Lock,
): Mutant {
  const shape = { model: 'performance', oracles: [], parts: ['write'] } as const;
  const mutant = mutatedLock({ ...facts, ...shape, make: mutated });
  return { ...mutant, measured: { figure, load, mutated, original } };
}

export const PERFORMANCE_MUTANTS: readonly Mutant[] = [
  slower(
    {
      id: 'M09',
      name: 'ttas-backoff-unbounded',
      change: 'pauses after lost races double without a cap',
      figure: 'longest bypass',
      // Not so busy that the last owner is always quicker than anybody else.
      load: { cpus: 8, rounds: 150, thinkNs: 8000, sectionNs: 500 },
    },
    () =>
      makeTestAndTestAndSetLock({
        ...backOffSteps,
        pause(cpu, losses) {
          const limitNs = FIRST_PAUSE_NS << Math.min(losses - 1, 24);
          cpu.compute(((hash32(cpu.id, losses, 0, 0) >>> 0) % limitNs) * PS_PER_NS);
        },
      }),
    () => makeTestAndTestAndSetLock(backOffSteps),
  ),
  slower(
    {
      id: 'M49',
      name: 'wake-all-thundering',
      change: 'a release wakes everybody who sleeps for the lock',
      figure: 'lines per hand-over',
      // Sections that are longer than going to sleep and coming back.
      load: { cpus: 8, rounds: 30, thinkNs: 400, sectionNs: 30_000 },
    },
    () =>
      makeFutexMutex({
        ...futexMutexSteps,
        wake: (cpu, hi, lo) => futexWake(cpu, hi, lo, cpu.cpuCount),
      }),
    () => makeFutexMutex(),
  ),
  slower(
    {
      id: 'M50',
      name: 'false-sharing',
      change: 'the slots of an array lock are packed, sixteen in a line',
      figure: 'lines per hand-over',
      load: { cpus: 16, rounds: 40, thinkNs: 400, sectionNs: 500 },
    },
    () => makeAndersonLock({ ...andersonSteps, slotBytes: 4 }),
    () => makeAndersonLock(),
  ),
];
