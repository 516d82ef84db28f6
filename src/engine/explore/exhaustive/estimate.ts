/**
 * How large a search will be, before it is started: several guesses at the number of traces
 * (population.ts), whose mean is right on average, and whose spread is what they are worth.
 * Guesses of large numbers are spread over powers of ten, so a number alone would be no answer.
 */

import { UserError } from '../../../base/errors.ts';
import { RandomStream } from '../../../base/random.ts';
import { countByPopulation, type PopulationResult } from './population.ts';
import { PrivateWords } from './private-words.ts';
import type { MakeExecution } from './search.ts';

/** Random descents to see how long executions are and who touches which words. */
const DESCENTS = 40;
const GUESSES = 8;
const WIDTH_MIN = 16;
const WIDTH_MAX = 256;
/** Guesses made again because a word thought to be private was not. */
const SURPRISES_MAX = 4;
const BUDGET = 800_000;

export interface EstimateOptions {
  readonly makeExecution: MakeExecution;
  readonly stepLimit: number;
  readonly seed: number;
  /** Steps of all guesses together; absent: half a second or so. */
  readonly budget?: number;
  /** Asked again and again; false: enough. */
  goesOn?(): boolean;
}

export interface SizeEstimate {
  /** Mean of the guesses. */
  readonly executions: number;
  /** The least and the most of them. */
  readonly atLeast: number;
  readonly atMost: number;
  /** All of the tree was seen, as far as private words are private: the three are the number. */
  readonly isExact: boolean;
  /** The steps of a guess were used up, and the rest of it is rough. */
  readonly isCut: boolean;
  /** Mean steps of an execution. */
  readonly steps: number;
  /** Steps of the longest that was seen. */
  readonly longest: number;
}

export function estimateSize(options: EstimateOptions): SizeEstimate {
  const stream = new RandomStream(options.seed, 'search size', 0);
  const { cpuCount } = options.makeExecution(() => 0);
  const words = new PrivateWords(cpuCount);
  const lengths = Array.from({ length: DESCENTS }, () => descend(options, words, stream));
  const steps = lengths.reduce((sum, length) => sum + length, 0) / DESCENTS;
  const { makeExecution, stepLimit, budget: all = BUDGET } = options;
  const budget = all / GUESSES;
  // To reach each of its nodes an execution starts again.
  const fitting = Math.floor(budget / (Math.max(...lengths) * steps + 1));
  const width = Math.min(WIDTH_MAX, Math.max(WIDTH_MIN, fitting));
  const guesses: PopulationResult[] = [];
  for (let again = 0; guesses.length < GUESSES && guesses[0]?.isExact !== true; ) {
    const before = words.surprises;
    const common = { makeExecution, words, stream, width, stepLimit, budget };
    const goesOn = (): boolean => options.goesOn?.() !== false;
    const guess = countByPopulation({ ...common, goesOn });
    if (words.surprises === before || again++ === SURPRISES_MAX) guesses.push(guess);
  }
  const traces = guesses.map((guess) => Math.max(1, guess.traces));
  return {
    executions: traces.reduce((sum, each) => sum + each, 0) / traces.length,
    atLeast: Math.min(...traces),
    atMost: Math.max(...traces),
    isExact: guesses[0]!.isExact && !guesses[0]!.isCut,
    isCut: guesses.some(({ isCut }) => isCut),
    steps,
    longest: Math.max(...lengths),
  };
}

/** One way down; its number of steps. */
function descend(options: EstimateOptions, words: PrivateWords, stream: RandomStream): number {
  let steps = 0;
  if (options.goesOn?.() === false) return 0;
  try {
    const execution = options.makeExecution((count) => stream.below(count));
    while (execution.enabledCount > 0 && steps < options.stepLimit) {
      const agent = execution.enabled[stream.below(execution.enabledCount)]!;
      words.see(execution, agent);
      execution.take(agent);
      steps++;
    }
  } catch {
    // It breaks a rule: the search will say so.
  }
  return steps;
}

/** The same up to renaming: at least a share of the traces, as there are renamings. */
export function upToRenaming(
  size: SizeEstimate,
  groups: readonly (readonly number[])[],
): SizeEstimate {
  const factorial = (count: number): number => (count < 2 ? 1 : count * factorial(count - 1));
  const renamings = groups.reduce((all, group) => all * factorial(group.length), 1);
  if (renamings === 1) return size;
  return {
    ...size,
    executions: Math.max(1, size.executions / renamings),
    atLeast: Math.max(1, size.atLeast / renamings),
    isExact: false,
  };
}

/** "about 702", or "between 3e4 and 8e5". */
export function sizeText({ atLeast, atMost, isExact }: SizeEstimate): string {
  if (isExact) return `about ${Math.round(atLeast)}`;
  const [least, most] = [roundedText(atLeast), roundedText(atMost)];
  return least === most ? `about ${least}` : `between ${least} and ${most}`;
}

function roundedText(value: number): string {
  return value < 1000 ? `${Math.round(value)}` : value.toExponential(0).replace('e+', 'e');
}

/**
 * Refuses a search that will hardly end: the least of the guesses counts, so that none is refused
 * for one strange guess, unless executions are so long that the guesses themselves were cut short.
 * `what` names the program: "ticket with 4 CPUs".
 */
export function requireSearchable(estimate: SizeEstimate, limit: number, what: string): void {
  const { atLeast, atMost, isCut } = estimate;
  if ((isCut ? atMost : atLeast) <= limit) return;
  throw new UserError(
    `exhaustive: ${what} has ${sizeText(estimate)} executions of ` +
      `${Math.round(estimate.steps)} steps, the limit is ${limit}: use fewer CPUs or operations, ` +
      'strategy pct or pos, which sample, or --time, for a part of them',
  );
}
