/**
 * From a profile to the machine that the emulator uses: units resolved, latencies rounded to
 * picoseconds once, distances between nodes, lookahead and grid derived (distances.ts,
 * lookahead.ts). What contradicts itself is refused with the parameter that is wrong.
 */

import { LINE_BYTES, PS_PER_S } from '../base/units.ts';
import { COST_NAMES } from './costs.ts';
import { type Distances, distancesOf } from './distances.ts';
import { type Answer, gridPs, leastAnswer } from './lookahead.ts';
import type { CacheGeometry, Features, Machine, TlbGeometry } from './machine.ts';
import { machineHash } from './machine-hash.ts';
import { ParameterReader } from './parameter-reader.ts';
import { type Profile, ProfileError } from './profile.ts';
import { dramOfNodes, memoryMatrix, transferMatrix } from './tiers.ts';
import { type Topology, topologyOf } from './topology.ts';

/** Below this, windows are shorter than the accesses in them and nothing is gained by emulating. */
const GRID_MIN_PS = 500;

interface Transfers {
  readonly clusterPs: number;
  readonly diePs: number;
  readonly nodePs: number;
}

export function resolveProfile(profile: Profile): Machine {
  const read = new ParameterReader(profile);
  const topology = topologyOf(profile);
  const transfers = transfersOf(read, topology);
  const memoryPs = memoryMatrix(profile, read, topology);
  const dramPsOfNode = dramOfNodes(memoryPs, topology.nodeCount);
  const distances = distancesOf({
    nodeCount: topology.nodeCount,
    memoryPs,
    transferPs: transferMatrix(read, topology, transfers.nodePs),
    transferNodePs: transfers.nodePs,
  });
  const lookahead = leastAnswer(answersOf(read, topology));
  const grid = gridPs(lookahead.ps, distances.hopPs, topology.socketOfNode);
  if (grid < GRID_MIN_PS) throw gridTooFine(lookahead, distances);
  const machine: Omit<Machine, 'hash'> = {
    name: profile.name,
    description: profile.description,
    architecture: profile.architecture,
    clockMhz: read.clockMhz,
    ...nodesAndCpus(topology),
    ...cachesOf(read, profile.architecture),
    ...tlbsOf(read),
    dramPsOfNode,
    hopPs: distances.hopPs,
    memoryExtraPs: distances.memoryExtraPs,
    transferExtraPs: distances.transferExtraPs,
    transferClusterPs: transfers.clusterPs,
    transferDiePs: transfers.diePs,
    transferNodePs: transfers.nodePs,
    upgradePs: read.number('coherence.upgrade'),
    lookaheadPs: lookahead.ps,
    leastHopPs: distances.leastHopPs,
    gridPs: grid,
    ...trafficOf(read, topology),
    features: featuresOf(read),
    ...pollOf(read),
    costsPs: Float64Array.from(COST_NAMES, (name) => read.costPs(name)),
    provenance: read.provenance(),
  };
  return { ...machine, hash: machineHash(machine) };
}

/** The in-node answers of which L is the least; tiers that the machine lacks don't count. */
function answersOf(read: ParameterReader, topology: Topology): Answer[] {
  const names = [
    'caches.llc.latency',
    ...(topology.clusterCpus > 1 ? ['latency.transferCluster'] : []),
    ...(topology.severalDies ? ['latency.transferDie'] : []),
    'latency.transferNode',
    'coherence.upgrade',
    'dvm.ack',
    'ipi.delivery',
  ];
  return names.map((parameter) => ({ parameter, ps: read.number(parameter) }));
}

function transfersOf(read: ParameterReader, topology: Topology): Transfers {
  const nodePs = read.number('latency.transferNode');
  const diePs = topology.severalDies
    ? read.numberBecause('latency.transferDie', 'topology.dieCpus gives several dies')
    : nodePs;
  const clusterPs =
    topology.clusterCpus > 1
      ? read.numberBecause('latency.transferCluster', 'topology.clusterCpus is above 1')
      : diePs;
  if (clusterPs > diePs) throw farCloser('latency.transferCluster', clusterPs, diePs);
  if (diePs > nodePs) throw farCloser('latency.transferDie', diePs, nodePs);
  return { clusterPs, diePs, nodePs };
}

function farCloser(name: string, ps: number, outerPs: number): ProfileError {
  return new ProfileError(
    name,
    `closer CPUs can't be slower: ${ps / 1000} ns here, ${outerPs / 1000} ns one tier out; ` +
      `would be right: ${outerPs / 1000} or less`,
  );
}

function gridTooFine(lookahead: Answer, distances: Distances): ProfileError {
  const hop = distances.leastHopPs;
  if (lookahead.ps <= hop) {
    return new ProfileError(
      lookahead.parameter,
      `${lookahead.ps / 1000} ns is too little for an answer inside a node; ` +
        `would be right: ${GRID_MIN_PS / 1000} or more`,
    );
  }
  return new ProfileError(
    'latency',
    `two nodes are only ${hop / 1000} ns apart one way; would be right: remote figures at least ` +
      `${(2 * GRID_MIN_PS) / 1000} ns above local ones, or one node instead of two`,
  );
}

function nodesAndCpus(topology: Topology) {
  return {
    nodeCount: topology.nodeCount,
    cpuCount: topology.cpuCount,
    nodeOfCpu: topology.nodeOfCpu,
    clusterOfCpu: topology.clusterOfCpu,
    dieOfCpu: topology.dieOfCpu,
    socketOfCpu: topology.socketOfCpu,
    socketOfNode: topology.socketOfNode,
    memoryBytesOfNode: topology.memoryBytesOfNode,
    slit: topology.slit,
  };
}

