/**
 * No lock at all: the what-if of a design that has removed it (mmapLock=none). Touches no memory
 * and reports nothing, so that checkers of exclusion don't take it for a broken lock.
 * Line transfers per hand-over: 0.
 */

import type { ReadWriteLock } from './lock.ts';

export function makeUnlocked(): ReadWriteLock {
  return {
    name: 'none',
    bytes: 0,
    *acquire() {},
    *release() {},
    *acquireRead() {},
    *releaseRead() {},
  };
}
