/**
 * Lost updates: a word that everybody raises by load and store under a lock must end at the number
 * of raises. Told by targets, when all programs have ended: an increment is seen to be lost only
 * then.
 */

import type { Address } from '../../memory/physical-address.ts';
import type { Memory, Reporter } from '../target.ts';
import type { OracleFacts } from './oracle.ts';

export const LOST_UPDATE = 'lost-update';

export const LOST_UPDATE_FACTS: OracleFacts = {
  name: LOST_UPDATE,
  description: 'counts that are raised under a lock or by atomics end at the number of raises',
  engines: ['explore', 'host'],
};

/** `what`: "the count under the lock". */
export function checkCount(
  memory: Memory,
  address: Address,
  expected: number,
  what: string,
  report: Reporter,
): void {
  const found = memory.word(address);
  if (found === expected) return;
  const text = `${what} is ${found} after ${expected} raises`;
  report.fail({ oracle: LOST_UPDATE, cpus: [], text, hi: address.hi, lo: address.lo });
}