function cachesOf(read: ParameterReader, architecture: 'arm64' | 'x86') {
  return {
    l1i: cacheOf(read, 'l1i', true),
    l1d: cacheOf(read, 'l1d', true),
    l2: cacheOf(read, 'l2', true),
    llc: cacheOf(read, 'llc', false),
    llcPlacement: read.word<'home' | 'requester'>('coherence.llcPlacement'),
    atomics: atomicsOf(read, architecture),
  };
}

function atomicsOf(read: ParameterReader, architecture: 'arm64' | 'x86'): 'near' | 'far' {
  const atomics = read.word<'near' | 'far'>('coherence.atomics');
  if (atomics === 'near' || architecture === 'arm64') return atomics;
  throw new ProfileError('coherence.atomics', 'x86 has no far atomics; would be right: near');
}

/** Private caches are indexed by a mask, so their sets are a power of two. */
function cacheOf(read: ParameterReader, name: string, isPrivate: boolean): CacheGeometry {
  const bytes = read.number(`caches.${name}.size`);
  const ways = read.number(`caches.${name}.ways`);
  const sets = bytes / (ways * LINE_BYTES);
  const whole = Number.isInteger(sets);
  if (!whole || (isPrivate && !Number.isInteger(Math.log2(sets)))) {
    throw new ProfileError(
      `caches.${name}.ways`,
      `${bytes} bytes in ${ways} ways of ${LINE_BYTES}-byte lines make ` +
        `${Math.round(sets * 100) / 100} sets; would be ` +
        `right: ways that give ${isPrivate ? 'a power of two' : 'a whole number'}`,
    );
  }
  return { bytes, ways, sets, latencyPs: read.number(`caches.${name}.latency`) };
}

function tlbsOf(read: ParameterReader) {
  return {
    itlb: tlbOf(read, 'itlb', 0),
    dtlb: tlbOf(read, 'dtlb', 0),
    tlb2: tlbOf(read, 'tlb2', read.number('tlbs.tlb2.penalty')),
    walkCacheEntries: read.number('tlbs.walkCache'),
  };
}

function tlbOf(read: ParameterReader, name: string, penaltyPs: number): TlbGeometry {
  const entries = read.number(`tlbs.${name}.entries`);
  const ways = read.number(`tlbs.${name}.ways`);
  if (ways !== 0 && entries % ways !== 0) {
    throw new ProfileError(
      `tlbs.${name}.ways`,
      `${entries} entries don't divide into ${ways} ways; would be right: 0 (fully associative)`,
    );
  }
  return { entries, ways, penaltyPs };
}

function trafficOf(read: ParameterReader, topology: Topology) {
  const { nodeCount, socketOfNode } = topology;
  const linePs = (bytesPerSecond: number) => Math.round((LINE_BYTES * PS_PER_S) / bytesPerSecond);
  const linkPsPerLine = new Float64Array(nodeCount * nodeCount);
  for (let from = 0; from < nodeCount; from++) {
    for (let to = 0; to < nodeCount; to++) {
      if (from === to) continue;
      const sameSocket = socketOfNode[from] === socketOfNode[to];
      const name = sameSocket ? 'bandwidth.crossDie' : 'bandwidth.remote';
      const reason = `nodes ${from} and ${to} are ${sameSocket ? 'one socket' : 'two sockets'}`;
      linkPsPerLine[from * nodeCount + to] = linePs(read.numberBecause(name, reason));
    }
  }
  return {
    homeServicePs: read.number('coherence.homeService'),
    snoopPs: read.number('coherence.snoop'),
    homeSlices: read.number('coherence.homeSlices'),
    channelPsPerLine: new Float64Array(nodeCount).fill(linePs(read.number('bandwidth.local'))),
    linkPsPerLine,
    wakePs: read.number('coherence.wake'),
    wakeSpreadPs: read.number('coherence.wakeSpread'),
    dvmServicePs: read.number('dvm.service'),
    dvmAckPs: read.number('dvm.ack'),
    dvmStallPs: read.number('dvm.stall'),
    ipiPs: read.number('ipi.delivery'),
  };
}

/** A machine that has WFE has no polls, and its hash no trace of them. */
function pollOf(read: ParameterReader): { readonly pollPs?: number } {
  const name = 'coherence.poll';
  if (read.flag('features.wfe')) return {};
  return { pollPs: read.numberBecause(name, 'features.wfe is false: waiting CPUs poll') };
}

function featuresOf(read: ParameterReader): Features {
  const bits = (name: string) => Number(read.word(name)) as 8 | 16;
  return {
    core: read.word('features.core'),
    bbm: read.word<Features['bbm']>('features.bbm'),
    vhe: read.flag('features.vhe'),
    lse: read.flag('features.lse'),
    fwb: read.flag('features.fwb'),
    tlbirange: read.flag('features.tlbirange'),
    dic: read.flag('features.dic'),
    idc: read.flag('features.idc'),
    hafdbs: read.word<Features['hafdbs']>('features.hafdbs'),
    lpa2: read.flag('features.lpa2'),
    vmidBits: bits('features.vmidBits'),
    asidBits: bits('features.asidBits'),
    wfe: read.flag('features.wfe'),
  };
}
