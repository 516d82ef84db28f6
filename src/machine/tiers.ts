/**
 * Latency figures by pair of nodes, from the tiers of a profile (own node, other node of the
 * socket, other socket) or, where somebody has measured it, from a whole matrix. A measured matrix
 * may be unsymmetrical by some nanoseconds, as the published ones are: the way between two nodes
 * takes the smaller direction, and the rest becomes the extra of its direction.
 */

import type { ParameterReader } from './parameter-reader.ts';
import { type Profile, ProfileError } from './profile.ts';
import { toBaseUnits } from './quantity.ts';
import { checkMatrix, type Topology } from './topology.ts';

/** Memory latency by [node of the CPU, node of the memory]; the diagonal is local memory. */
export function memoryMatrix(
  profile: Profile,
  read: ParameterReader,
  topology: Topology,
): Float64Array {
  const name = 'latency.dramMatrix';
  const given = profile.values.get(name);
  const matrix =
    given === undefined
      ? memoryByTier(read, topology)
      : measuredMemory(name, given.value as readonly (readonly number[])[], topology);
  checkRemoteAboveLocal(matrix, topology, given !== undefined);
  return matrix;
}

/** Local memory of each node. */
export function dramOfNodes(memoryPs: Float64Array, nodeCount: number): Float64Array {
  return Float64Array.from({ length: nodeCount }, (_, node) => memoryPs[node * nodeCount + node]!);
}

/** Cache-to-cache transfer by node pair; NaN where the profile says nothing. */
export function transferMatrix(
  read: ParameterReader,
  topology: Topology,
  transferNodePs: number,
): Float64Array {
  const { nodeCount } = topology;
  const matrix = new Float64Array(nodeCount * nodeCount).fill(transferNodePs);
  forEachPair(topology, (at, sameSocket) => {
    const name = sameSocket ? 'latency.transferCrossDie' : 'latency.transferCrossSocket';
    const ps = read.optionalNumber(name);
    if (ps !== undefined && ps <= transferNodePs) throw notFarther(name, ps, transferNodePs);
    matrix[at] = ps ?? Number.NaN;
  });
  return matrix;
}

function memoryByTier(read: ParameterReader, topology: Topology): Float64Array {
  const { nodeCount } = topology;
  const matrix = new Float64Array(nodeCount * nodeCount).fill(read.number('latency.dramLocal'));
  forEachPair(topology, (at, sameSocket) => {
    const name = sameSocket ? 'latency.dramCrossDie' : 'latency.dramRemote';
    const reason = sameSocket ? 'several nodes in one socket' : 'several sockets';
    matrix[at] = read.numberBecause(name, reason);
  });
  return matrix;
}

function measuredMemory(
  name: string,
  rows: readonly (readonly number[])[],
  topology: Topology,
): Float64Array {
  checkMatrix(name, rows, topology.nodeCount);
  return Float64Array.from(rows.flat(), (ns, at) => {
    const ps = toBaseUnits('time', ns, 'ns', 1);
    if (ps !== undefined && ps > 0) return ps;
    const { nodeCount } = topology;
    const place = `${name}[${Math.floor(at / nodeCount)}][${at % nodeCount}]`;
    throw new ProfileError(place, `expected ns above 0, got ${ns}; would be right: 114.08`);
  });
}

function checkRemoteAboveLocal(matrix: Float64Array, topology: Topology, measured: boolean): void {
  const { nodeCount } = topology;
  forEachPair(topology, (at, sameSocket) => {
    const from = Math.floor(at / nodeCount);
    const to = at % nodeCount;
    const localPs = matrix[to * nodeCount + to]!;
    if (matrix[at]! > localPs) return;
    const tier = sameSocket ? 'latency.dramCrossDie' : 'latency.dramRemote';
    const name = measured ? `latency.dramMatrix[${from}][${to}]` : tier;
    throw notFarther(name, matrix[at]!, localPs);
  });
}

function notFarther(name: string, ps: number, localPs: number): ProfileError {
  return new ProfileError(
    name,
    `expected more than inside the node (${localPs / 1000} ns), got ${ps / 1000} ns; ` +
      `would be right: ${(localPs * 2) / 1000}`,
  );
}

/** Every ordered pair of different nodes. */
function forEachPair(topology: Topology, visit: (at: number, sameSocket: boolean) => void): void {
  const { nodeCount, socketOfNode } = topology;
  for (let from = 0; from < nodeCount; from++) {
    for (let to = 0; to < nodeCount; to++) {
      if (from !== to) visit(from * nodeCount + to, socketOfNode[from] === socketOfNode[to]);
    }
  }
}
