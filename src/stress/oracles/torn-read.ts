/**
 * Torn and stale readings: two words that a writer changes together are not seen half changed, and
 * what was written in a section is what the same section reads back. Told by targets at once.
 */

import type { Address } from '../../memory/physical-address.ts';
import type { Reporter } from '../target.ts';
import type { OracleFacts } from './oracle.ts';

export const TORN_READ = 'torn-read';

export const TORN_READ_FACTS: OracleFacts = {
  name: TORN_READ,
  description: 'words that change together are never seen half changed or stale',
  engines: ['explore', 'host'],
};

/** Two words that must be equal. */
export function checkEqual(
  cpu: number,
  first: number,
  second: number,
  address: Address,
  report: Reporter,
): void {
  if (first === second) return;
  const text = `reads ${first} and ${second} from words that change together`;
  report.fail({ oracle: TORN_READ, cpus: [cpu], text, hi: address.hi, lo: address.lo });
}
