/**
 * Topology of a profile: which CPUs and how much memory each node has, and which CPUs are close.
 *
 * Nodes without CPUs or without memory are legal, as in ACPI: an allocation of a node without
 * memory goes to the nearest node that has some (BootMemory.nearestNodeWithMemory), and nothing
 * runs on a node without CPUs. Clusters and dies are runs of consecutive CPUs of one node. SMT
 * siblings are not modelled: one emulated CPU is one core.
 */

import { UserError } from '../base/errors.ts';
import { parseCpulist } from '../base/parse-cpulist.ts';
import { formatBytes, GIB } from '../base/units.ts';
import { type ListValue, type Profile, ProfileError } from './profile.ts';
import { type Scalar, toBaseUnits } from './quantity.ts';

/** The address map gives each node 2^38 bytes (memory/physical-address.ts). */
export const NODE_MEMORY_MAX = 256 * GIB;
export const CPUS_MAX = 1024;
export const NODES_MAX = 64;

export interface Topology {
  readonly nodeCount: number;
  readonly cpuCount: number;
  readonly nodeOfCpu: Int32Array;
  readonly clusterOfCpu: Int32Array;
  readonly dieOfCpu: Int32Array;
  readonly socketOfCpu: Int32Array;
  readonly socketOfNode: Int32Array;
  readonly memoryBytesOfNode: Float64Array;
  readonly slit: Int32Array;
  /** CPUs per cluster; 1: no cluster is closer than the die. */
  readonly clusterCpus: number;
  /** true: some node has more than one die. */
  readonly severalDies: boolean;
}

export function topologyOf(profile: Profile): Topology {
  const cpusOfNode = cpusOf(profile);
  const nodeCount = cpusOfNode.length;
  const cpuCount = cpusOfNode.reduce((sum, cpus) => sum + cpus.length, 0);
  const socketOfNode = socketsOf(profile, nodeCount);
  const clusterCpus = groupSize(profile, 'topology.clusterCpus') ?? 1;
  const dieCpus = groupSize(profile, 'topology.dieCpus') ?? CPUS_MAX;
  if (dieCpus % clusterCpus !== 0 && dieCpus < CPUS_MAX) {
    throw new ProfileError(
      'topology.dieCpus',
      `expected a multiple of clusterCpus (${clusterCpus}), got ${dieCpus}; ` +
        `would be right: ${clusterCpus * Math.ceil(dieCpus / clusterCpus)}`,
    );
  }
  const nodeOfCpu = new Int32Array(cpuCount);
  const clusterOfCpu = new Int32Array(cpuCount);
  const dieOfCpu = new Int32Array(cpuCount);
  let clusters = 0;
  let dies = 0;
  cpusOfNode.forEach((cpus, node) => {
    cpus.forEach((cpu, index) => {
      nodeOfCpu[cpu] = node;
      clusterOfCpu[cpu] = clusters + Math.floor(index / clusterCpus);
      dieOfCpu[cpu] = dies + Math.floor(index / dieCpus);
    });
    clusters += Math.ceil(cpus.length / clusterCpus);
    dies += Math.ceil(cpus.length / dieCpus);
  });
  return {
    nodeCount,
    cpuCount,
    nodeOfCpu,
    clusterOfCpu,
    dieOfCpu,
    socketOfCpu: nodeOfCpu.map((node) => socketOfNode[node]!),
    socketOfNode,
    memoryBytesOfNode: memoryOf(profile, nodeCount),
    slit: slitOf(profile, nodeCount, socketOfNode),
    clusterCpus,
    severalDies: cpusOfNode.some((cpus) => cpus.length > dieCpus),
  };
}

function listOf(profile: Profile, name: string): ListValue | undefined {
  return profile.values.get(name)?.value as ListValue | undefined;
}

function cpusOf(profile: Profile): number[][] {
  const name = 'topology.cpus';
  const lists = listOf(profile, name);
  if (lists === undefined) {
    throw new ProfileError(
      name,
      "missing: expected one cpulist per node; would be right: ['0-95', '96-191']",
    );
  }
  if (lists.length > NODES_MAX) {
    throw new ProfileError(name, `${lists.length} nodes; would be right: ${NODES_MAX} at most`);
  }
  const cpusOfNode = lists.map((text, node) => cpulistOf(`${name}[${node}]`, `${text}`));
  const all = cpusOfNode.flat().sort((a, b) => a - b);
  if (all.length === 0) throw new ProfileError(name, 'no CPUs at all; would be right: 0-95');
  all.forEach((cpu, index) => {
    if (cpu === index) return;
    const problem = cpu < index ? `CPU ${cpu} is in two nodes` : `CPU ${index} is in no node`;
    throw new ProfileError(name, `${problem}; would be right: CPUs 0 to N-1, each once`);
  });
  return cpusOfNode;
}

