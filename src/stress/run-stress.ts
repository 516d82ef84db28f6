/** `numalab stress` from a plan to judged results: target after target, time shared out. */

import { explain, runCampaign } from './campaign.ts';
import type { FailureStory } from './explain-failure.ts';
import { StressPool } from './pool.ts';
import { commandOf, type Judged, titleOf } from './report.ts';
import type { StressPlan } from './request.ts';
import { meaningOf } from './verdict.ts';

export interface StressListener {
  /** Several times a second while schedules run. */
  progress(title: string, schedules: number, seconds: number): void;
  judged(judged: Judged): void;
}

/** Failures that are made short and told with --keep-going. */
const STORIES_MAX = 10;
const PROGRESS_MS = 200;

export async function runStress(
  plan: StressPlan,
  listener: StressListener,
  signal: AbortSignal,
): Promise<readonly Judged[]> {
  const pool = new StressPool(plan.jobs);
  const endMs = performance.now() + (plan.timeMs ?? 0);
  const all: Judged[] = [];
  try {
    for (const [index, entry] of plan.targets.entries()) {
      // What one target leaves over goes to those after it.
      const share = (endMs - performance.now()) / (plan.targets.length - index);
      const timeMs = plan.timeMs === null ? null : Math.max(1, share);
      const judged = await stressOne(plan, entry, timeMs, pool, listener, signal);
      listener.judged(judged);
      all.push(judged);
      if (judged.meaning.verdict === 'failed' && !plan.keepGoing) break;
    }
    return all;
  } finally {
    await pool.destroy();
  }
}

async function stressOne(
  plan: StressPlan,
  { setup, target }: StressPlan['targets'][number],
  timeMs: number | null,
  pool: StressPool,
  listener: StressListener,
  signal: AbortSignal,
): Promise<Judged> {
  const { name, mutant } = setup.target;
  const title = titleOf({ name, mutant });
  const startMs = performance.now();
  const timer = setInterval(
    () => listener.progress(title, pool.done, (performance.now() - startMs) / 1000),
    PROGRESS_MS,
  );
  try {
    const budget = { schedules: plan.schedules, timeMs, keepGoing: plan.keepGoing };
    const result = await runCampaign(setup, budget, pool, signal);
    const stories: FailureStory[] = [];
    for (const failure of result.failures.slice(0, STORIES_MAX)) {
      stories.push(await explain(setup, failure, pool, signal));
    }
    const meaning = meaningOf(result, target);
    return { name, mutant, result, meaning, stories, command: commandOf(setup.target) };
  } finally {
    clearInterval(timer);
  }
}
