/**
 * The score of one mutant: in how many schedules each strategy finds it, by the oracles that are
 * expected to speak; or, for what must not be found, how many schedules stayed silent.
 *
 * A strategy is tried with several seeds; the median over seeds is the figure (seeds that found
 * nothing within the budget count as more than any number).
 */

import type { MemoryModel } from '../../engine/explore/execution.ts';
import { runSchedule } from '../../engine/explore/run-schedule.ts';
import { RandomWalk } from '../../engine/explore/strategies/random.ts';
import type { Strategy } from '../../engine/explore/strategy.ts';
import type { Mutant } from '../mutant.ts';
import { observeExplorer } from '../oracles/all.ts';
import { type OpenTarget, openTarget } from '../run-target.ts';
import { measure } from './score-performance.ts';
import { STRATEGIES, stepLimitOf, strategyOptions } from './score-strategies.ts';

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
  /** Of the short schedule that `numalab stress mutant=ID` prints; absent: nothing fails. */
  readonly short?: ShortSchedule;
  readonly seconds: number;
  /** As it should be. */
  readonly right: boolean;
}

export interface ShortSchedule {
  /** Of the mistake; null: none is claimed. */
  readonly depth: number | null;
  readonly switches: number;
  readonly preemptions: number;
  readonly lateStores: number;
  readonly trials: number;
  readonly milliseconds: number;
  readonly signature: string;
  readonly replay: string;
}

const SEEDS = 3;
/** Random walks that tell how long a schedule is: a mutant may cut some short. */
const TRIALS = 8;
/** Schedules per seed and strategy: first for all, then for what no strategy has found. */
const KILL_BUDGETS = [200, 6000] as const;
/** Per strategy and model. */
const SILENT_BUDGET = 1000;
/** Other strategies are given up when they are so much slower than one that has found it. */
const ENOUGH_MIN = 20;
/** Long schedules get fewer: so many steps together, per strategy and seed. */
const KILL_STEPS = 1_500_000;
const SILENT_STEPS = 150_000;

export function scoreMutant(mutant: Mutant): MutantScore {
  const startMs = performance.now();
  const { id, name, change, model, oracles } = mutant;
  const facts = { id, name, change, model, expected: oracles };
  if (mutant.notHere !== undefined) {
    const none = { kills: [], said: mutant.notHere, schedules: 0, seconds: 0 };
    return { ...facts, ...none, verdict: 'not run', right: true };
  }
  const score = scoreOf(mutant);
  const seconds = (performance.now() - startMs) / 1000;
  const right = score.verdict === 'killed' || score.verdict === 'silent';
  return { ...facts, ...score, seconds, right };
}

function scoreOf(mutant: Mutant): Outcome {
  if (mutant.oracles.length > 0) return hunt(mutant);
  const silent = listen(mutant);
  if (mutant.measured === undefined || silent.verdict === 'alarm') return silent;
  return measure(mutant.measured, SEEDS, silent.schedules);
}

export type Outcome = Pick<MutantScore, 'verdict' | 'kills' | 'said' | 'schedules'>;

function hunt(mutant: Mutant): Outcome {
  const model: MemoryModel = mutant.model === 'tso' ? 'tso' : 'sc';
  const { open, expected } = openMutant(mutant, model);
  const hunted: Hunted = { kills: [], said: '', schedules: 0 };
  for (const budget of KILL_BUDGETS) {
    const affordable = Math.min(budget, Math.ceil(KILL_STEPS / expected));
    if (hunted.kills.length === 0) huntWithin(mutant, open, expected, affordable, hunted);
  }
  const kills = hunted.kills.sort((a, b) => a.schedules - b.schedules);
  const { said, schedules } = hunted;
  if (said !== '') return { verdict: 'wrong oracle', kills, said, schedules };
  if (kills.length === 0) return { verdict: 'missed', kills, said, schedules };
  if (model === 'sc') return { verdict: 'killed', kills, said, schedules };
  // A mutant of store buffers must not show without them.
  const early = listen(mutant, ['sc']);
  const all = schedules + early.schedules;
  if (early.verdict === 'alarm') return { ...early, kills, schedules: all };
  return { verdict: 'killed', kills, said, schedules: all };
}

interface Hunted {
  readonly kills: Kill[];
  said: string;
  schedules: number;
}

/** Every strategy, every seed, until found or out of budget. */
function huntWithin(
  mutant: Mutant,
  open: OpenTarget,
  expected: number,
  budget: number,
  hunted: Hunted,
): void {
  const isLast = budget > KILL_BUDGETS[0];
  let enough = budget;
  // The second time one strategy is enough, those with a bound first.
  for (const { name, make } of isLast ? [...STRATEGIES.slice(1), STRATEGIES[0]!] : STRATEGIES) {
    if (isLast && hunted.kills.length > 0) return;
    const counts: number[] = [];
    let oracle = '';
    for (let seed = 1; seed <= SEEDS; seed++) {
      const found = search(open, make(strategyOptions(seed, expected)), enough);
      hunted.schedules += found.schedules;
      if (found.oracle === '') continue;
      if (!mutant.oracles.includes(found.oracle)) {
        hunted.said = `${found.oracle}: ${found.text}`;
        continue;
      }
      counts.push(found.schedules);
      oracle = found.oracle;
    }
    if (counts.length * 2 > SEEDS) {
      const schedules = medianOf(counts, SEEDS);
      hunted.kills.push({ strategy: name, oracle, schedules });
      enough = Math.min(enough, Math.max(ENOUGH_MIN, schedules * 4));
    }
  }
}

/** Nobody may say anything, whatever the strategy and the model. */
function listen(mutant: Mutant, models: readonly MemoryModel[] = ['sc', 'tso']): Outcome {
  let schedules = 0;
  for (const model of models) {
    const { open, expected } = openMutant(mutant, model);
    const budget = Math.min(SILENT_BUDGET, Math.ceil(SILENT_STEPS / expected));
    for (const { make } of STRATEGIES) {
      const found = search(open, make(strategyOptions(1, expected)), budget);
      schedules += found.schedules;
      if (found.oracle === '') continue;
      const said = `${model}: ${found.oracle}: ${found.text}`;
      return { verdict: 'alarm', kills: [], said, schedules };
    }
  }
  return { verdict: 'silent', kills: [], said: '', schedules };
}

/** Its target, and the steps of a usual schedule: those of the first random walks. */
function openMutant(mutant: Mutant, model: MemoryModel): { open: OpenTarget; expected: number } {
  const target = mutant.make();
  const open = (stepLimit?: number): OpenTarget =>
    openTarget(target, target.usual, {
      model,
      seed: 1,
      ...(stepLimit === undefined ? {} : { stepLimit }),
      observe: (explorer) => observeExplorer(explorer, target),
    });
  const trial = open();
  let expected = 1;
  for (let schedule = 0; schedule < TRIALS; schedule++) {
    const { steps } = runSchedule(trial.explorer, new RandomWalk(0), schedule);
    expected = Math.max(expected, steps);
  }
  return { open: open(stepLimitOf(expected)), expected };
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
