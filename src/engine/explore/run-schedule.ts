/**
 * One schedule from boot to its end: the strategy chooses, the explorer takes steps, and what ends
 * it becomes a result. Nobody can go on: deadlock. Step limit under a fair scheduler without
 * progress in its last half: livelock.
 */

import { BugError, UserError } from '../../base/errors.ts';
import { OPERATION_NAMES } from './attempts.ts';
import { DivergedError } from './choice-log.ts';
import { deadlockFinding, waitsOf } from './deadlock.ts';
import type { Explorer } from './explorer.ts';
import {
  type ExploreFinding,
  type Outcome,
  ProgramFault,
  ScheduleEnd,
  type ScheduleResult,
} from './result.ts';
import type { Strategy } from './strategy.ts';

/** How V8 says that what was yielded is no generator (cpu-stack.ts). */
const NO_GENERATOR = '.prototype.next called on incompatible receiver';

const NOTHING = new Int32Array(0);

/** Runs schedule number `schedule`; agents and values are kept unless it passed. */
export function runSchedule(
  explorer: Explorer,
  strategy: Strategy,
  schedule: number,
): ScheduleResult {
  let outcome: Outcome;
  let divergedAt = '';
  try {
    strategy.begin(schedule, explorer);
    explorer.begin(strategy);
    outcome = runSteps(explorer, strategy);
    if (outcome === 'passed') {
      explorer.observer?.finish?.();
      explorer.setup.finish?.();
    }
  } catch (error) {
    // A user's own file breaks its contract: no finding about the schedule.
    if (error instanceof UserError) throw error;
    if (error instanceof DivergedError) {
      outcome = 'diverged';
      divergedAt = error.message;
    } else {
      explorer.finding ??= findingOf(error, explorer);
      outcome = 'failed';
    }
  }
  const passed = outcome === 'passed';
  return {
    outcome,
    finding: explorer.finding,
    steps: explorer.stepCount,
    contextSwitches: passed ? 0 : explorer.contextSwitches,
    reached: explorer.reached,
    agents: passed ? NOTHING : explorer.agents.slice(0, explorer.stepCount),
    values: passed ? NOTHING : Int32Array.from(explorer.values),
    divergedAt,
  };
}

function runSteps(explorer: Explorer, strategy: Strategy): Outcome {
  const { stepLimit } = explorer;
  const tells = strategy.taken !== undefined;
  while (explorer.enabledCount > 0) {
    if (explorer.stepCount >= stepLimit) return atLimit(explorer, strategy);
    const agent = strategy.chooseAgent(explorer);
    explorer.take(agent);
    if (tells) strategy.taken!(agent, explorer);
  }
  if (explorer.finished) return 'passed';
  const finding = deadlockFinding(explorer);
  explorer.fail(explorer.observer?.stalled?.(waitsOf(explorer), finding) ?? finding);
}

function atLimit(explorer: Explorer, strategy: Strategy): Outcome {
  const { stepLimit, lastProgress } = explorer;
  const fairFrom = strategy.fairFrom ?? Number.POSITIVE_INFINITY;
  if (Math.max(fairFrom, lastProgress) > stepLimit / 2) return 'step-limit';
  const finding = livelockFinding(explorer);
  explorer.fail(explorer.observer?.endless?.(finding.cpus, finding) ?? finding);
}

export function livelockFinding(explorer: Explorer): ExploreFinding {
  const live = explorer.cpus.filter((cpu) => !cpu.finished);
  const doing = live.map((cpu) => `CPU ${cpu.id} in ${OPERATION_NAMES[cpu.op]}`);
  return {
    oracle: 'livelock',
    cpus: live.map(({ id }) => id),
    text: `no progress under a fair scheduler (step limit reached): ${doing.join(', ')}`,
    hi: explorer.hi[live[0]?.id ?? 0]!,
    lo: explorer.lo[live[0]?.id ?? 0]!,
  };
}

/** What a program threw: its own assertion, or anything else. */
export function findingOf(error: unknown, explorer: Explorer): ExploreFinding {
  if (error instanceof ScheduleEnd && explorer.finding !== null) return explorer.finding;
  const id = explorer.running;
  const cpu = explorer.cpus[id]!;
  const where = { cpus: [id], hi: explorer.hi[id]!, lo: explorer.lo[id]! };
  if (error instanceof ProgramFault) return { oracle: 'program', text: error.message, ...where };
  const text = error instanceof Error ? error.message : String(error);
  if (error instanceof BugError) return { oracle: 'assertion', text, ...where };
  if (error instanceof TypeError && text.includes(NO_GENERATOR)) {
    const what = 'yields an object: a program yields nothing or a generator';
    return { oracle: 'program', text: `the program of CPU ${id} ${what}`, ...where };
  }
  const name = error instanceof Error ? error.name : 'a value';
  const after = OPERATION_NAMES[cpu.op]!;
  return {
    oracle: 'program',
    text: `the program of CPU ${id} throws after ${after}: ${name}: ${text}`,
    ...where,
  };
}
