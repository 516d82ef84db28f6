/**
 * How large a search will be, before it is started: the number of traces by random descents.
 *
 * Source: Knuth, "Estimating the efficiency of backtrack programs", Math. Comp. 29 (1975): one
 * divided by the probability of a random way down is the number of leaves on average. Leaves here
 * are traces, so the probability is that of all interleavings of the trace together
 * (trace-probability.ts); that of the one interleaving would give their number, which is far from
 * it, and a mean of far more spread. Agents are drawn by the steps they have left, as far as
 * earlier descents tell.
 */

import { UserError } from '../../../base/errors.ts';
import { RandomStream } from '../../../base/random.ts';
import { exp2, log2 } from './logarithm.ts';
import type { MakeExecution } from './search.ts';
import { Trace } from './trace.ts';
import { logMean, logProbability, pickWeighted, type Weight } from './trace-probability.ts';

/** Descents before those that count. */
const TRIALS = 4;

export interface EstimateOptions {
  readonly makeExecution: MakeExecution;
  readonly stepLimit: number;
  readonly seed: number;
  readonly descents: number;
  readonly symmetric?: readonly (readonly number[])[];
}

export interface SizeEstimate {
  /** Mean of the descents: right on average, with one descent in a hundred often most of it. */
  readonly executions: number;
  /**
   * Their geometric mean, which is smaller on average than the number: what a search is refused by,
   * so that none is refused for one strange descent.
   */
  readonly atLeast: number;
  /** Mean steps of an execution. */
  readonly steps: number;
}

export function estimateSize(options: EstimateOptions): SizeEstimate {
  const stream = new RandomStream(options.seed, 'search size', 0);
  const first = options.makeExecution(() => 0);
  const trace = new Trace(first, options.stepLimit);
  const expected = new Float64Array(first.agentCount);
  const logs: number[] = [];
  let steps = 0;
  // The first descents only tell how many steps each agent takes.
  for (let descent = -TRIALS; descent < options.descents; descent++) {
    const weight = weightBy(expected);
    const logChoices = descend(options, trace, weight, stream);
    if (descent < 0) {
      for (let agent = 0; agent < expected.length; agent++) {
        expected[agent] = Math.max(expected[agent]!, trace.positions[agent]!.length);
      }
      continue;
    }
    logs.push(logChoices - logProbability(trace, weight, stream));
    steps += trace.length;
  }
  const renamings = (options.symmetric ?? []).reduce((all, group) => all * factorial(group), 1);
  const size = (log: number): number => Math.max(1, exp2(log) / renamings);
  const meanLog = logs.reduce((sum, log) => sum + log, 0) / logs.length;
  return { executions: size(logMean(logs)), atLeast: size(meanLog), steps: steps / logs.length };
}

function weightBy(expected: Float64Array): Weight {
  return (agent, taken) => Math.max(1, expected[agent]! - taken);
}

/** One way down; log2 of the number of combinations of its free choices. */
function descend(
  options: EstimateOptions,
  trace: Trace,
  weight: Weight,
  stream: RandomStream,
): number {
  let logChoices = 0;
  const choose = (count: number): number => {
    logChoices += log2(count);
    return stream.below(count);
  };
  trace.clear();
  try {
    const execution = options.makeExecution(choose);
    while (execution.enabledCount > 0) {
      if (trace.length === options.stepLimit) return logChoices;
      const enabled = Array.from(execution.enabled.subarray(0, execution.enabledCount));
      const weights = enabled.map((agent) => weight(agent, trace.positions[agent]!.length));
      const agent = enabled[pickWeighted(weights, stream)]!;
      trace.begin(execution, agent);
      trace.reach();
      trace.commit();
      execution.take(agent);
    }
  } catch {
    // It breaks a rule: the search will say so.
  }
  return logChoices;
}

function factorial(group: readonly number[]): number {
  return group.reduce((product, _, at) => product * (at + 1), 1);
}

/** Refuses a search that will hardly end. `what` names the program: "ticket with 4 CPUs". */
export function requireSearchable(estimate: SizeEstimate, limit: number, what: string): void {
  if (estimate.atLeast <= limit) return;
  const count = estimate.atLeast.toExponential(0).replace('e+', 'e');
  throw new UserError(
    `exhaustive: ${what} has ${count} executions or more of ` +
      `${Math.round(estimate.steps)} steps, the limit is ${limit}: use fewer CPUs or operations, ` +
      `or strategy pct or pos, which sample`,
  );
}
