/**
 * Which node a user page comes from (Linux mm/mempolicy.c: alloc_pages_mpol, interleave_nid,
 * policy_node): the node of the CPU that faults, round robin over the nodes by the page's place in
 * its VMA, or one node only.
 *
 * Deviations: bind takes one node; table pages always come from the CPU's node.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import type { Machine } from '../../machine/machine.ts';
import type { PageAllocator } from '../base/page-allocator.ts';
import { MigrateType } from '../base/zone.ts';

/** Plain data. */
export interface NumaPolicy {
  readonly kind: 'first-touch' | 'interleave' | 'bind';
  readonly bindNode: number;
  /** Nodes with memory, for interleave. */
  readonly nodes: readonly number[];
}

export function makeNumaPolicy(
  machine: Machine,
  kind: NumaPolicy['kind'],
  bindNode: number,
): NumaPolicy {
  const nodes: number[] = [];
  for (let node = 0; node < machine.nodeCount; node++) {
    if (machine.memoryBytesOfNode[node]! > 0) nodes.push(node);
  }
  return { kind, bindNode, nodes };
}

/** A user page; `index`: its number inside the VMA, in units of its order. Results as allocate. */
export function* allocateUserPage(
  cpu: Cpu,
  pages: PageAllocator,
  policy: NumaPolicy,
  order: number,
  index: number,
): Program {
  const { kind, bindNode, nodes } = policy;
  let node = cpu.node;
  if (kind === 'bind') node = bindNode;
  if (kind === 'interleave') node = nodes[index % nodes.length]!;
  yield* pages.allocate(cpu, node, order, MigrateType.Movable, kind === 'bind');
}
