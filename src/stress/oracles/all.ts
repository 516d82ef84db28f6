/**
 * Every oracle that listens, as one listener: what an engine is given. The exhaustive list of names
 * is what `--oracles` takes and what mutants expect.
 */

import type { Finding } from '../target.ts';
import { EXCLUSION, makeExclusion } from './exclusion.ts';
import { FRAMES, makeFrames } from './frames.ts';
import { makeGracePeriod, SHORT_GRACE_PERIOD } from './grace-period.ts';
import { LOCK_CLASS, makeLockClass } from './lock-class.ts';
import { LOST_UPDATE } from './lost-update.ts';
import type { OracleContext, StressOracle, Wait } from './oracle.ts';
import { DEADLOCK, LIVELOCK, LOST_WAKE_UP, makeStall } from './stall.ts';
import { makeStarvation, STARVATION } from './starvation.ts';
import { TORN_READ } from './torn-read.ts';
import { makeUseAfterFree, USE_AFTER_FREE } from './use-after-free.ts';

export const ORACLE_NAMES: readonly string[] = [
  EXCLUSION,
  LOST_UPDATE,
  DEADLOCK,
  LOST_WAKE_UP,
  LIVELOCK,
  STARVATION,
  TORN_READ,
  USE_AFTER_FREE,
  SHORT_GRACE_PERIOD,
  LOCK_CLASS,
  FRAMES,
];

export interface OracleSet extends StressOracle {
  event(cpu: number, kind: number, hi: number, lo: number, interrupts: boolean): void;
  access(cpu: number, hi: number, lo: number, bytes: number, writes: boolean): void;
  finish(): void;
  /** What is wrong when nobody can go on, or nobody gets anywhere. */
  stalled(waits: readonly Wait[]): Finding;
  endless(cpus: readonly number[]): Finding;
}

export interface OracleLimits {
  /** Overtakings of a blocked waiter that the target's lock allows; absent: any number. */
  readonly bypasses?: number;
}

/** One schedule's oracles. */
export function openOracles(context: OracleContext, limits: OracleLimits = {}): OracleSet {
  const stall = makeStall();
  const all: StressOracle[] = [
    makeExclusion(context),
    stall,
    makeUseAfterFree(context),
    makeGracePeriod(context),
    makeLockClass(context),
    makeFrames(context),
  ];
  if (limits.bypasses !== undefined) all.push(makeStarvation(context, limits.bypasses));
  const hear = all.filter((oracle) => oracle.event !== undefined);
  const look = all.filter((oracle) => oracle.access !== undefined);
  return {
    name: 'all',
    event(cpu, kind, hi, lo, interrupts) {
      for (const oracle of hear) oracle.event!(cpu, kind, hi, lo, interrupts);
    },
    access(cpu, hi, lo, bytes, writes) {
      for (const oracle of look) oracle.access!(cpu, hi, lo, bytes, writes);
    },
    finish() {
      for (const oracle of all) oracle.finish?.();
    },
    stalled: (waits) => stall.stalled(waits),
    endless: (cpus) => stall.endless(cpus),
  };
}
