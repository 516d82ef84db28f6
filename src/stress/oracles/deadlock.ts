/**
 * Deadlock: nobody can go on, and the waits form a circle or end at a word that nobody will write.
 * Found by the engines themselves: src/engine/explore/deadlock.ts names the circle, the watchdog of
 * the host engine what each CPU did last. This file is its name and what is said of it.
 */

import type { OracleFacts } from './oracle.ts';

export const DEADLOCK = 'deadlock';

export const DEADLOCK_FACTS: OracleFacts = {
  name: DEADLOCK,
  description: 'nobody can go on: who waits for which word or lock, and the circle',
  engines: ['explore', 'host'],
};
