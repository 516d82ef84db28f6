/** The branches that a lock tells (src/sync/lock-events.ts) as goals of its target. */

import type { LockBranch } from '../../sync/lock-events.ts';
import type { Goal, StressTarget } from '../target.ts';

export function goalsOf(
  branches: readonly LockBranch[],
): Required<Pick<StressTarget, 'goals' | 'branches'>> {
  return {
    goals: branches.map(goalOf),
    branches: new Map(branches.map(({ number, name }) => [number, name])),
  };
}

function goalOf({ name, from, unreachable }: LockBranch): Goal {
  const [first, ...others] = from;
  return {
    name,
    leastCpus: first?.cpus ?? 0,
    leastOperations: first?.operations ?? 0,
    ...(others.length > 0 ? { or: others } : {}),
    ...(unreachable === '' ? {} : { unreachable }),
  };
}
