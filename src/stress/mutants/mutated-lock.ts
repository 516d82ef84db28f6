/** A mutant that is a lock with one step replaced, under the target of all locks. */

import type { Lock } from '../../sync/lock.ts';
import type { Mutant } from '../mutant.ts';
import { type LockTargetOptions, lockTarget } from '../targets/lock-target.ts';

type Shape = Partial<
  Pick<LockTargetOptions, 'parts' | 'size' | 'bypasses' | 'handlerLock' | 'handOff'>
>;

export interface MutatedLock extends Omit<Mutant, 'make'>, Shape {
  make(): Lock;
}

export function mutatedLock(mutated: MutatedLock): Mutant {
  const { parts, size, bypasses, handlerLock, handOff, make, ...facts } = mutated;
  const shape: Shape = {
    ...(parts === undefined ? {} : { parts }),
    ...(size === undefined ? {} : { size }),
    ...(bypasses === undefined ? {} : { bypasses }),
    ...(handOff === undefined ? {} : { handOff }),
    ...(handlerLock === undefined ? {} : { handlerLock }),
  };
  const name = `${facts.id} ${facts.name}`;
  return { ...facts, make: () => lockTarget({ name, description: facts.change, make, ...shape }) };
}
