/**
 * Programs that are the same: an execution in which two of them have changed places is no new one.
 *
 * Two uses. Before: if the trace so far stays what it is when CPUs p and q change places, whatever
 * starts with q is a renaming of what starts with p, so q need not go once p has gone. After: two
 * explored traces may still be renamings of each other (the first steps of p and q commute, what
 * follows differs); the least key over all renamings tells, of 52 bits: with a million traces two
 * of them are taken for one with probability 1e-4, which makes a count wrong and leaves no trace
 * unexplored.
 *
 * A renaming moves the CPUs' own areas with them: what p does to a word of q's area is, renamed,
 * what q does to that word of p's. All other words stay where they are.
 */

import { assert } from '../../../base/assert.ts';
import { hash32 } from '../../../base/random.ts';
import type { Address } from '../../../memory/physical-address.ts';
import type { Trace } from './trace.ts';

/** CPUs that run the same program, and where their own memory lies. */
export interface Interchangeable {
  /** Disjoint; the CPUs of each may change places. */
  readonly groups: readonly (readonly number[])[];
  /** Physical address of each CPU's own area, and how long they are; none: they own nothing. */
  readonly areas?: readonly Address[];
  readonly areaBytes?: number;
  /** Leave out what would be a renaming; false: only count (for tests). Absent: true. */
  readonly prune?: boolean;
}

/** All renamings are tried: 5! of one group. */
const MOST_RENAMINGS = 120;

/** Groups with as many of their CPUs as keep the renamings few: less is left out, never a trace. */
export function withFewRenamings(groups: readonly (readonly number[])[]): number[][] {
  let renamings = 1;
  return groups.map((group) =>
    group.filter((_, at) => {
      if (renamings * (at + 1) > MOST_RENAMINGS) return false;
      renamings *= at + 1;
      return true;
    }),
  );
}

export class Symmetry {
  readonly #trace: Trace;
  readonly #groups: readonly (readonly number[])[];
  readonly #areas: readonly Address[];
  readonly #areaBytes: number;
  readonly #prunes: boolean;
  /** By renaming: the new number of each CPU. The first changes nothing. */
  readonly #renamings: readonly (readonly number[])[];
  readonly #seen = new Set<number>();

  constructor(trace: Trace, { groups, areas, areaBytes, prune }: Interchangeable) {
    this.#trace = trace;
    this.#groups = groups;
    this.#areas = areas ?? [];
    this.#areaBytes = areaBytes ?? 0;
    this.#prunes = prune ?? true;
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
    const key = Math.min(...this.keys());
    if (this.#seen.has(key)) return false;
    this.#seen.add(key);
    return true;
  }

  /** Of the trace as it ended: its own key, then those of its renamings. */
  keys(): number[] {
    return this.#renamings.map((renaming) => this.#key(renaming));
  }

  /** Agents that are this one renamed, with the trace so far as it is. */
  forEachImage(agent: number, visit: (image: number) => void): void {
    const cpus = this.#trace.cpuCount;
    const cpu = agent % cpus;
    for (const group of this.#prunes ? this.#groups : []) {
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
        if (!this.#isImage(own[at]!, others[at]!, image)) return false;
      }
    }
    return true;
  }

  #isImage(a: number, b: number, image: (agent: number) => number): boolean {
    const trace = this.#trace;
    if (trace.kind[a] !== trace.kind[b] || trace.bytes[a] !== trace.bytes[b]) return false;
    const owner = this.#ownerOf(a);
    if (trace.hi[b] !== this.#renamedHi(a, owner, owner < 0 ? owner : image(owner))) return false;
    if (trace.lo[b] !== this.#renamedLo(a, owner, owner < 0 ? owner : image(owner))) return false;
    if (trace.values[a]!.join() !== trace.values[b]!.join()) return false;
    for (let agent = 0; agent < trace.agentCount; agent++) {
      if (trace.clock(a, agent) !== trace.clock(b, image(agent))) return false;
    }
    return true;
  }

  /** The CPU in whose area a step's word is; -1: in none. */
  #ownerOf(position: number): number {
    const { hi, lo } = this.#trace;
    return this.#areas.findIndex((area) => {
      const offset = (lo[position]! >>> 0) - (area.lo >>> 0);
      return area.hi === hi[position] && offset >= 0 && offset < this.#areaBytes;
    });
  }

  #renamedHi(position: number, owner: number, next: number): number {
    return owner < 0 ? this.#trace.hi[position]! : this.#areas[next]!.hi;
  }

  #renamedLo(position: number, owner: number, next: number): number {
    const lo = this.#trace.lo[position]!;
    return owner < 0 ? lo : (lo - this.#areas[owner]!.lo + this.#areas[next]!.lo) | 0;
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
        const owner = this.#ownerOf(at);
        const next = owner < 0 ? owner : (renaming[owner] ?? owner);
        const lo = this.#renamedLo(at, owner, next);
        high = hash32(high, trace.kind[at]!, lo, this.#renamedHi(at, owner, next));
        low = hash32(low, trace.kind[at]!, lo, trace.bytes[at]!);
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
