/**
 * Judges a run from the logs of its CPUs: merges them in the order of (emulated time, CPU) and
 * feeds every oracle. Logs depend on emulated times alone, so the verdict is the same for any
 * number of worker threads.
 *
 * What is not covered: text replicas, executable memory, kexec and the linear map (I6 to I9) have
 * oracles of their own when those systems exist. I2's hardware half holds by construction: a locked
 * entry is invalid, so no walker fills from it.
 */

import type { EventKind } from '../cpu/operations.ts';
import type { NamedMemory } from '../memory/boot.ts';
import type { CpuLog } from './cpu-watch.ts';
import { DirtyLog } from './dirty-log.ts';
import { FrameConservation } from './frame-conservation.ts';
import { FreedFrames } from './freed-frames.ts';
import { LiveDescriptors } from './live-descriptors.ts';
import { LockOrder } from './lock-order.ts';
import { LockOwnership } from './lock-ownership.ts';
import type { Occurrence, Oracle, ReplayInput } from './oracle.ts';
import { Stage2Conflict } from './stage2-conflict.ts';
import { fetchesOf, StaleText } from './stale-text.ts';
import { TableLifetime } from './table-lifetime.ts';
import { TimeMerge } from './time-merge.ts';
import { UnfinishedTlbi } from './unfinished-tlbi.ts';
import { describeViolation, type Violation } from './violation.ts';
import { hasText, WriteXorExecute } from './write-xor-execute.ts';

/** Verdict of one oracle on one run. */
export interface Verdict {
  readonly name: string;
  readonly ok: boolean;
  /** What was checked, or the violation; of many violations, one verdict each. */
  readonly text: string;
}

export interface RunFacts {
  readonly symbols: readonly NamedMemory[];
  readonly bbm: string;
  readonly finished: boolean;
}

/** Violations written out per rule; the rest is counted. */
const SHOWN_MAX = 10;
const NEVER = Number.POSITIVE_INFINITY;

export function judge(logs: readonly CpuLog[], facts: RunFacts): Verdict[] {
  const sorted = logs.toSorted((a, b) => a.cpu - b.cpu);
  const untilPs = Math.min(...sorted.map(({ eventsFullAtPs }) => eventsFullAtPs));
  const input: ReplayInput = { logs: sorted, bbm: facts.bbm, finished: facts.finished, untilPs };
  const oracles = makeOracles(input, facts);
  feed(input, oracles);
  for (const oracle of oracles) oracle.finish();
  const names = [...new Set(oracles.map(({ rule }) => rule))];
  return names.flatMap((name) => {
    const ofRule = oracles.filter(({ rule }) => rule === name);
    return verdictsOf(name, ofRule, input, facts);
  });
}

function makeOracles(input: ReplayInput, facts: RunFacts): Oracle[] {
  const text = fetchesOf(input.logs) > 0 ? [new StaleText(input)] : [];
  const protection = hasText(input.logs) ? [new WriteXorExecute()] : [];
  return [
    new UnfinishedTlbi(input),
    new Stage2Conflict(input),
    new LiveDescriptors(input),
    new FreedFrames(input),
    new TableLifetime(input),
    new FrameConservation(),
    new LockOwnership(input),
    new LockOrder(facts.symbols),
    new DirtyLog(input),
    ...text,
    ...protection,
  ];
}

function feed(input: ReplayInput, oracles: readonly Oracle[]): void {
  const { logs, untilPs } = input;
  const merge = new TimeMerge(logs.map(({ events }) => events));
  const occurrence: Occurrence = { timePs: 0, cpu: 0, kind: 0, hi: 0, lo: 0 };
  while (merge.next() && merge.timePs < untilPs) {
    const { cpu, events } = logs[merge.source]!;
    occurrence.timePs = merge.timePs;
    occurrence.cpu = cpu;
    occurrence.kind = events.kind[merge.index]! as EventKind;
    occurrence.hi = events.hi[merge.index]!;
    occurrence.lo = events.lo[merge.index]!;
    for (const oracle of oracles) oracle.event(occurrence);
  }
}

/** What all oracles of a rule say, and what single CPUs found under it. */
function verdictsOf(
  name: string,
  oracles: readonly Oracle[],
  input: ReplayInput,
  facts: RunFacts,
): Verdict[] {
  const alone = input.logs.flatMap(({ violations }) => violations);
  const violations = oracles
    .flatMap(({ findings }) => findings.violations)
    .concat(alone.filter(({ rule }) => rule === name))
    .sort(byTime);
  if (violations.length === 0) {
    const untilPs = Math.min(...input.logs.map(({ fullAtPs }) => fullAtPs));
    const summaries = oracles.map((oracle) => oracle.summary()).filter((text) => text !== '');
    if (untilPs !== NEVER)
      summaries.push(`watched until ${untilPs / 1000} ns, when a log was full`);
    return [{ name, ok: true, text: summaries.join('; ') }];
  }
  const shown = violations.slice(0, SHOWN_MAX).map((violation) => ({
    name,
    ok: false,
    text: describeViolation(violation, facts.symbols),
  }));
  const hidden = violations.length - shown.length;
  if (hidden > 0) shown.push({ name, ok: false, text: `and ${hidden} violations more, at least` });
  return shown;
}

function byTime(a: Violation, b: Violation): number {
  return a.timePs - b.timePs || a.cpus[0]! - b.cpus[0]!;
}
