/**
 * The score of a mutant of performance: with every seed, its figure on the virtual engine is worse
 * than any seed's of the lock that it was made of, by a factor.
 */

import type { Measured } from '../mutant.ts';
import type { Outcome } from './score.ts';
import { contendedFigures } from './virtual-run.ts';

const FACTOR_MIN = 2;

/** `schedules`: in which the oracles were silent. */
export function measure(measured: Measured, seeds: number, schedules: number): Outcome {
  const { figure, load, mutated, original } = measured;
  const seedNumbers = Array.from({ length: seeds }, (_, i) => i + 1);
  const figures = (make: Measured['mutated']): number[] =>
    seedNumbers.map((seed) => contendedFigures(make, load, seed)[figure]);
  const worse = figures(mutated);
  const usual = figures(original);
  if (Math.min(...worse) < FACTOR_MIN * Math.max(...usual)) {
    const told = (of: readonly number[]): string => of.map((value) => value.toFixed(1)).join(', ');
    const said = `${figure}: ${told(worse)}; without the change: ${told(usual)}`;
    return { verdict: 'missed', kills: [], said, schedules };
  }
  const kills = [{ strategy: 'virtual', oracle: figure, schedules: seeds }];
  return { verdict: 'killed', kills, said: '', schedules };
}
