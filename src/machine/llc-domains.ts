/**
 * Domains of the last-level caches that keep lines of other nodes (`coherence.llcPlacement` =
 * requester): a core complex where the machine has clusters of several CPUs (EPYC's CCX), else a
 * die. Every domain is a part of one node; with llcPlacement = home, or on one node, or without a
 * last-level cache, there is none.
 *
 * A node's capacity is given as a whole: each of its domains has an equal part, in whole sets.
 */

import { assert } from '../base/assert.ts';
import type { CacheGeometry, Machine } from './machine.ts';

export interface LlcDomains {
  readonly count: number;
  readonly ofCpu: Int32Array;
  readonly nodeOf: Int32Array;
  readonly cache: CacheGeometry;
  /** Ports of a domain: its part of the node's. */
  readonly slices: number;
}

export function llcDomains(machine: Machine): LlcDomains | null {
  const { cpuCount, nodeCount, llc } = machine;
  if (machine.llcPlacement === 'home' || nodeCount === 1 || llc.sets === 0) return null;
  const clustered = new Set(machine.clusterOfCpu).size < cpuCount;
  const group = clustered ? machine.clusterOfCpu : machine.dieOfCpu;
  const ofCpu = new Int32Array(cpuCount);
  const nodes: number[] = [];
  const numbers = new Map<number, number>();
  for (let cpu = 0; cpu < cpuCount; cpu++) {
    const node = machine.nodeOfCpu[cpu]!;
    // A made-up machine may have clusters that reach over a node's end: they end there.
    const key = group[cpu]! * nodeCount + node;
    const known = numbers.get(key) ?? nodes.length;
    if (known === nodes.length) {
      numbers.set(key, known);
      nodes.push(node);
    }
    ofCpu[cpu] = known;
  }
  const perNode = Math.max(...nodes.map((node) => nodes.filter((other) => other === node).length));
  const sets = Math.floor(llc.sets / perNode);
  assert(sets > 0, 'a domain without last-level sets');
  return {
    count: nodes.length,
    ofCpu,
    nodeOf: Int32Array.from(nodes),
    cache: { ...llc, sets, bytes: sets * llc.ways * 64 },
    slices: Math.max(1, Math.floor(machine.homeSlices / perNode)),
  };
}
