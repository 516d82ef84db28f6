/**
 * The small machine of targets: two nodes, a few CPUs, the features of a bundled machine. Only the
 * timed engine looks at its costs; a schedule under control looks at nodes and CPU numbers.
 */

import { bundledProfile } from '../../machine/bundled.ts';
import type { Machine } from '../../machine/machine.ts';
import { toProfile } from '../../machine/profile.ts';
import { resolveProfile } from '../../machine/resolve.ts';

const BASE = 'graviton4_2p';

/** `cpus` CPUs on two nodes (one, for a single CPU, or if told); first node first. */
export function stressMachine(cpus: number, nodesMax = 2): Machine {
  const first = Math.ceil(cpus / Math.min(cpus, nodesMax));
  const lists = first === cpus ? [listOf(0, cpus)] : [listOf(0, first), listOf(first, cpus)];
  const nodes = lists.length;
  const raw = {
    name: `stress-${cpus}`,
    description: `${cpus} CPUs on ${nodes} nodes, as ${BASE}`,
    topology: {
      cpus: lists,
      sockets: lists.map((_, node) => node),
      memory: lists.map(() => '1G'),
    },
  };
  return resolveProfile(toProfile(raw, raw.name, bundledProfile(BASE)));
}

/** A cpulist of [from, to). */
function listOf(from: number, to: number): string {
  return to - from === 1 ? `${from}` : `${from}-${to - 1}`;
}
