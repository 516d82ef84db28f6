/**
 * Every oracle that listens, as one listener: what an engine is given. The exhaustive list of names
 * is what `--oracles` takes and what mutants expect.
 */

import { StepKind } from '../../engine/explore/execution.ts';
import type { Explorer } from '../../engine/explore/explorer.ts';
import type { Observer } from '../../engine/explore/observer.ts';
import { BREAK_BEFORE_MAKE, makeBreakBeforeMake } from './break-before-make.ts';
import { makeContention } from './contention.ts';
import { DIRTY_LOG } from './dirty-log.ts';
import { EXCLUSION, makeExclusion } from './exclusion.ts';
import { FRAMES, makeFrames } from './frames.ts';
import { makeGracePeriod, SHORT_GRACE_PERIOD } from './grace-period.ts';
import { type HandOffWords, makeHandOff } from './hand-off.ts';
import { LOCK_CLASS, makeLockClass } from './lock-class.ts';
import { LOST_MAPPING, makeLostMapping } from './lost-mapping.ts';
import { LOST_UPDATE } from './lost-update.ts';
import type { OracleContext, StressOracle } from './oracle.ts';
import { makeStaleTlb, STALE_TLB } from './stale-tlb.ts';
import { ASSERTION, DEADLOCK, LIVELOCK, LOST_WAKE_UP } from './stall.ts';
import { makeStarvation, STARVATION } from './starvation.ts';
import { TORN_READ } from './torn-read.ts';
import { makeUseAfterFree, USE_AFTER_FREE } from './use-after-free.ts';

export const ORACLE_NAMES: readonly string[] = [
  EXCLUSION,
  LOST_UPDATE,
  DEADLOCK,
  LOST_WAKE_UP,
  LIVELOCK,
  ASSERTION,
  STARVATION,
  TORN_READ,
  USE_AFTER_FREE,
  SHORT_GRACE_PERIOD,
  LOCK_CLASS,
  FRAMES,
  BREAK_BEFORE_MAKE,
  STALE_TLB,
  DIRTY_LOG,
  LOST_MAPPING,
];

export interface OracleLimits {
  /** Overtakings of a blocked waiter that the target's lock allows; absent: any number. */
  readonly bypasses?: number;
  /** Where the target's lock promises to be handed over; absent: it doesn't. */
  readonly handOff?: HandOffWords;
  /** Whoever takes a table out of the tree owns its entries (prune=lock-descendants). */
  readonly ownsDescendants?: boolean;
}

type Method = Exclude<keyof StressOracle, 'name'>;
type Having<Name extends Method> = StressOracle & Required<Pick<StressOracle, Name>>;

/** All oracles, made anew for each schedule. */
export function observe(context: OracleContext, limits: OracleLimits = {}): Observer {
  let all: StressOracle[] = [];
  const having = <Name extends Method>(name: Name): Having<Name>[] =>
    all.filter((oracle): oracle is Having<Name> => oracle[name] !== undefined);
  let hear: Having<'event'>[] = [];
  let look: Having<'access'>[] = [];
  let changes: Having<'wrote'>[] = [];
  const access = (cpu: number, hi: number, lo: number, bytes: number, writes: boolean): void => {
    for (const oracle of look) oracle.access(cpu, hi, lo, bytes, writes);
  };
  return {
    begin() {
      all = makeAll(context, limits);
      hear = having('event');
      look = having('access');
      changes = having('wrote');
    },
    event(cpu, kind, hi, lo) {
      for (const oracle of hear) oracle.event(cpu, kind, hi, lo);
    },
    read: (cpu, hi, lo, bytes) => access(cpu, hi, lo, bytes, false),
    wrote(cpu, hi, lo, bytes, oldLo, oldHi) {
      access(cpu, hi, lo, bytes, true);
      for (const oracle of changes) oracle.wrote(cpu, hi, lo, bytes, oldLo, oldHi);
    },
    walkRead(cpu, hi, lo) {
      access(cpu, hi, lo, 8, false);
      for (const oracle of all) oracle.walkRead?.(cpu, hi, lo);
    },
    tlbi(operation) {
      for (const oracle of all) oracle.tlbi?.(operation);
    },
    dsb(cpu) {
      for (const oracle of all) oracle.dsb?.(cpu);
    },
    translated(translated) {
      for (const oracle of all) oracle.translated?.(translated);
    },
    finish() {
      for (const oracle of all) oracle.finish?.();
    },
  };
}

function makeAll(context: OracleContext, limits: OracleLimits): StressOracle[] {
  const all = [
    makeExclusion(context),
    makeUseAfterFree(context),
    makeGracePeriod(context),
    makeLockClass(context),
    makeFrames(context),
    makeStaleTlb(context),
    makeContention(context),
  ];
  const { word } = context;
  if (word !== undefined) {
    all.push(makeBreakBeforeMake(context, word));
    if (limits.handOff !== undefined) all.push(makeHandOff(context, word, limits.handOff));
    if (limits.ownsDescendants === true) all.push(makeLostMapping(context, word));
  }
  if (limits.bypasses !== undefined) all.push(makeStarvation(context, limits.bypasses));
  return all;
}

/** The oracles of a target that is opened on the explore engine (TargetOptions.observe). */
export function observeExplorer(explorer: Explorer, limits: OracleLimits): Observer {
  return observe(
    {
      cpuCount: explorer.cpuCount,
      isBlocked: (cpu) => isBlocked(explorer, cpu),
      isStill: (cpu) =>
        (isBlocked(explorer, cpu) || explorer.cpus[cpu]!.finished) &&
        explorer.kind[explorer.cpuCount + cpu] !== StepKind.Drain,
      interrupts: (cpu) => explorer.cpus[cpu]!.interruptsEnabled,
      word: (hi, lo) => explorer.memory.peek32(hi & 0xffff, lo),
      fail: (finding) => explorer.fail(finding),
      reach: (goal) => explorer.reached.add(goal),
    },
    limits,
  );
}

function isBlocked(explorer: Explorer, cpu: number): boolean {
  const kind = explorer.kind[cpu];
  return (kind === StepKind.Await || kind === StepKind.Idle) && !explorer.isEnabled(cpu);
}
