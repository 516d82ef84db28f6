/**
 * How many interleavings one trace has: linear extensions of its happens-before, as a natural
 * logarithm. Exact by counting ways to each set of steps that is closed downwards, while those are
 * few; else by random descents (Knuth 1975), which are right on average.
 */

import type { RandomStream } from '../../../base/random.ts';
import type { Trace } from './trace.ts';

const MOST_SETS = 1 << 16;
const DESCENTS = 16;

export function logLinearExtensions(trace: Trace, stream: RandomStream): number {
  const agents = Array.from({ length: trace.agentCount }, (_, agent) => agent);
  const active = agents.filter((agent) => trace.positions[agent]!.length > 0);
  const sets = active.reduce((product, agent) => product * (1 + lengthOf(trace, agent)), 1);
  return sets <= MOST_SETS ? exact(trace, active, sets) : estimated(trace, active, stream);
}

function lengthOf(trace: Trace, agent: number): number {
  return trace.positions[agent]!.length;
}

/** A set is the number of steps it has of each agent, as digits; smaller sets come first. */
function exact(trace: Trace, active: readonly number[], sets: number): number {
  const ways = new Float64Array(sets);
  const taken = new Int32Array(trace.agentCount);
  ways[0] = 1;
  for (let set = 0; set < sets; set++) {
    if (ways[set] !== 0) {
      let weight = 1;
      for (const agent of active) {
        if (canFollow(trace, active, taken, agent)) ways[set + weight]! += ways[set]!;
        weight *= 1 + lengthOf(trace, agent);
      }
    }
    for (const agent of active) {
      if (taken[agent]!++ < lengthOf(trace, agent)) break;
      taken[agent] = 0;
    }
  }
  return Math.log(ways[sets - 1]!);
}

/** Is the agent's next step above nothing but what has been taken? */
function canFollow(
  trace: Trace,
  active: readonly number[],
  taken: Int32Array,
  agent: number,
): boolean {
  const position = trace.positions[agent]![taken[agent]!];
  if (position === undefined) return false;
  for (const other of active) {
    if (other !== agent && trace.clock(position, other) > taken[other]!) return false;
  }
  return true;
}

function estimated(trace: Trace, active: readonly number[], stream: RandomStream): number {
  const logs: number[] = [];
  const taken = new Int32Array(trace.agentCount);
  for (let descent = 0; descent < DESCENTS; descent++) {
    taken.fill(0);
    let log = 0;
    for (let step = 0; step < trace.length; step++) {
      const next = active.filter((agent) => canFollow(trace, active, taken, agent));
      const left = next.map((agent) => lengthOf(trace, agent) - taken[agent]!);
      const { index, probability } = pickWeighted(left, stream);
      taken[next[index]!]!++;
      log -= Math.log(probability);
    }
    logs.push(log);
  }
  return logMean(logs);
}

/** Index by weight, and how probable it was. */
export function pickWeighted(
  weights: readonly number[],
  stream: RandomStream,
): { readonly index: number; readonly probability: number } {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let ticket = stream.below(total);
  let index = 0;
  while (ticket >= weights[index]!) ticket -= weights[index++]!;
  return { index, probability: weights[index]! / total };
}

/** Logarithm of the mean of the numbers with these logarithms. */
export function logMean(logs: readonly number[]): number {
  const most = logs.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const sum = logs.reduce((total, log) => total + Math.exp(log - most), 0);
  return most + Math.log(sum / logs.length);
}
