/** Stress targets by plain data, for the worker threads of the host engine (compiled form). */

import { UserError } from '../../src/base/errors.ts';
import { MUTANTS } from '../../src/stress/mutants/catalogue.ts';
import type { StressTarget } from '../../src/stress/target.ts';
import { hazardTarget } from '../../src/stress/targets/hazard-target.ts';
import { latchTarget } from '../../src/stress/targets/latch-target.ts';
import { lockTarget } from '../../src/stress/targets/lock-target.ts';
import { pageStackTarget } from '../../src/stress/targets/page-stack-target.ts';
import { rcuTarget } from '../../src/stress/targets/rcu-target.ts';
import { seqlockTarget } from '../../src/stress/targets/seqcount-target.ts';
import { makeLock } from '../../src/sync/registry.ts';

const PROTOCOLS: Readonly<Record<string, () => StressTarget>> = {
  hazard: () => hazardTarget(),
  latch: () => latchTarget(),
  'page-stack': () => pageStackTarget(),
  rcu: () => rcuTarget(),
  seqlock: () => seqlockTarget(),
};

export const PROTOCOL_NAMES: readonly string[] = Object.keys(PROTOCOLS);

/** "mutant M01", a protocol, or a lock of the registry. */
export function targetNamed(name: string): StressTarget {
  const id = /^mutant (.*)$/.exec(name)?.[1];
  if (id !== undefined) {
    const mutant = MUTANTS.find((each) => each.id === id);
    if (mutant === undefined) throw new UserError(`no mutant ${id}`);
    return mutant.make();
  }
  const protocol = PROTOCOLS[name];
  if (protocol !== undefined) return protocol();
  return lockTarget({ name, description: name, make: () => makeLock(name) });
}

export const HOST_TARGETS = { module: import.meta.url, exportName: 'targetNamed' };
