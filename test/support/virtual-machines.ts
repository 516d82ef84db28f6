/**
 * Machines for random programs: the made-up test machine with everything that decides about time
 * and capacity drawn at random. Small caches and TLBs make evictions and walks common, equal
 * latencies and short grids make ties and boundary cases common. No figure describes hardware.
 */

import { RandomStream } from '../../src/base/random.ts';
import { KIB } from '../../src/base/units.ts';
import { gridPs } from '../../src/machine/lookahead.ts';
import type { CacheGeometry, Machine } from '../../src/machine/machine.ts';
import { makeTestMachine } from './test-machine.ts';

/** Between nodes. */
const HOPS_PS = [20_000, 47_000, 71_000, 71_250, 33_333];

export interface MachineLimits {
  readonly cpuCounts: readonly number[];
  readonly nodeCounts: readonly number[];
  /** Default: home. */
  readonly llcPlacement?: 'home' | 'requester';
  /** Every other machine has no WFE. */
  readonly polls?: boolean;
}

/** Last-level caches that keep lines of other nodes, on machines that have other nodes. */
export const REQUESTER: MachineLimits = {
  cpuCounts: [4, 5, 6, 8],
  nodeCounts: [2, 2, 4],
  llcPlacement: 'requester',
  polls: true,
};

const SMALL: MachineLimits = { cpuCounts: [4, 5, 6, 8], nodeCounts: [1, 2, 2, 4, 4] };

type Pick = <T>(list: readonly T[]) => T;

export function randomMachine(seed: number, limits: MachineLimits = SMALL): Machine {
  const stream = new RandomStream(seed, 'machine', 0);
  const pick: Pick = (list) => list[stream.below(list.length)]!;
  const nodeCount = pick(limits.nodeCounts);
  const cpuCount = Math.max(nodeCount, pick(limits.cpuCounts));
  const base = makeTestMachine({ cpuCount, nodeCount });
  const lookaheadPs = pick([20_000, 25_000, 30_000]);
  /** In-node answers: at the lookahead or later. */
  const answer = (): number => lookaheadPs + pick([0, 0, 1, 5_000, 17_003]);
  const placed = { ...base, ...distances(base, pick) };
  // From a stream of its own: what is drawn above stays what it was.
  const text = new RandomStream(seed, 'machine text', 0);
  return {
    ...placed,
    ...caches(nodeCount, pick, answer),
    ...timings(base, pick, answer),
    llcPlacement: limits.llcPlacement ?? base.llcPlacement,
    ...(limits.polls === true && seed % 2 === 0 ? { pollPs: 1_000 + 7_919 * (seed % 11) } : {}),
    name: `random ${seed}`,
    lookaheadPs,
    gridPs: gridPs(lookaheadPs, placed.hopPs, placed.socketOfNode),
    features: {
      ...base.features,
      hafdbs: pick(['none', 'af', 'dbm'] as const),
      dic: text.below(3) === 0,
      idc: text.below(2) === 0,
    },
    costsPs: base.costsPs.map(() => pick([1, 700, 5_000, 12_345])),
  };
}

/** Nodes at one distance, or two dies on each of two sockets. */
function distances(base: Machine, pick: Pick) {
  const { nodeCount, nodeOfCpu } = base;
  const dies = nodeCount === 4 && pick([true, false]);
  const hop = pick(HOPS_PS);
  const clusterShift = pick([0, 1]);
  const socketOf = (node: number): number => (dies ? node >> 1 : node);
  const hopPs = square(nodeCount, (a, b) => {
    if (a === b) return 0;
    if (dies) return socketOf(a) === socketOf(b) ? 20_000 : 71_000;
    return hop;
  });
  const ways = hopPs.filter((x) => x > 0);
  return {
    hopPs,
    leastHopPs: ways.length > 0 ? Math.min(...ways) : Number.POSITIVE_INFINITY,
    memoryExtraPs: square(nodeCount, (a, b) => (a === b ? 0 : pick([0, 48_000, 1]))),
    transferExtraPs: square(nodeCount, (a, b) => (a === b ? 0 : pick([0, 36_000, 3]))),
    linkPsPerLine: square(nodeCount, (a, b) => (a === b ? 0 : pick([0, 1_000, 15_000]))),
    socketOfNode: Int32Array.from({ length: nodeCount }, (_, node) => socketOf(node)),
    socketOfCpu: Int32Array.from(nodeOfCpu, socketOf),
    clusterOfCpu: Int32Array.from(nodeOfCpu, (_, cpu) => cpu >> clusterShift),
    dieOfCpu: nodeOfCpu.slice(),
  };
}

function caches(nodeCount: number, pick: Pick, answer: () => number) {
  // The fewest sets for which a tag of 30 bits reaches every node's memory.
  const sets = 4 * nodeCount;
  const cache = (count: number, ways: number, latencyPs: number): CacheGeometry => ({
    bytes: count * ways * 64,
    ways,
    sets: count,
    latencyPs,
  });
  return {
    l1i: cache(sets, pick([1, 2]), pick([1_000, 2_000])),
    l1d: cache(sets, pick([1, 2]), pick([1, 1_000, 1_430])),
    l2: cache(sets, pick([2, 2, 4]), pick([3_000, 5_000, 26_000])),
    llc: pick([cache(4, 2, answer()), cache(64, 4, answer()), cache(0, 1, answer())]),
    itlb: { entries: pick([2, 4]), ways: 0, penaltyPs: 0 },
    dtlb: { entries: pick([2, 4, 8]), ways: 0, penaltyPs: 0 },
    tlb2: { entries: pick([8, 16]), ways: pick([2, 4]), penaltyPs: pick([1_000, 3_500]) },
    walkCacheEntries: pick([1, 2, 4]),
  };
}

function timings(base: Machine, pick: Pick, answer: () => number) {
  return {
    dramPsOfNode: base.dramPsOfNode.map(() => answer() + pick([0, 60_000, 100_000])),
    transferClusterPs: answer(),
    transferDiePs: answer(),
    transferNodePs: answer(),
    upgradePs: answer(),
    homeServicePs: pick([0, 2_000, 7_000]),
    snoopPs: pick([0, 500, 3_000]),
    homeSlices: pick([1, 2, 4]),
    channelPsPerLine: base.channelPsPerLine.map(() => pick([0, 500, 20_000])),
    wakePs: pick([0, 5_000]),
    wakeSpreadPs: pick([0, 8_000]),
    dvmServicePs: pick([0, 5_000, 20_000, 60_000]),
    dvmAckPs: answer(),
    dvmStallPs: pick([0, 300, 10_000, 40_000]),
    ipiPs: answer() + pick([0, 100_000, 475_000]),
  };
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
