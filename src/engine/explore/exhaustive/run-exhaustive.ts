/**
 * Exhaustive search over a booted target: what ends an execution becomes a finding as in
 * run-schedule.ts, and a failure becomes a schedule result, which replays and minimises like that
 * of any strategy.
 */

import { PER_CPU_BYTES } from '../../../cpu/per-cpu.ts';
import { deadlockFinding, waitsOf } from '../deadlock.ts';
import type { Explorer } from '../explorer.ts';
import type { ScheduleResult } from '../result.ts';
import { findingOf } from '../run-schedule.ts';
import type { Strategy } from '../strategy.ts';
import {
  type MakeExecution,
  type Schedule,
  type SearchResult,
  searchExhaustively,
} from './search.ts';

export interface ExhaustiveOptions {
  readonly executionLimit: number;
  /** Absent: the explorer's. */
  readonly stepLimit?: number;
  /** CPUs that may change places; their own areas go with them. */
  readonly groups?: readonly (readonly number[])[];
  /** For tests: count what is the same, leave nothing out. */
  readonly prune?: boolean;
  expired?(): boolean;
  traced?(keys: readonly number[]): void;
}

export interface ExhaustiveResult {
  readonly search: SearchResult;
  /** The first execution that broke a rule. */
  readonly failure: ScheduleResult | null;
}

export function runExhaustive(explorer: Explorer, options: ExhaustiveOptions): ExhaustiveResult {
  const search = searchExhaustively({
    ...options,
    symmetric: {
      groups: options.groups ?? [],
      areas: explorer.setup.perCpu,
      areaBytes: PER_CPU_BYTES,
      prune: options.prune ?? true,
    },
    makeExecution: fromBoot(explorer),
    stepLimit: options.stepLimit ?? explorer.stepLimit,
    ended: (_, ending) => {
      if (ending === 'deadlocked') {
        const finding = deadlockFinding(explorer);
        explorer.fail(explorer.observer?.stalled?.(waitsOf(explorer), finding) ?? finding);
      }
      explorer.observer?.finish?.();
      explorer.setup.finish?.();
    },
  });
  const { failure } = search;
  return { search, failure: failure && toResult(explorer, failure.error, failure.schedule) };
}

/** The same explorer over and over: each execution starts from its boot. */
export function fromBoot(explorer: Explorer): MakeExecution {
  return (choose) => {
    const strategy: Strategy = {
      name: 'exhaustive',
      begin: () => {},
      chooseAgent: () => explorer.enabled[0]!,
      chooseValue: choose,
    };
    explorer.begin(strategy);
    return explorer;
  };
}

function toResult(explorer: Explorer, error: unknown, schedule: Schedule): ScheduleResult {
  explorer.finding ??= findingOf(error, explorer);
  return {
    outcome: 'failed',
    finding: explorer.finding,
    steps: explorer.stepCount,
    contextSwitches: explorer.contextSwitches,
    reached: explorer.reached,
    agents: Int32Array.from(schedule.agents),
    values: Int32Array.from([...schedule.firstValues, ...schedule.values.flat()]),
    divergedAt: '',
  };
}
