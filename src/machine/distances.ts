/**
 * From published figures to the way between nodes (ER-T3, ER-T4). X(a, b) is the one-way time that
 * every message between two nodes takes at least: half of what remote memory costs more than local
 * memory, or half of what a transfer between the nodes costs more than one inside a node, whichever
 * is smaller in either direction. X is then closed under shortest paths, because the proofs of the
 * coherence protocol need the triangle inequality. What a published figure costs beyond 2X is a
 * fixed extra that delays grants (never losses), so that the figures come out to the picosecond.
 */

import { assert } from '../base/assert.ts';

export interface NodeLatencies {
  readonly nodeCount: number;
  /** Memory latency by [node of the CPU, node of the memory], picoseconds. */
  readonly memoryPs: Float64Array;
  /** Cache-to-cache transfer by node pair; NaN where nothing is said. */
  readonly transferPs: Float64Array;
  /** Transfer inside a node. */
  readonly transferNodePs: number;
}

export interface Distances {
  readonly hopPs: Float64Array;
  readonly leastHopPs: number;
  readonly memoryExtraPs: Float64Array;
  readonly transferExtraPs: Float64Array;
}

export function distancesOf(latencies: NodeLatencies): Distances {
  const { nodeCount, memoryPs, transferPs, transferNodePs } = latencies;
  const hopPs = directHops(latencies);
  closeUnderShortestPaths(hopPs, nodeCount);
  const memoryExtraPs = new Float64Array(nodeCount * nodeCount);
  const transferExtraPs = new Float64Array(nodeCount * nodeCount);
  let leastHopPs = Number.POSITIVE_INFINITY;
  for (let from = 0; from < nodeCount; from++) {
    for (let to = 0; to < nodeCount; to++) {
      if (from === to) continue;
      const at = from * nodeCount + to;
      const bothWaysPs = 2 * hopPs[at]!;
      leastHopPs = Math.min(leastHopPs, hopPs[at]!);
      memoryExtraPs[at] = memoryPs[at]! - memoryPs[to * nodeCount + to]! - bothWaysPs;
      assert(memoryExtraPs[at]! >= 0, `hop ${from}-${to} is longer than the memory latency allows`);
      if (Number.isNaN(transferPs[at])) continue;
      transferExtraPs[at] = transferPs[at]! - transferNodePs - bothWaysPs;
      assert(transferExtraPs[at]! >= 0, `hop ${from}-${to} is longer than a transfer allows`);
    }
  }
  return { hopPs, leastHopPs, memoryExtraPs, transferExtraPs };
}

/** What the memory figures alone allow for one way, by direction. */
export function hopFromMemoryPs(latencies: NodeLatencies, from: number, to: number): number {
  const { nodeCount, memoryPs } = latencies;
  return (memoryPs[from * nodeCount + to]! - memoryPs[to * nodeCount + to]!) / 2;
}

/** What the transfer figures alone allow; NaN where nothing is said. */
export function hopFromTransferPs(latencies: NodeLatencies, from: number, to: number): number {
  return (latencies.transferPs[from * latencies.nodeCount + to]! - latencies.transferNodePs) / 2;
}

function directHops(latencies: NodeLatencies): Float64Array {
  const { nodeCount } = latencies;
  const hopPs = new Float64Array(nodeCount * nodeCount);
  for (let a = 0; a < nodeCount; a++) {
    for (let b = 0; b < nodeCount; b++) {
      if (a === b) continue;
      const candidates = [
        hopFromMemoryPs(latencies, a, b),
        hopFromMemoryPs(latencies, b, a),
        hopFromTransferPs(latencies, a, b),
        hopFromTransferPs(latencies, b, a),
      ].filter((candidate) => !Number.isNaN(candidate));
      hopPs[a * nodeCount + b] = Math.floor(Math.min(...candidates));
    }
  }
  return hopPs;
}

/** Floyd and Warshall; nodes are few. */
function closeUnderShortestPaths(hopPs: Float64Array, nodeCount: number): void {
  for (let via = 0; via < nodeCount; via++) {
    for (let from = 0; from < nodeCount; from++) {
      for (let to = 0; to < nodeCount; to++) {
        const detour = hopPs[from * nodeCount + via]! + hopPs[via * nodeCount + to]!;
        if (detour < hopPs[from * nodeCount + to]!) hopPs[from * nodeCount + to] = detour;
      }
    }
  }
}
