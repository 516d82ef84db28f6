/**
 * How much V8 may inline into one function. One emulated line transaction passes some thirty small
 * functions in a row; V8's default budget (920 bytecodes) ends in the middle, and every call that
 * is left costs map checks and a heap number for each time that it passes. Twice the budget makes
 * lock acquisitions 10 % faster, random reads 8 %, private hits and relaxing faults 4 %; runs of a
 * second or less pay up to 10 % for the longer compilation. `npm run bench`, once more without the
 * call in test/bench/main.ts, shows it.
 *
 * A flag of the whole process: called once, first thing, by the entry points.
 */

import { setFlagsFromString } from 'node:v8';

export function widenInlining(): void {
  setFlagsFromString('--max-inlined-bytecode-size-cumulative=2000');
  setFlagsFromString('--max-inlined-bytecode-size-absolute=9000');
}
