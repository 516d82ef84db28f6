/**
 * Every oracle that listens, as one listener: what an engine is given. Most are made anew for each
 * schedule; those of tables, histories and bitmaps when there is first something for them to hear
 * (a schedule of a lock is over in a few microseconds), and then begin again with each.
 */

import { EventKind } from '../../cpu/operations.ts';
import { StepKind } from '../../engine/explore/execution.ts';
import type { Explorer } from '../../engine/explore/explorer.ts';
import type { Observer } from '../../engine/explore/observer.ts';
import { makeBreakBeforeMake } from './break-before-make.ts';
import { makeContention } from './contention.ts';
import { makeDirtyLog } from './dirty-log.ts';
import { makeExclusion } from './exclusion.ts';
import { makeFrames } from './frames.ts';
import { makeFreedText } from './freed-text.ts';
import { makeGracePeriod } from './grace-period.ts';
import { type HandOffWords, makeHandOff } from './hand-off.ts';
import { makeHistory } from './history.ts';
import { makeLockClass } from './lock-class.ts';
import { makeLostMapping } from './lost-mapping.ts';
import type { OracleContext, StressOracle } from './oracle.ts';
import { makeStaleText } from './stale-text.ts';
import { makeStaleTlb } from './stale-tlb.ts';
import { makeStarvation } from './starvation.ts';
import { makeTableReach } from './table-reach.ts';
import { makeUseAfterFree } from './use-after-free.ts';
import { makeWriteXorExecute } from './write-xor-execute.ts';

export interface OracleLimits {
  /** Overtakings of a blocked waiter that the target's lock allows; absent: any number. */
  readonly bypasses?: number;
  /** Where the target's lock promises to be handed over; absent: it doesn't. */
  readonly handOff?: HandOffWords;
  /** Whoever takes a table out of the tree owns its entries (prune=lock-descendants). */
  readonly ownsDescendants?: boolean;
  /** Goals of the target by the number of the branch that reaches them. */
  readonly branches?: ReadonlyMap<number, string>;
}

type Method = Exclude<keyof StressOracle, 'name'>;
type Having<Name extends Method> = StressOracle & Required<Pick<StressOracle, Name>>;

function having<Name extends Method>(all: readonly StressOracle[], name: Name): Having<Name>[] {
  return all.filter((oracle): oracle is Having<Name> => oracle[name] !== undefined);
}

const Late = {
  Tables: 1,
  Histories: 2,
  Bitmaps: 4,
  Text: 8,
  Windows: 16,
  Lives: 32,
  Unlinked: 64,
} as const;

/** By kind of event: who has to be there to hear it. */
const WANTED_BY = new Uint8Array(256);
WANTED_BY[EventKind.TablePageAllocated] = Late.Tables;
WANTED_BY[EventKind.TablePageFreed] = Late.Tables;
WANTED_BY[EventKind.TablePageUnlinked] = Late.Unlinked;
WANTED_BY[EventKind.TableRoot] = Late.Tables | Late.Histories;
WANTED_BY[EventKind.ChangeInvoked] = Late.Histories;
WANTED_BY[EventKind.GuestAccess] = Late.Histories;
WANTED_BY[EventKind.PageWriteProtected] = Late.Bitmaps;
WANTED_BY[EventKind.DirtyBitmap] = Late.Bitmaps;
WANTED_BY[EventKind.TextPatched] = Late.Text;
WANTED_BY[EventKind.PokeWindow] = Late.Windows;
WANTED_BY[EventKind.TextPublished] = Late.Windows | Late.Lives;

/** Where accesses take time, their beginnings are told too. */
export interface Listener extends Observer {
  began(cpu: number): void;
}

