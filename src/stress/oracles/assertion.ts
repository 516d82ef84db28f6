/**
 * An assertion of the code under stress does not hold. Found by the engine that runs it
 * (src/engine/explore/run-schedule.ts). This file is its name and what is said of it.
 */

import type { OracleFacts } from './oracle.ts';

export const ASSERTION = 'assertion';

export const ASSERTION_FACTS: OracleFacts = {
  name: ASSERTION,
  description: 'an assertion of the code under stress itself',
  engines: ['explore', 'host'],
};