function cpulistOf(parameter: string, text: string): number[] {
  if (text === '') return [];
  try {
    return parseCpulist('', text).sort((a, b) => a - b);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new ProfileError(
      parameter,
      error.message.replace(/^: /, '').replace('; give', '; would be right:'),
    );
  }
}

function socketsOf(profile: Profile, nodeCount: number): Int32Array {
  const name = 'topology.sockets';
  const list = listOf(profile, name);
  if (list === undefined) return Int32Array.from({ length: nodeCount }, (_, node) => node);
  checkLength(name, list, nodeCount);
  return Int32Array.from(list as readonly number[]);
}

function groupSize(profile: Profile, name: string): number | undefined {
  const value = profile.values.get(name)?.value;
  if (value === undefined) return undefined;
  const size = toBaseUnits('count', value as Scalar, '', 1);
  if (size !== undefined && size >= 1) return size;
  throw new ProfileError(name, `expected a number of CPUs, got ${value}; would be right: 2`);
}

function memoryOf(profile: Profile, nodeCount: number): Float64Array {
  const name = 'topology.memory';
  const list = listOf(profile, name);
  if (list === undefined) {
    const sizes = Array(nodeCount).fill("'64G'").join(', ');
    throw new ProfileError(name, `missing: expected a size per node; would be right: [${sizes}]`);
  }
  checkLength(name, list, nodeCount);
  const bytesOfNode = Float64Array.from(list as readonly Scalar[], (text, node) => {
    const bytes = toBaseUnits('size', text, '', 1);
    if (bytes === undefined || bytes % 4096 !== 0) {
      throw new ProfileError(
        `${name}[${node}]`,
        `expected a size in whole pages, got ${text}; would be right: 64G, or 0 for none`,
      );
    }
    if (bytes > NODE_MEMORY_MAX) {
      throw new ProfileError(
        `${name}[${node}]`,
        `expected ${formatBytes(NODE_MEMORY_MAX)} at most (the emulated address map), got ` +
          `${text}; would be right: ${formatBytes(NODE_MEMORY_MAX)}`,
      );
    }
    return bytes;
  });
  if (bytesOfNode.every((bytes) => bytes === 0)) {
    throw new ProfileError(name, 'no node has memory; would be right: 64G on one node at least');
  }
  return bytesOfNode;
}

function slitOf(profile: Profile, nodeCount: number, socketOfNode: Int32Array): Int32Array {
  const name = 'topology.distances';
  const rows = listOf(profile, name) as readonly (readonly number[])[] | undefined;
  const slit = new Int32Array(nodeCount * nodeCount);
  if (rows !== undefined) checkMatrix(name, rows, nodeCount);
  for (let from = 0; from < nodeCount; from++) {
    for (let to = 0; to < nodeCount; to++) {
      const sameSocket = socketOfNode[from] === socketOfNode[to];
      const usual = from === to ? 10 : sameSocket ? 12 : 20;
      const distance = rows === undefined ? usual : rows[from]![to]!;
      slit[from * nodeCount + to] = distance;
      if (rows === undefined) continue;
      const back = rows[to]![from]!;
      if (distance !== back) {
        throw new ProfileError(
          `${name}[${from}][${to}]`,
          `distances must be the same both ways, got ${distance} from ${from} to ${to} and ` +
            `${back} back; would be right: ${Math.max(distance, back)} in both places`,
        );
      }
      const legal = from === to ? distance === 10 : distance > 10 && distance < 255;
      if (!Number.isInteger(distance) || !legal) {
        throw new ProfileError(
          `${name}[${from}][${to}]`,
          `expected ${from === to ? '10 (a node to itself)' : '11 to 254'}, got ${distance}; ` +
            `would be right: ${usual}`,
        );
      }
    }
  }
  return slit;
}

export function checkLength(name: string, list: readonly unknown[], nodeCount: number): void {
  if (list.length === nodeCount) return;
  throw new ProfileError(
    name,
    `expected ${nodeCount} elements, one per node of topology.cpus, got ${list.length}; ` +
      `would be right: a list of ${nodeCount}`,
  );
}

export function checkMatrix(
  name: string,
  rows: readonly (readonly number[])[],
  nodeCount: number,
): void {
  checkLength(name, rows, nodeCount);
  rows.forEach((row, index) => {
    checkLength(`${name}[${index}]`, row, nodeCount);
  });
}
