/**
 * A schedule as a choice log: its segments (one agent's steps without a switch), each known by the
 * identity of its last event, and the values chosen inside steps, in order. It names no line and no
 * position, so it outlives edits of the source (ER-E5).
 */

import type { EventIdentity, TraceStep } from './result.ts';

export interface LogSegment extends EventIdentity {
  /** Which of the CPU's agents: 0 program, 1 drain, 2 DVM delivery, 3 interrupt, 4 walker. */
  readonly block: number;
}

export interface ChoiceLog {
  readonly segments: readonly LogSegment[];
  readonly values: readonly number[];
}

/** A replay met something that is not as its log says. */
export class DivergedError extends Error {
  override readonly name = 'DivergedError';
}

/** `values`: those chosen before the first step, too. */
export function toChoiceLog(
  trace: readonly TraceStep[],
  cpuCount: number,
  values: readonly number[],
): ChoiceLog {
  const segments: LogSegment[] = [];
  trace.forEach(({ agent, event }, at) => {
    if (trace[at + 1]?.agent === agent) return;
    segments.push({ block: Math.floor(agent / cpuCount), ...event });
  });
  return { segments, values: values.slice() };
}

/** The four parts of an identity that occurrences are counted by. */
export function eventKey({ cpu, program, operation, field }: EventIdentity): string {
  return `${cpu}|${program}|${operation}|${field}`;
}

/** "CPU 1 acquire: cas32 lock0, 2nd time". */
export function describeEvent({ cpu, program, operation, field, nth }: EventIdentity): string {
  const where = field === '' ? '' : ` ${field}`;
  return `CPU ${cpu} ${program}: ${operation}${where} (no. ${nth})`;
}
