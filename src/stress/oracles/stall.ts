/**
 * Names of what the explore engine itself finds (src/engine/explore/deadlock.ts, run-schedule.ts):
 * nobody can go on and the waits form a circle or end at a word that nobody will write; nobody can
 * go on and somebody sleeps whom nobody will wake; steps without end under a fair scheduler.
 */

export const DEADLOCK = 'deadlock';
export const LOST_WAKE_UP = 'lost-wake-up';
export const LIVELOCK = 'livelock';
/** An assertion of the code under stress. */
export const ASSERTION = 'assertion';
