/**
 * What a campaign without a failure means, and how little it may mean: how likely PCT's schedules
 * would have missed a mistake of depth 2 or 3 (Burckhardt et al., ASPLOS 2010: one schedule finds a
 * mistake of depth d with probability 1 / (n k^(d-1)) or more, n threads, k steps), which goals
 * were reached, and which could not be with so few CPUs or operations.
 */

import type { CampaignResult } from './campaign.ts';
import type { Goal, StressSize, StressTarget } from './target.ts';

/**
 * vacuous: the budget was used up and a goal in reach was missed, so that the pass says nothing.
 * incomplete: time ran out before the budget did.
 */
export type Verdict = 'passed' | 'failed' | 'vacuous' | 'incomplete';

export interface Residual {
  readonly depth: number;
  /** Schedules of PCT with this depth. */
  readonly schedules: number;
  /** At most so likely all of them missed a mistake of this depth. */
  readonly missProbability: number;
}

export interface Meaning {
  readonly verdict: Verdict;
  readonly reached: readonly string[];
  /** In reach, and not met. */
  readonly missed: readonly Goal[];
  /** Not with this size, or not by this strategy. */
  readonly outOfReach: readonly Goal[];
  readonly residuals: readonly Residual[];
  /** n and k of the residuals. */
  readonly agents: number;
  readonly stepsMax: number;
}

const DEPTHS = [2, 3];

export function meaningOf(result: CampaignResult, target: StressTarget): Meaning {
  const { size, model, strategy } = result.setup;
  // What was reached was in reach, whatever is declared.
  const inReach = (goal: Goal): boolean =>
    result.reached.has(goal.name) || (allows(goal, size) && goal.notBy?.[strategy] === undefined);
  const goals = target.goals.filter(inReach);
  const missed = goals.filter(({ name }) => !result.reached.has(name));
  // Each store buffer is one more thread that a scheduler moves.
  const agents = size.cpus * (model === 'tso' ? 2 : 1);
  return {
    verdict: verdictOf(result, missed.length > 0),
    reached: goals.filter(({ name }) => result.reached.has(name)).map(({ name }) => name),
    missed,
    outOfReach: target.goals.filter((goal) => !inReach(goal)),
    residuals: DEPTHS.flatMap((depth) => {
      const schedules = result.byStrategy.get(`pct${depth}`) ?? 0;
      if (schedules === 0) return [];
      return [
        {
          depth,
          schedules,
          missProbability: missProbability(agents, result.stepsMax, depth, schedules),
        },
      ];
    }),
    agents,
    stepsMax: result.stepsMax,
  };
}

/** Can programs of this size get there? */
export function allows(goal: Goal, size: StressSize): boolean {
  if (goal.unreachable !== undefined) return false;
  return sizesOf(goal).some(
    ({ cpus, operations }) => size.cpus >= cpus && size.operations >= operations,
  );
}

/** From any of these on a goal is in reach. */
export function sizesOf({ leastCpus, leastOperations, or = [] }: Goal): readonly StressSize[] {
  return [{ cpus: leastCpus, operations: leastOperations }, ...or];
}

function verdictOf(result: CampaignResult, missesGoals: boolean): Verdict {
  if (result.failed > 0) return 'failed';
  if (!result.isComplete) return 'incomplete';
  return missesGoals ? 'vacuous' : 'passed';
}

/** (1 - p)^m, p = 1 / (n k^(d-1)). */
export function missProbability(
  agents: number,
  steps: number,
  depth: number,
  schedules: number,
): number {
  const p = 1 / (agents * Math.max(1, steps) ** (depth - 1));
  return Math.exp(schedules * Math.log1p(-Math.min(p, 1 - 1e-12)));
}
