/**
 * Programs that are the same: an execution in which two of them have changed places is no new one.
 *
 * Two uses. Before: if the trace so far stays what it is when CPUs p and q change places, whatever
 * starts with q is a renaming of what starts with p, so q need not go once p has gone. After: two
 * explored traces may still be renamings of each other (the first steps of p and q commute, what
 * follows differs); the least key over all renamings tells, of 52 bits: with a million traces two
 * of them are taken for one with probability 1e-4, which makes a count wrong and leaves no trace
 * unexplored.
 */

import { assert } from '../../../base/assert.ts';
import { hash32 } from '../../../base/random.ts';
import type { Trace } from './trace.ts';

/** All renamings are tried: 5! of one group. */
const MOST_RENAMINGS = 120;

export class Symmetry {
  readonly #trace: Trace;
  readonly #groups: readonly (readonly number[])[];
  /** By renaming: the new number of each CPU. The first changes nothing. */
  readonly #renamings: readonly (readonly number[])[];
  readonly #seen = new Set<number>();

  constructor(trace: Trace, groups: readonly (readonly number[])[]) {
    this.#trace = trace;
    this.#groups = groups;
    const cpus = Array.from({ length: trace.cpuCount }, (_, cpu) => cpu);
    let renamings = [cpus];
    for (const group of groups) {
      renamings = renamings.flatMap((renaming) =>
        permutations(group).map((images) => {
          const next = [...renaming];
          for (const [at, cpu] of group.entries()) next[cpu] = images[at]!;
          return next;
        }),
      );
      assert(renamings.length <= MOST_RENAMINGS, 'symmetric groups have at most 120 renamings');
    }
    this.#renamings = renamings;
  }

  /** Is the trace as it ended no renaming of an earlier one? */
  isNew(): boolean {
    if (this.#renamings.length === 1) return true;
    const key = Math.min(...this.#renamings.map((renaming) => this.#key(renaming)));
    if (this.#seen.has(key)) return false;
    this.#seen.add(key);
    return true;
  }

  /** Agents that are this one renamed, with the trace so far as it is. */
  forEachImage(agent: number, visit: (image: number) => void): void {
    const cpus = this.#trace.cpuCount;
    const cpu = agent % cpus;
    for (const group of this.#groups) {
      if (!group.includes(cpu)) continue;
      for (const other of group) {
        if (other !== cpu && this.#canSwap(cpu, other)) visit(agent - cpu + other);
      }
    }
  }

  /** Does the trace stay the same when two CPUs change places? */
  #canSwap(p: number, q: number): boolean {
    const trace = this.#trace;
    const image = (agent: number): number => {
      const cpu = agent % trace.cpuCount;
      return cpu === p ? agent - p + q : cpu === q ? agent - q + p : agent;
    };
    for (let agent = 0; agent < trace.agentCount; agent++) {
      const own = trace.positions[agent]!;
      const others = trace.positions[image(agent)]!;
      if (own.length !== others.length) return false;
      for (let at = 0; at < own.length; at++) {
        if (!this.#sameStep(own[at]!, others[at]!, image)) return false;
      }
    }
    return true;
  }

  #sameStep(a: number, b: number, image: (agent: number) => number): boolean {
    const trace = this.#trace;
    if (trace.kind[a] !== trace.kind[b] || trace.bytes[a] !== trace.bytes[b]) return false;
    if (trace.hi[a] !== trace.hi[b] || trace.lo[a] !== trace.lo[b]) return false;
    if (trace.values[a]!.join() !== trace.values[b]!.join()) return false;
    for (let agent = 0; agent < trace.agentCount; agent++) {
      if (trace.clock(a, agent) !== trace.clock(b, image(agent))) return false;
    }
    return true;
  }

  /** Of the steps by agent, with clocks: of the trace, not of the order they were taken in. */
  #key(renaming: readonly number[]): number {
    const trace = this.#trace;
    const cpus = trace.cpuCount;
    const original = Array.from({ length: trace.agentCount }, () => 0);
    for (let agent = 0; agent < trace.agentCount; agent++) {
      original[agent - (agent % cpus) + renaming[agent % cpus]!] = agent;
    }
    let high = trace.values[trace.capacity]!.reduce((hash, value) => hash32(hash, value, 0, 0), 0);
    let low = 1;
    for (const agent of original) {
      for (const at of trace.positions[agent]!) {
        high = hash32(high, trace.kind[at]!, trace.lo[at]!, trace.hi[at]!);
        low = hash32(low, trace.kind[at]!, trace.lo[at]!, trace.bytes[at]!);
        for (const value of trace.values[at]!) high = hash32(high, low, value, 1);
        for (const other of original) {
          high = hash32(high, trace.clock(at, other), low, 2);
          low = hash32(low, trace.clock(at, other), high, 3);
        }
      }
      high = hash32(high, low, 0, 4);
    }
    return (high >>> 0) * 0x10_0000 + ((low >>> 0) & 0xf_ffff);
  }
}

function permutations(items: readonly number[]): number[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((first) =>
    permutations(items.filter((item) => item !== first)).map((rest) => [first, ...rest]),
  );
}
