/**
 * What `numalab stress mutant=ID` does with a seeded mistake, in this thread: the campaign's first
 * failing schedule, made short, and the string that replays it.
 */

import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { packageRoot } from '../../base/package-root.ts';
import {
  type CampaignSetup,
  type MinimiseTask,
  NO_FAILURE,
  type ScheduleFailure,
  type ScheduleTask,
  Shared,
} from '../campaign-task.ts';
import { explainFailure, type FailureStory } from '../explain-failure.ts';
import type { Mutant } from '../mutant.ts';
import { runSchedules } from '../run-schedules.ts';
import { STEP_LIMIT } from '../run-target.ts';
import { type MutantScore, scoreMutant } from './score.ts';

/** As the command line has them unless told. */
const SCHEDULES = 20_000;
const CHUNK = 250;
/** Preemptions and late stores of a short schedule are the depth of the mistake and so many. */
const ALLOWANCE = 2;

/** Has a short schedule as few preemptions and late stores as is promised? */
export function isShortEnough(
  depth: number | undefined,
  { preemptions, lateStores }: Pick<FailureStory, 'preemptions' | 'lateStores'>,
): boolean {
  return depth === undefined || preemptions + lateStores <= depth + ALLOWANCE;
}

/** Its score, with the figures of its short schedule. */
export async function scoreAndShorten(mutant: Mutant): Promise<MutantScore> {
  const score = scoreMutant(mutant);
  if (mutant.oracles.length === 0 || score.verdict !== 'killed') return score;
  const story = await shortenMutant(mutant);
  if (story === null) return { ...score, right: false, said: 'numalab stress does not find it' };
  const { switches, preemptions, lateStores, trials, minimisedMs, replay, signature } = story;
  const figures = { switches, preemptions, lateStores, trials, milliseconds: minimisedMs };
  const short = { depth: mutant.depth ?? null, ...figures, signature, replay };
  if (isShortEnough(mutant.depth, story)) return { ...score, short };
  const said = `its short schedule has more than ${mutant.depth! + ALLOWANCE} preemptions`;
  return { ...score, short, right: false, said };
}

export async function shortenMutant(mutant: Mutant): Promise<FailureStory | null> {
  const { id, name } = mutant;
  const setup: CampaignSetup = {
    target: { name, mutant: id, lock: null },
    size: mutant.make().usual,
    model: 'tso',
    strategy: 'mix',
    seed: 1,
    stepLimit: STEP_LIMIT,
    oracles: [],
  };
  const shared = new SharedArrayBuffer(4 * (Shared.Hearts + 1));
  new Int32Array(shared)[Shared.LowestFailure] = NO_FAILURE;
  const failure = await firstFailure(setup, shared);
  if (failure === null) return null;
  // Without a depth nothing is promised of it: the failing schedule is replayed as it is.
  const limitMs = mutant.depth === undefined ? 0 : Number.POSITIVE_INFINITY;
  const task: MinimiseTask = { kind: 'minimise', setup, failure, limitMs, worker: 0, shared };
  return explainFailure(task);
}

/** Runs the strings in one other process: the signature of each. */
export function replayedElsewhere(replays: readonly string[]): readonly string[] {
  const program = fileURLToPath(
    new URL('dist/src/stress/mutants/replay-strings.js', packageRoot()),
  );
  const input = `${replays.join('\n')}\n`;
  return execFileSync(process.execPath, [program], { input, encoding: 'utf8' }).trim().split('\n');
}

async function firstFailure(
  setup: CampaignSetup,
  shared: SharedArrayBuffer,
): Promise<ScheduleFailure | null> {
  const task: ScheduleTask = {
    kind: 'schedules',
    setup,
    count: SCHEDULES,
    chunk: CHUNK,
    keepGoing: false,
    worker: 0,
    shared,
  };
  const chunks = await runSchedules(task);
  return chunks.flatMap(({ failures }) => failures)[0] ?? null;
}
