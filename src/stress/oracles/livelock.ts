/**
 * Livelock: steps without end under a scheduler that was fair from the middle on, and no CPU has
 * marked progress since (src/engine/explore/run-schedule.ts; on the host engine, its watchdog).
 * This file is its name and what is said of it.
 */

import type { OracleFacts } from './oracle.ts';

export const LIVELOCK = 'livelock';

export const LIVELOCK_FACTS: OracleFacts = {
  name: LIVELOCK,
  description: 'steps without end and without progress, under a scheduler that is fair',
  engines: ['explore', 'host'],
};
