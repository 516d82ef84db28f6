/**
 * Runs with tracing on: a recorded schedule again (what failed, step by step, and its choice log),
 * or a choice log by event identity.
 */

import { type ChoiceLog, toChoiceLog } from './choice-log.ts';
import { EventTracer } from './event-tracer.ts';
import type { Explorer } from './explorer.ts';
import type { ScheduleResult, TraceStep } from './result.ts';
import { runSchedule } from './run-schedule.ts';
import { Recorded } from './strategies/recorded.ts';
import { Replay } from './strategies/replay.ts';
import type { Strategy } from './strategy.ts';

export interface TracedResult extends ScheduleResult {
  readonly trace: readonly TraceStep[];
  readonly log: ChoiceLog;
}

/** The same schedule again: `agents` and `values` of a result of this build. */
export function traceSchedule(
  explorer: Explorer,
  agents: ArrayLike<number>,
  values: ArrayLike<number>,
): TracedResult {
  return runTraced(explorer, new EventTracer(explorer), new Recorded(agents, values));
}

/** A choice log, perhaps of another build. */
export function replayLog(explorer: Explorer, log: ChoiceLog): TracedResult {
  const tracer = new EventTracer(explorer);
  return runTraced(explorer, tracer, new Replay(log, tracer));
}

function runTraced(explorer: Explorer, tracer: EventTracer, strategy: Strategy): TracedResult {
  explorer.tracer = tracer;
  try {
    const result = runSchedule(explorer, strategy, 0);
    const trace = tracer.trace();
    return { ...result, trace, log: toChoiceLog(trace, explorer.cpuCount, explorer.values) };
  } finally {
    explorer.tracer = null;
  }
}
