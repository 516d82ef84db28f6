/**
 * How probable it was that a random descent (estimate.ts) gave this trace, in any of its
 * interleavings, as a logarithm to base 2. Exact by passing it on through all sets of steps
 * that are closed downwards, while those are few; else the mean over random interleavings of the
 * trace.
 *
 * Deviation: who else could have gone from a set that the descent didn't pass is told from the
 * steps themselves. A conditional step counts as enabled only where all that it depends on is
 * done; a wait that an earlier write would have ended as well makes the estimate a little too
 * small.
 */

import type { RandomStream } from '../../../base/random.ts';
import { StepKind } from '../execution.ts';
import { exp2, log2 } from './logarithm.ts';
import type { Trace } from './trace.ts';

const MOST_SETS = 1 << 14;
const SAMPLES = 32;

/** By agent: its weight when it has taken so many steps. */
export type Weight = (agent: number, taken: number) => number;

export function logProbability(trace: Trace, weight: Weight, stream: RandomStream): number {
  return new TraceProbability(trace, weight).log(stream);
}

class TraceProbability {
  readonly #trace: Trace;
  readonly #weight: Weight;
  /** Agents that take steps. */
  readonly #active: readonly number[];
  /** The set: how many steps of each agent it has. */
  readonly #taken: Int32Array;
  /** Weights of agents that can go from the set; of those whose step keeps to the trace. */
  #enabledWeight = 0;
  #followWeight = 0;
  readonly #follows: Float64Array;

  constructor(trace: Trace, weight: Weight) {
    this.#trace = trace;
    this.#weight = weight;
    const agents = Array.from({ length: trace.agentCount }, (_, agent) => agent);
    this.#active = agents.filter((agent) => trace.positions[agent]!.length > 0);
    this.#taken = new Int32Array(trace.agentCount);
    this.#follows = new Float64Array(trace.agentCount);
  }

  log(stream: RandomStream): number {
    const sets = this.#active.reduce((product, agent) => product * this.#digits(agent), 1);
    return sets <= MOST_SETS ? this.#exact(sets) : this.#sampled(stream);
  }

  #digits(agent: number): number {
    return this.#trace.positions[agent]!.length + 1;
  }

  /** Sets are numbers with a digit for each agent, so smaller sets come first. */
  #exact(sets: number): number {
    const probability = new Float64Array(sets);
    probability[0] = 1;
    this.#taken.fill(0);
    for (let set = 0; set < sets; set++) {
      if (probability[set] !== 0) {
        this.#look();
        const share = probability[set]! / this.#enabledWeight;
        let place = 1;
        for (const agent of this.#active) {
          const follows = this.#follows[agent]!;
          if (follows > 0) probability[set + place]! += share * follows;
          place *= this.#digits(agent);
        }
      }
      for (const agent of this.#active) {
        if (++this.#taken[agent]! < this.#digits(agent)) break;
        this.#taken[agent] = 0;
      }
    }
    return log2(probability[sets - 1]!);
  }

  /** Descents that keep to the trace, each by how much likelier that made it. */
  #sampled(stream: RandomStream): number {
    const logs: number[] = [];
    for (let sample = 0; sample < SAMPLES; sample++) {
      this.#taken.fill(0);
      let log = 0;
      for (let step = 0; step < this.#trace.length; step++) {
        this.#look();
        log += log2(this.#followWeight / this.#enabledWeight);
        const weights = this.#active.map((agent) => this.#follows[agent]!);
        this.#taken[this.#active[pickWeighted(weights, stream)]!]!++;
      }
      logs.push(log);
    }
    return logMean(logs);
  }

  #look(): void {
    this.#enabledWeight = this.#followWeight = 0;
    for (const agent of this.#active) {
      this.#follows[agent] = 0;
      const position = this.#trace.positions[agent]![this.#taken[agent]!];
      if (position === undefined) continue;
      const follows = this.#isComplete(position, agent);
      if (!follows && !this.#canGo(position, agent)) continue;
      const weight = this.#weight(agent, this.#taken[agent]!);
      this.#enabledWeight += weight;
      if (!follows) continue;
      this.#followWeight += weight;
      this.#follows[agent] = weight;
    }
  }

  /** Is all that happens before the step in the set? */
  #isComplete(position: number, agent: number): boolean {
    for (const other of this.#active) {
      const before = this.#trace.clock(position, other);
      if (other !== agent && before > this.#taken[other]!) return false;
    }
    return true;
  }

  /** Could the step be taken out of turn, leaving the trace? */
  #canGo(position: number, agent: number): boolean {
    const trace = this.#trace;
    const cpu = agent % trace.cpuCount;
    switch (trace.kind[position]) {
      case StepKind.Read:
      case StepKind.Write:
      case StepKind.Buffer:
      case StepKind.Expire:
      case StepKind.Tlbi:
        return true;
      case StepKind.Update:
      case StepKind.Fence:
      case StepKind.Ipi:
      case StepKind.Wake: {
        const drain = trace.cpuCount + cpu;
        return trace.clock(position, drain) <= this.#taken[drain]!;
      }
      case StepKind.Drain:
        return trace.bufferedBy(cpu, this.#taken[agent]!) <= this.#taken[cpu]!;
      default:
        return false;
    }
  }
}

/** Index, drawn by weight. */
export function pickWeighted(weights: readonly number[], stream: RandomStream): number {
  let ticket = stream.below(weights.reduce((sum, weight) => sum + weight, 0));
  let index = 0;
  while (ticket >= weights[index]!) ticket -= weights[index++]!;
  return index;
}

/** Logarithm of the mean of the numbers with these logarithms. */
export function logMean(logs: readonly number[]): number {
  const most = logs.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const sum = logs.reduce((total, log) => total + exp2(log - most), 0);
  return most + log2(sum / logs.length);
}
