/**
 * Strategies as a campaign uses them: those of the engine by name, and the mix that is used unless
 * told. In a mix schedules take turns, so that each kind of mistake meets the strategy that finds
 * it soon; which one runs schedule i depends on i alone.
 */

import { UserError } from '../base/errors.ts';
import { given } from '../base/parse-quantity.ts';
import { didYouMean } from '../base/suggest.ts';
import { estimateSteps } from '../engine/explore/estimate-steps.ts';
import type { Execution } from '../engine/explore/execution.ts';
import type { Explorer } from '../engine/explore/explorer.ts';
import { makeStrategy } from '../engine/explore/strategies/strategies.ts';
import type { Strategy, StrategyOptions } from '../engine/explore/strategy.ts';

/** What `--strategy` takes. */
export const STRATEGY_DESCRIPTIONS = {
  mix: 'all that choose at random, in turns',
  random: 'random walk: any agent that can go on',
  pct: 'random priorities and few changes (ASPLOS 2010), depth 2 and 3 in turns: has a bound',
  pos: 'partial order sampling: random priorities of pending steps (CAV 2018)',
  urw: 'uniform random walk: every interleaving alike, if lengths are as expected',
  starve: 'some agents get no turn for a while (chaos mode of rr)',
  exhaustive: 'every schedule that differs (source-DPOR), for small programs',
} as const;
export type StrategyName = keyof typeof STRATEGY_DESCRIPTIONS;
export const STRATEGY_NAMES = Object.keys(STRATEGY_DESCRIPTIONS) as readonly StrategyName[];

/** Parts of a strategy, in turns; the digit behind pct is the depth of the mistake it looks for. */
const PARTS = {
  mix: ['random', 'pct2', 'pos', 'pct3', 'urw', 'starve'],
  random: ['random'],
  pct: ['pct2', 'pct3'],
  pos: ['pos'],
  urw: ['urw'],
  starve: ['starve'],
  /** Of the minimiser, not of the command line. */
  'few preemptions': ['pct1', 'pct2', 'pct3', 'pct4'],
} as const satisfies Readonly<Record<string, readonly string[]>>;

/** PCT goes on at random after so many times the usual length of a schedule. */
const FAIR_AFTER = 4;

/** `explorer`: runs a few schedules, to know how long they are. */
export function strategyFor(name: keyof typeof PARTS, explorer: Explorer, seed: number): Turns {
  const estimate = estimateSteps(explorer, seed);
  const options = { ...estimate, seed, fairAfter: FAIR_AFTER * estimate.expectedSteps };
  return new Turns(PARTS[name].map((part) => partNamed(part, options)));
}

interface Part {
  readonly name: string;
  readonly strategy: Strategy;
}

function partNamed(name: string, options: Omit<StrategyOptions, 'depth'>): Part {
  const depth = Number(/\d+$/.exec(name)?.[0] ?? 1);
  return { name, strategy: makeStrategy(name.replace(/\d+$/, ''), { ...options, depth }) };
}

/** Schedule i goes to part i modulo their number. */
export class Turns implements Strategy {
  readonly #parts: readonly Part[];
  #current: Part;

  constructor(parts: readonly Part[]) {
    this.#parts = parts;
    this.#current = parts[0]!;
  }

  /** Of the schedule begun last. */
  get name(): string {
    return this.#current.name;
  }

  get fairFrom(): number {
    return this.#current.strategy.fairFrom ?? Number.POSITIVE_INFINITY;
  }

  begin(schedule: number, execution: Execution): void {
    this.#current = this.#parts[schedule % this.#parts.length]!;
    this.#current.strategy.begin(schedule, execution);
  }

  chooseAgent(execution: Execution): number {
    return this.#current.strategy.chooseAgent(execution);
  }

  chooseValue(count: number, execution: Execution): number {
    return this.#current.strategy.chooseValue(count, execution);
  }

  taken(agent: number, execution: Execution): void {
    const { strategy } = this.#current;
    if (strategy.taken !== undefined) strategy.taken(agent, execution);
  }
}

export function parseStrategy(text: string): StrategyName {
  const name = STRATEGY_NAMES.find((candidate) => candidate === text);
  if (name !== undefined) return name;
  const near = didYouMean(text, STRATEGY_NAMES) || `; one of ${STRATEGY_NAMES.join(', ')}`;
  throw new UserError(`--strategy: there is no strategy ${given(text)}${near}`);
}
