/**
 * Shape and words of the tree that combines quiescent states (kernel/rcu/tree.h: struct rcu_node,
 * struct rcu_state; kernel/rcu/rcu.h: rcu_init_levelspread).
 *
 * Layout: gp_seq alone on its line; the line of the driver's word; a line per node, root first,
 * level by level; then a word per CPU with the watching counter that the first scan saw.
 */

import { assert } from '../../base/assert.ts';
import { PS_PER_US } from '../../base/units.ts';
import type { BootMemory } from '../../memory/boot.ts';
import { addBytes, toLinear } from '../../memory/physical-address.ts';

export const TreeGlobal = { Sequence: 0, Driver: 64, Nodes: 128 } as const;
/** Offsets in a node: spinlock, who is missing in this grace period, who ever is, gp_seq. */
export const TreeNode = { Lock: 0, Missing: 4, Members: 8, Sequence: 12 } as const;
const NODE_BYTES = 64;

/** Plain data, made by bootRcuTree. */
export interface RcuTreeImage {
  /** Linear-map address. */
  readonly hi: number;
  readonly lo: number;
  /** CPUs, or nodes, per node: RCU_FANOUT_LEAF and RCU_FANOUT are one number here. */
  readonly fanout: number;
  /** Nodes by level, root first. */
  readonly levels: readonly number[];
  readonly scanIntervalPs: number;
}

export interface RcuTreeOptions {
  readonly node: number;
  /** CPUs that may hold read-side sections. */
  readonly cpus: readonly number[];
  /** 16 in the kernel's default configuration; small ones make a tree of few CPUs. */
  readonly fanout?: number;
  readonly scanIntervalPs?: number;
}

/** Estimates as in rcu-callbacks.ts. */
const SCAN_INTERVAL_PS = 20 * PS_PER_US;
const FANOUT = 16;

export function levelsOf(cpuCount: number, fanout: number): number[] {
  const levels: number[] = [];
  let count = cpuCount;
  do {
    count = Math.ceil(count / fanout);
    levels.unshift(count);
  } while (count > 1);
  return levels;
}

export function bootRcuTree(boot: BootMemory, options: RcuTreeOptions): RcuTreeImage {
  const { cpuCount } = boot.machine;
  const fanout = options.fanout ?? FANOUT;
  assert(fanout >= 2 && fanout <= 31, `a fanout of ${fanout}`);
  const levels = levelsOf(cpuCount, fanout);
  const nodes = levels.reduce((sum, count) => sum + count, 0);
  const bytes = TreeGlobal.Nodes + nodes * NODE_BYTES + cpuCount * 4;
  const physical = boot.allocateNamed('rcu_state (tree)', options.node, bytes);
  const scanIntervalPs = options.scanIntervalPs ?? SCAN_INTERVAL_PS;
  const image = { ...toLinear(physical), fanout, levels, scanIntervalPs };
  let members = [...options.cpus];
  for (let level = levels.length - 1; level >= 0; level--) {
    const masks = new Map<number, number>();
    for (const member of members) {
      const node = Math.floor(member / fanout);
      masks.set(node, (masks.get(node) ?? 0) | (1 << (member % fanout)));
    }
    for (const [node, mask] of masks) {
      const at = addBytes(physical, nodeLo(image, level, node) - image.lo);
      boot.write32(at, TreeNode.Members, mask);
    }
    members = [...masks.keys()];
  }
  return image;
}

/** Address (low half) of a node; the high half is the image's. */
export function nodeLo(image: RcuTreeImage, level: number, index: number): number {
  let before = 0;
  for (let above = 0; above < level; above++) before += image.levels[above]!;
  return (image.lo + TreeGlobal.Nodes + (before + index) * NODE_BYTES) | 0;
}

/** Address (low half) of the counter that the first scan saw of a CPU. */
export function seenLo(image: RcuTreeImage, cpu: number): number {
  return (nodeLo(image, image.levels.length, 0) + cpu * 4) | 0;
}