/** All oracles of one schedule after the other. */
export function observe(context: OracleContext, limits: OracleLimits = {}): Listener {
  const late: StressOracle[] = [];
  let called = 0;
  let all: StressOracle[] = [];
  let hear: Having<'event'>[] = [];
  let look: Having<'access'>[] = [];
  let follow: Having<'translated'>[] = [];
  let starts: Having<'began'>[] = [];
  let changes: Having<'wrote'>[] = [];
  // Only those that came late have this.
  let walks: Having<'walkRead'>[] = [];
  const listen = (): void => {
    const here = called === 0 ? all : all.concat(late);
    hear = having(here, 'event');
    look = having(here, 'access');
    follow = having(here, 'translated');
    starts = having(here, 'began');
    changes = having(here, 'wrote');
  };
  const call = (wanted: number): void => {
    late.push(...makeLate(wanted & ~called, context));
    called |= wanted;
    walks = having(late, 'walkRead');
    listen();
  };
  const access = (cpu: number, hi: number, lo: number, bytes: number, writes: boolean): void => {
    for (const oracle of look) oracle.access(cpu, hi, lo, bytes, writes);
  };
  return {
    begin() {
      all = makeAll(context, limits);
      for (const oracle of late) oracle.begin?.();
      listen();
    },
    event(cpu, kind, hi, lo) {
      if (kind === EventKind.BranchPassed) return reachGoal(context, limits, hi);
      const wanted = WANTED_BY[kind]!;
      if ((wanted & ~called) !== 0) call(wanted);
      for (const oracle of hear) oracle.event(cpu, kind, hi, lo);
    },
    read: (cpu, hi, lo, bytes) => access(cpu, hi, lo, bytes, false),
    wrote(cpu, hi, lo, bytes, oldLo, oldHi) {
      access(cpu, hi, lo, bytes, true);
      for (const oracle of changes) oracle.wrote(cpu, hi, lo, bytes, oldLo, oldHi);
    },
    walkRead(cpu, hi, lo) {
      if ((called & Late.Tables) === 0) call(Late.Tables);
      access(cpu, hi, lo, 8, false);
      for (const oracle of walks) oracle.walkRead(cpu, hi, lo);
    },
    setRoot(cpu, register, hi, lo) {
      if ((called & Late.Tables) === 0) call(Late.Tables);
      for (const oracle of late) oracle.setRoot?.(cpu, register, hi, lo);
    },
    began(cpu) {
      for (const oracle of starts) oracle.began(cpu);
    },
    translated(translated) {
      for (const oracle of follow) oracle.translated(translated);
    },
    ...toldToLate(late),
  };
}

/** What only those hear that come late. */
function toldToLate(late: readonly StressOracle[]): Observer {
  return {
    tlbi(operation) {
      for (const oracle of late) oracle.tlbi?.(operation);
    },
    fetched(cpu, hi, lo, version) {
      for (const oracle of late) oracle.fetched?.(cpu, hi, lo, version);
    },
    dsb(cpu) {
      for (const oracle of late) oracle.dsb?.(cpu);
    },
    finish() {
      for (const oracle of late) oracle.finish?.();
    },
  };
}

function makeLate(wanted: number, context: OracleContext): StressOracle[] {
  const { word, newestText } = context;
  const made: StressOracle[] = [];
  const hears = word !== undefined && context.hearsLittle !== true;
  if ((wanted & Late.Tables) !== 0 && hears && context.needsNoBreak !== true) {
    made.push(makeBreakBeforeMake(context, word));
  }
  if ((wanted & Late.Text) !== 0 && newestText !== undefined) {
    made.push(makeStaleText(context, newestText));
  }
  if ((wanted & Late.Windows) !== 0 && hears) {
    made.push(makeWriteXorExecute(context, word));
  }
  if ((wanted & Late.Lives) !== 0) made.push(makeFreedText(context));
  if ((wanted & Late.Unlinked) !== 0) made.push(makeTableReach(context));
  if ((wanted & Late.Histories) !== 0) made.push(makeHistory(context));
  if ((wanted & Late.Bitmaps) !== 0 && hears) made.push(makeDirtyLog(context, word));
  return made;
}

function reachGoal(context: OracleContext, limits: OracleLimits, branch: number): void {
  const goal = limits.branches?.get(branch);
  if (goal !== undefined) context.reach(goal);
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
      newestText: (hi, lo) => explorer.newestText(hi & 0xffff, lo),
      needsNoBreak: explorer.machine.architecture === 'x86',
      kernelRoots: explorer.translation.kernelRoots ?? [],
      sizesMayDiffer: explorer.machine.features.bbm !== '0',
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
