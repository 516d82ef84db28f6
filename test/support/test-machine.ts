/**
 * A small made-up machine for tests: `nodeCount` nodes with equal numbers of CPUs, round numbers
 * everywhere. No bundled profile is involved, so tests of locks and kernel code stand apart from
 * the profile reader. None of the figures describes hardware.
 */

import { assert } from '../../src/base/assert.ts';
import { GIB, KIB, MIB, nsToPs } from '../../src/base/units.ts';
import { COST_COUNT } from '../../src/machine/costs.ts';
import type { CacheGeometry, Features, Machine, TlbGeometry } from '../../src/machine/machine.ts';

export interface TestMachineOptions {
  readonly cpuCount?: number;
  readonly nodeCount?: number;
  readonly memoryBytesPerNode?: number;
  readonly hopNs?: number;
  readonly costNs?: number;
  readonly features?: Partial<Features>;
}

const FEATURES: Features = {
  core: 'test',
  bbm: '2',
  vhe: true,
  lse: true,
  fwb: false,
  tlbirange: true,
  dic: true,
  idc: true,
  hafdbs: 'none',
  lpa2: false,
  vmidBits: 16,
  asidBits: 16,
  wfe: true,
};

export function makeTestMachine(options: TestMachineOptions = {}): Machine {
  const nodeCount = options.nodeCount ?? 2;
  const cpuCount = options.cpuCount ?? 4;
  assert(cpuCount >= nodeCount && cpuCount <= 1024, `${cpuCount} CPUs on ${nodeCount} nodes`);
  const nodeOfCpu = Int32Array.from({ length: cpuCount }, (_, cpu) =>
    Math.floor((cpu * nodeCount) / cpuCount),
  );
  const hopPs = square(nodeCount, (from, to) => (from === to ? 0 : nsToPs(options.hopNs ?? 50)));
  return {
    name: 'test',
    description: 'made-up machine of the tests',
    architecture: 'arm64',
    hash: 'test',
    clockMhz: 2000,
    nodeCount,
    cpuCount,
    nodeOfCpu,
    clusterOfCpu: nodeOfCpu.slice(),
    dieOfCpu: nodeOfCpu.slice(),
    socketOfCpu: nodeOfCpu.slice(),
    socketOfNode: Int32Array.from({ length: nodeCount }, (_, node) => node),
    memoryBytesOfNode: new Float64Array(nodeCount).fill(options.memoryBytesPerNode ?? GIB),
    slit: Int32Array.from({ length: nodeCount * nodeCount }, (_, i) =>
      Math.floor(i / nodeCount) === i % nodeCount ? 10 : 20,
    ),
    l1i: cache(64 * KIB, 4, 1),
    l1d: cache(64 * KIB, 4, 2),
    l2: cache(MIB, 8, 5),
    llc: cache(32 * MIB, 16, 30),
    llcPlacement: 'home',
    atomics: 'near',
    itlb: tlb(48, 0, 0),
    dtlb: tlb(48, 0, 0),
    tlb2: tlb(1024, 4, 3),
    walkCacheEntries: 32,
    dramPsOfNode: new Float64Array(nodeCount).fill(nsToPs(100)),
    hopPs,
    memoryExtraPs: new Float64Array(nodeCount * nodeCount),
    transferExtraPs: new Float64Array(nodeCount * nodeCount),
    transferClusterPs: nsToPs(40),
    transferDiePs: nsToPs(40),
    transferNodePs: nsToPs(40),
    upgradePs: nsToPs(30),
    lookaheadPs: nsToPs(25),
    leastHopPs: nodeCount > 1 ? nsToPs(options.hopNs ?? 50) : Number.POSITIVE_INFINITY,
    gridPs: nsToPs(25),
    homeServicePs: nsToPs(2),
    snoopPs: 500,
    homeSlices: 4,
    channelPsPerLine: new Float64Array(nodeCount).fill(500),
    linkPsPerLine: square(nodeCount, (from, to) => (from === to ? 0 : 1000)),
    wakePs: nsToPs(5),
    wakeSpreadPs: nsToPs(8),
    dvmServicePs: nsToPs(20),
    dvmAckPs: nsToPs(25),
    dvmStallPs: nsToPs(10),
    ipiPs: nsToPs(500),
    features: { ...FEATURES, ...options.features },
    costsPs: new Float64Array(COST_COUNT).fill(nsToPs(options.costNs ?? 10)),
    provenance: {},
  };
}

function cache(bytes: number, ways: number, latencyNs: number): CacheGeometry {
  return { bytes, ways, sets: bytes / (64 * ways), latencyPs: nsToPs(latencyNs) };
}

function tlb(entries: number, ways: number, penaltyNs: number): TlbGeometry {
  return { entries, ways, penaltyPs: nsToPs(penaltyNs) };
}

function square(count: number, value: (from: number, to: number) => number): Float64Array {
  return Float64Array.from({ length: count * count }, (_, i) =>
    value(Math.floor(i / count), i % count),
  );
}
