/**
 * The score of one mutant: in how many schedules each strategy finds it, by the oracles that are
 * expected to speak; or, for what must not be found, how many schedules stayed silent.
 *
 * A strategy is tried with several seeds; the median over seeds is the figure (seeds that found
 * nothing within the budget count as more than any number).
 */

import type { MemoryModel } from '../../engine/explore/execution.ts';
import { runSchedule } from '../../engine/explore/run-schedule.ts';
import type { Strategy } from '../../engine/explore/strategy.ts';
import type { Mutant } from '../mutant.ts';
import { observeExplorer } from '../oracles/all.ts';
import { type OpenTarget, openTarget } from '../run-target.ts';
import { STRATEGIES } from './score-strategies.ts';

/** Of a strategy that found the mutant with most of its seeds. */
export interface Kill {
  readonly strategy: string;
  readonly oracle: string;
  /** Median number of schedules. */
  readonly schedules: number;
}

export interface MutantScore {
  readonly id: string;
  readonly name: string;
  readonly change: string;
  readonly model: string;
  readonly expected: readonly string[];
  readonly verdict: 'killed' | 'silent' | 'missed' | 'wrong oracle' | 'alarm' | 'not run';
  /** By strategy; the quickest first. */
  readonly kills: readonly Kill[];
  /** What an oracle said that was not expected to. */
  readonly said: string;
  readonly schedules: number;
  readonly seconds: number;
  /** As it should be. */
  readonly right: boolean;
}

const SEEDS = 3;
/** Schedules per seed and strategy. */
const KILL_BUDGET = 3000;
const SILENT_BUDGET = 2000;

export function scoreMutant(mutant: Mutant): MutantScore {
  const startMs = performance.now();
  const { id, name, change, model, oracles } = mutant;
  const facts = { id, name, change, model, expected: oracles };
  if (mutant.notHere !== undefined) {
    const none = { kills: [], said: mutant.notHere, schedules: 0, seconds: 0 };
    return { ...facts, ...none, verdict: 'not run', right: true };
  }
  const score = oracles.length > 0 ? hunt(mutant) : listen(mutant);
  const seconds = (performance.now() - startMs) / 1000;
  const right = score.verdict === 'killed' || score.verdict === 'silent';
  return { ...facts, ...score, seconds, right };
}

type Outcome = Pick<MutantScore, 'verdict' | 'kills' | 'said' | 'schedules'>;

/** Every strategy, every seed, until found. */
function hunt(mutant: Mutant): Outcome {
  const memoryModel: MemoryModel = mutant.model === 'tso' ? 'tso' : 'sc';
  const open = openMutant(mutant, memoryModel);
  const kills: Kill[] = [];
  let said = '';
  let schedules = 0;
  for (const { name, make } of STRATEGIES) {
    const counts: number[] = [];
    let oracle = '';
    for (let seed = 1; seed <= SEEDS; seed++) {
      const found = search(open, make(seed), KILL_BUDGET);
      schedules += found.schedules;
      if (found.oracle === '') continue;
      if (!mutant.oracles.includes(found.oracle)) {
        said = `${found.oracle}: ${found.text}`;
        continue;
      }
      counts.push(found.schedules);
      oracle = found.oracle;
    }
    if (counts.length * 2 > SEEDS) {
      kills.push({ strategy: name, oracle, schedules: medianOf(counts, SEEDS) });
    }
  }
  kills.sort((a, b) => a.schedules - b.schedules);
  if (said !== '') return { verdict: 'wrong oracle', kills, said, schedules };
  // A mutant of store buffers must not show without them.
  if (memoryModel === 'tso') {
    const { verdict, said: early, schedules: more } = listen(mutant, ['sc']);
    if (verdict === 'alarm') return { verdict, kills, said: early, schedules: schedules + more };
    schedules += more;
  }
  return { verdict: kills.length > 0 ? 'killed' : 'missed', kills, said, schedules };
}

/** Nobody may say anything, whatever the strategy and the model. */
function listen(mutant: Mutant, models: readonly MemoryModel[] = ['sc', 'tso']): Outcome {
  let schedules = 0;
  for (const model of models) {
    const open = openMutant(mutant, model);
    for (const { make } of STRATEGIES) {
      const found = search(open, make(1), SILENT_BUDGET);
      schedules += found.schedules;
      if (found.oracle === '') continue;
      const said = `${model}: ${found.oracle}: ${found.text}`;
      return { verdict: 'alarm', kills: [], said, schedules };
    }
  }
  return { verdict: 'silent', kills: [], said: '', schedules };
}

function openMutant(mutant: Mutant, model: MemoryModel): OpenTarget {
  const target = mutant.make();
  return openTarget(target, target.usual, {
    model,
    seed: 1,
    observe: (explorer) => observeExplorer(explorer, target),
  });
}

interface Found {
  readonly schedules: number;
  /** '' = nothing found. */
  readonly oracle: string;
  readonly text: string;
}

function search({ explorer }: OpenTarget, strategy: Strategy, budget: number): Found {
  for (let schedule = 0; schedule < budget; schedule++) {
    const { outcome, finding } = runSchedule(explorer, strategy, schedule);
    if (outcome !== 'failed') continue;
    return { schedules: schedule + 1, oracle: finding!.oracle, text: finding!.text };
  }
  return { schedules: budget, oracle: '', text: '' };
}

/** Median of `count` numbers of which those missing are larger than all. */
function medianOf(numbers: readonly number[], count: number): number {
  return [...numbers].sort((a, b) => a - b)[Math.floor((count - 1) / 2)]!;
}
