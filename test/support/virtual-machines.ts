/**
 * Machines for random programs: the made-up test machine with everything that decides about time
 * and capacity drawn at random. Small caches and TLBs make evictions and walks common; equal
 * latencies and short grids make ties and boundary cases common. None of the figures describes
 * hardware.
 */

import { RandomStream } from '../../src/base/random.ts';
import { KIB } from '../../src/base/units.ts';
import { gridPs } from '../../src/machine/lookahead.ts';
import type { CacheGeometry, Machine } from '../../src/machine/machine.ts';
import { makeTestMachine } from './test-machine.ts';

/** Between nodes; 'dies': pairs of nodes 20 ns apart, the pairs 71 ns. */
const HOPS_PS = [20_000, 47_000, 71_000, 71_250, 33_333];

export interface MachineLimits {
  readonly cpuCounts: readonly number[];
  readonly nodeCounts: readonly number[];
}

const SMALL: MachineLimits = { cpuCounts: [4, 5, 6, 8], nodeCounts: [1, 2, 2, 4, 4] };

export function randomMachine(seed: number, limits: MachineLimits = SMALL): Machine {
  const stream = new RandomStream(seed, 'machine', 0);
  const pick = <T>(list: readonly T[]): T => list[stream.below(list.length)]!;
  const nodeCount = pick(limits.nodeCounts);
  const cpuCount = Math.max(nodeCount, pick(limits.cpuCounts));
  const base = makeTestMachine({ cpuCount, nodeCount });
  const dies = nodeCount === 4 && stream.below(2) === 0;
  const hop = pick(HOPS_PS);
  const socketOfNode = Int32Array.from({ length: nodeCount }, (_, node) =>
    dies ? node >> 1 : node,
  );
  const hopPs = square(nodeCount, (a, b) => {
    if (a === b) return 0;
    if (dies) return a >> 1 === b >> 1 ? 20_000 : 71_000;
    return hop;
  });
  const nodeOfCpu = base.nodeOfCpu;
  const clusterOfCpu = Int32Array.from(nodeOfCpu, (_, cpu) => cpu >> pick([0, 1]));
  const lookaheadPs = pick([20_000, 25_000, 30_000]);
  const later = (): number => lookaheadPs + pick([0, 0, 1, 5_000, 17_003]);
  const tiny = cacheSets(nodeCount);
  const l2Ways = pick([1, 2, 4]);
  return {
    ...base,
    name: `random ${seed}`,
    socketOfNode,
    socketOfCpu: Int32Array.from(nodeOfCpu, (node) => socketOfNode[node]!),
    clusterOfCpu,
    dieOfCpu: nodeOfCpu.slice(),
    hopPs,
    leastHopPs: nodeCount > 1 ? Math.min(...hopPs.filter((x) => x > 0)) : Number.POSITIVE_INFINITY,
    memoryExtraPs: square(nodeCount, (a, b) => (a === b ? 0 : pick([0, 48_000, 1]))),
    transferExtraPs: square(nodeCount, (a, b) => (a === b ? 0 : pick([0, 36_000, 3]))),
    l1i: cache(tiny, pick([1, 2]), pick([1_000, 2_000])),
    l1d: cache(tiny, pick([1, 2]), pick([1, 1_000, 1_430])),
    l2: cache(tiny, Math.max(2, l2Ways), pick([3_000, 5_000, 26_000])),
    llc: pick([cache(4, 2, 0), cache(64, 4, 0), cache(0, 1, 0)]),
    ...timings(pick, lookaheadPs, later),
    gridPs: gridPs(lookaheadPs, hopPs, socketOfNode),
    itlb: { entries: pick([2, 4]), ways: 0, penaltyPs: 0 },
    dtlb: { entries: pick([2, 4, 8]), ways: 0, penaltyPs: 0 },
    tlb2: { entries: pick([8, 16]), ways: pick([2, 4]), penaltyPs: pick([1_000, 3_500]) },
    walkCacheEntries: pick([1, 2, 4]),
    features: { ...base.features, hafdbs: pick(['none', 'af', 'dbm'] as const) },
    costsPs: base.costsPs.map(() => pick([1, 700, 5_000, 12_345])),
  };

  function timings(
    choose: typeof pick,
    least: number,
    atLeast: () => number,
  ): Pick<
    Machine,
    | 'dramPsOfNode'
    | 'transferClusterPs'
    | 'transferDiePs'
    | 'transferNodePs'
    | 'upgradePs'
    | 'lookaheadPs'
    | 'homeServicePs'
    | 'snoopPs'
    | 'homeSlices'
    | 'channelPsPerLine'
    | 'linkPsPerLine'
    | 'wakePs'
    | 'wakeSpreadPs'
    | 'dvmServicePs'
    | 'dvmAckPs'
    | 'dvmStallPs'
    | 'ipiPs'
  > {
    return {
      dramPsOfNode: base.dramPsOfNode.map(() => atLeast() + choose([0, 60_000, 100_000])),
      transferClusterPs: atLeast(),
      transferDiePs: atLeast(),
      transferNodePs: atLeast(),
      upgradePs: atLeast(),
      lookaheadPs: least,
      homeServicePs: choose([0, 2_000, 7_000]),
      snoopPs: choose([0, 500, 3_000]),
      homeSlices: choose([1, 2, 4]),
      channelPsPerLine: base.channelPsPerLine.map(() => choose([0, 500, 20_000])),
      linkPsPerLine: square(nodeCount, (a, b) => (a === b ? 0 : choose([0, 1_000, 15_000]))),
      wakePs: choose([0, 5_000]),
      wakeSpreadPs: choose([0, 8_000]),
      dvmServicePs: choose([0, 5_000, 20_000, 60_000]),
      dvmAckPs: atLeast(),
      dvmStallPs: choose([0, 300, 10_000, 40_000]),
      ipiPs: atLeast() + choose([0, 100_000, 475_000]),
    };
  }

  /** Fewest sets for which a tag of 30 bits reaches every node's memory. */
  function cacheSets(nodes: number): number {
    return 4 * nodes;
  }

  function cache(sets: number, ways: number, latencyPs: number): CacheGeometry {
    return {
      bytes: sets * ways * 64,
      ways,
      sets,
      latencyPs: latencyPs === 0 ? later() : latencyPs,
    };
  }
}

/** Bytes with contents per node: what bootCase of random-program-memory.ts takes. */
export function backedBytes(machine: Machine): number {
  const most = Math.ceil(machine.cpuCount / machine.nodeCount);
  return Math.max(512 * KIB, (256 + 64 * most) * KIB);
}

function square(count: number, value: (from: number, to: number) => number): Float64Array {
  return Float64Array.from({ length: count * count }, (_, i) =>
    value(Math.floor(i / count), i % count),
  );
}
