/**
 * `numalab stress --engine host`: target after target as a soak on real threads, by the clock and
 * not by schedules. There is no schedule to replay: a failure names the command that looks for one
 * where it can be.
 */

import { UserError } from '../base/errors.ts';
import { threeDigits } from '../base/units.ts';
import type { TargetReference } from './campaign-task.ts';
import { resolveTarget } from './registry.ts';
import { commandOf } from './report.ts';
import { resolveStress, type StressRequest } from './request.ts';
import {
  HOST_NOTE,
  type HostStress,
  hostSize,
  pinText,
  runHostTarget,
  sourceOf,
} from './run-target-host.ts';
import type { StressSize, StressTarget } from './target.ts';

export interface HostJudged {
  readonly reference: TargetReference;
  readonly size: StressSize;
  readonly seed: number;
  readonly outcome: HostStress;
}

export interface HostStressRun {
  /** In the order of their ends. */
  judged(judged: HostJudged): void;
  readonly signal: AbortSignal;
}

const SECONDS_ALONE = 5;
const SECONDS_IN_GROUP = 1;

/** What only an engine with schedules can do. */
const MEANINGLESS = ['strategy', 'memoryModel', 'schedules', 'jobs', 'oracle'] as const;

export async function runHostStress(
  request: StressRequest,
  { judged, signal }: HostStressRun,
): Promise<readonly HostJudged[]> {
  for (const key of MEANINGLESS) {
    if (request[key] === undefined) continue;
    const name = key === 'memoryModel' ? 'memory-model' : key;
    throw new UserError(`--${name}: the host engine chooses no schedules; leave it out`);
  }
  const plan = await resolveStress({ ...request, engine: 'explore' }, signal);
  const count = plan.targets.length;
  const seconds =
    plan.timeMs === null
      ? plan.isGroup
        ? SECONDS_IN_GROUP
        : SECONDS_ALONE
      : plan.timeMs / 1000 / count;
  const all: HostJudged[] = [];
  for (const { setup } of plan.targets) {
    const reference = setup.target;
    const target = await resolveTarget(reference);
    if (target.exploreOnly !== undefined) {
      if (plan.isGroup) continue;
      throw new UserError(`--engine host: not ${reference.name}: ${target.exploreOnly}`);
    }
    const size = sizeOf(target, request, setup.size);
    const { seed } = setup;
    const options = { seconds, seed, source: sourceOf(reference), signal };
    const one = { reference, size, seed, outcome: await runHostTarget(target, size, options) };
    judged(one);
    all.push(one);
    if (one.outcome.kind === 'failed' && !plan.keepGoing) break;
  }
  return all;
}

/** What the user gave, already checked; else what suits this engine. */
function sizeOf(target: StressTarget, request: StressRequest, checked: StressSize): StressSize {
  return hostSize(target, {
    ...(request.cpus === undefined ? {} : { cpus: checked.cpus }),
    ...(request.operations === undefined ? {} : { operations: checked.operations }),
  });
}

export function hostTitle({ name, mutant }: TargetReference): string {
  return mutant === '' ? name : `${mutant} ${name}`;
}

export async function hostTargetText({ reference, size, seed, outcome }: HostJudged) {
  const { kind, lines, tally, reached } = outcome;
  const { cpus, operations } = size;
  const time = `${threeDigits(tally.wallNs / 1e9)} s`;
  return [
    `${hostTitle(reference)}: ${cpus} CPUs, ${operations} operations each, host, seed ${seed}`,
    HOST_NOTE,
    `${cpus} threads, ${await pinText(cpus)}`,
    ...lines,
    `${kind}: ${tally.rounds} rounds in ${time}`,
    ...(reached.length > 0 ? [`  reached: ${reached.join(', ')}`] : []),
    ...(tally.lateWakes > 0 ? [`  ${tally.lateWakes} wake-ups came late`] : []),
    ...(kind === 'failed' ? [`look for a schedule: ${commandOf(reference)}`] : []),
  ].join('\n');
}

export function hostSummaryLine({ reference, outcome }: HostJudged): string {
  const { kind, tally, lines } = outcome;
  const rounds = `${tally.rounds} rounds`.padStart(12);
  const first = lines.slice(0, kind === 'failed' ? 2 : 1).join('; ');
  return `${hostTitle(reference).padEnd(20)} ${kind}${rounds}  ${first}`;
}

export function hostStressJson(all: readonly HostJudged[]): unknown {
  return {
    schema: 'numalab-stress-host-1',
    engine: 'host',
    note: HOST_NOTE,
    targets: all.map(({ reference, size, seed, outcome }) => ({
      target: reference.name,
      mutant: reference.mutant === '' ? null : reference.mutant,
      cpus: size.cpus,
      operations: size.operations,
      seed,
      verdict: outcome.kind,
      finding: outcome.finding,
      lines: outcome.lines,
      reached: outcome.reached,
      writes: outcome.tally.writes,
      reads: outcome.tally.reads,
      rounds: outcome.tally.rounds,
      wallNs: outcome.tally.wallNs,
    })),
  };
}
