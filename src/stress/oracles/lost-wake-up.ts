/**
 * Lost wake-up: nobody can go on, and somebody sleeps in idle() whom nobody will wake; told apart
 * from a circle of waits by src/engine/explore/deadlock.ts. This file is its name and what is said
 * of it.
 */

import type { OracleFacts } from './oracle.ts';

export const LOST_WAKE_UP = 'lost-wake-up';

export const LOST_WAKE_UP_FACTS: OracleFacts = {
  name: LOST_WAKE_UP,
  description: 'nobody can go on, and somebody sleeps whom nobody will wake',
  engines: ['explore'],
};
