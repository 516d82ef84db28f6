/** Assertions: a failed one is a bug in numalab, never the user's fault. */

import { BugError } from './errors.ts';

export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new BugError(`assertion failed: ${message}`);
}

/** Marks code that the types say cannot be reached. */
export function unreachable(value: never): never {
  throw new BugError(`unreachable case: ${String(value)}`);
}
