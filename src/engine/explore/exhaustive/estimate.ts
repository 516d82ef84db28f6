/**
 * How large a search will be, before it is started: the number of traces by random descents.
 *
 * Source: Knuth, "Estimating the efficiency of backtrack programs", Math. Comp. 29 (1975): the
 * product of the numbers of branches on a random way down is the number of leaves on average. The
 * leaves of a plain descent are interleavings; each stands for as many as its trace has, so the
 * product is divided by that (linear-extensions.ts), which gives traces on average, too. Agents are
 * drawn by the steps they have left (as far as earlier descents tell), so that all interleavings are
 * about equally likely and the products lie close together.
 */

import { UserError } from '../../../base/errors.ts';
import { RandomStream } from '../../../base/random.ts';
import type { Execution } from '../execution.ts';
import { logLinearExtensions, logMean, pickWeighted } from './linear-extensions.ts';
import type { MakeExecution } from './search.ts';
import { Trace } from './trace.ts';

export interface EstimateOptions {
  readonly makeExecution: MakeExecution;
  readonly stepLimit: number;
  readonly seed: number;
  readonly descents: number;
  readonly symmetric?: readonly (readonly number[])[];
}

export interface SizeEstimate {
  /** Traces; with symmetry about, because small traces have fewer renamings. */
  readonly executions: number;
  /** Mean steps of an execution. */
  readonly steps: number;
  /** Some descents were cut off at the step limit, or broke a rule: at least. */
  readonly atLeast: boolean;
}

export function estimateSize(options: EstimateOptions): SizeEstimate {
  const stream = new RandomStream(options.seed, 'search size', 0);
  const first = options.makeExecution(() => 0);
  const trace = new Trace(first, options.stepLimit);
  const expected = new Float64Array(first.agentCount);
  const logs: number[] = [];
  let steps = 0;
  let atLeast = false;
  // The first descent only tells how many steps each agent takes.
  for (let descent = -1; descent < options.descents; descent++) {
    const { log, whole } = descend(options, trace, expected, stream);
    for (let agent = 0; agent < expected.length; agent++) {
      expected[agent] = Math.max(expected[agent]!, trace.positions[agent]!.length);
    }
    if (descent < 0) continue;
    logs.push(log - logLinearExtensions(trace, stream));
    steps += trace.length;
    atLeast ||= !whole;
  }
  const renamings = (options.symmetric ?? []).reduce((all, group) => all * factorial(group), 1);
  const executions = Math.max(1, Math.exp(logMean(logs)) / renamings);
  return { executions, steps: steps / options.descents, atLeast };
}

/** One way down; the logarithm of the product of its branches. */
function descend(
  options: EstimateOptions,
  trace: Trace,
  expected: Float64Array,
  stream: RandomStream,
): { readonly log: number; readonly whole: boolean } {
  let log = 0;
  const choose = (count: number): number => {
    log += Math.log(count);
    return stream.below(count);
  };
  trace.clear();
  try {
    const execution = options.makeExecution(choose);
    while (execution.enabledCount > 0) {
      if (trace.length === options.stepLimit) return { log, whole: false };
      const weights = weightsOf(execution, trace, expected);
      const { index, probability } = pickWeighted(weights, stream);
      log -= Math.log(probability);
      const agent = execution.enabled[index]!;
      trace.begin(execution, agent);
      trace.reach();
      trace.commit();
      execution.take(agent);
    }
  } catch {
    // It breaks a rule: the search will say so.
    return { log, whole: false };
  }
  return { log, whole: true };
}

function weightsOf(execution: Execution, trace: Trace, expected: Float64Array): number[] {
  const enabled = Array.from(execution.enabled.subarray(0, execution.enabledCount));
  return enabled.map((agent) => Math.max(1, expected[agent]! - trace.positions[agent]!.length));
}

function factorial(group: readonly number[]): number {
  return group.reduce((product, _, at) => product * (at + 1), 1);
}

/** Refuses a search that will hardly end. `what` names the program: "ticket with 4 CPUs". */
export function requireSearchable(estimate: SizeEstimate, limit: number, what: string): void {
  if (estimate.executions <= limit) return;
  const count = estimate.executions.toExponential(0).replace('e+', 'e');
  throw new UserError(
    `exhaustive: ${what} has ${estimate.atLeast ? 'at least' : 'about'} ${count} executions of ` +
      `${Math.round(estimate.steps)} steps, the limit is ${limit}: use fewer CPUs or operations, ` +
      `or strategy pct or pos, which sample`,
  );
}
