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

/** What an engine tells: a subset of the explore engine's Observer. */
export interface Listener {
  /** A schedule begins. */
  begin(): void;
  event(cpu: number, kind: number, hi: number, lo: number): void;
  read(cpu: number, hi: number, lo: number, bytes: number): void;
  wrote(cpu: number, hi: number, lo: number, bytes: number): void;
  walkRead(cpu: number, hi: number, lo: number): void;
  finish(): void;
}

export interface OracleSet extends Listener {
  /** What is wrong when nobody can go on, or nobody gets anywhere. */
  stalled(waits: readonly Wait[]): Finding;
  endless(cpus: readonly number[]): Finding;
}

export interface OracleLimits {
  /** Overtakings of a blocked waiter that the target's lock allows; absent: any number. */
  readonly bypasses?: number;
}

/** All oracles, made anew for each schedule. */
export function openOracles(context: OracleContext, limits: OracleLimits = {}): OracleSet {
  let stall = makeStall();
  let all: StressOracle[] = [];
  let hear: StressOracle[] = [];
  let look: StressOracle[] = [];
  const access = (cpu: number, hi: number, lo: number, bytes: number, writes: boolean): void => {
    for (const oracle of look) oracle.access!(cpu, hi, lo, bytes, writes);
  };
  return {
    begin() {
      stall = makeStall();
      all = [
        makeExclusion(context),
        stall,
        makeUseAfterFree(context),
        makeGracePeriod(context),
        makeLockClass(context),
        makeFrames(context),
      ];
      if (limits.bypasses !== undefined) all.push(makeStarvation(context, limits.bypasses));
      hear = all.filter((oracle) => oracle.event !== undefined);
      look = all.filter((oracle) => oracle.access !== undefined);
    },
    event(cpu, kind, hi, lo) {
      for (const oracle of hear) oracle.event!(cpu, kind, hi, lo);
    },
    read: (cpu, hi, lo, bytes) => access(cpu, hi, lo, bytes, false),
    wrote: (cpu, hi, lo, bytes) => access(cpu, hi, lo, bytes, true),
    walkRead: (cpu, hi, lo) => access(cpu, hi, lo, 8, false),
    finish() {
      for (const oracle of all) oracle.finish?.();
    },
    stalled: (waits) => stall.stalled(waits),
    endless: (cpus) => stall.endless(cpus),
  };
}
