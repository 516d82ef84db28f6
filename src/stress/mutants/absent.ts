/** Mutants of the catalogue that have nothing to change here yet: listed, with the reason. */

import { assert } from '../../base/assert.ts';
import type { Mutant } from '../mutant.ts';
import type { StressTarget } from '../target.ts';

function absent(id: string, name: string, change: string, notHere: string): Mutant {
  const make = (): StressTarget => assert(false, `mutant ${id} is not here`) as never;
  return { id, name, change, model: 'sc', oracles: [], notHere, make };
}

export const ABSENT_MUTANTS: readonly Mutant[] = [
  absent(
    'P19',
    'cont-off-by-one',
    'the break loop of a contiguous group leaves its last entry out',
    'stage 2 never sets the contiguous bit; belongs to the linear map',
  ),
];
