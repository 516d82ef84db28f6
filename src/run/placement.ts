/**
 * Which CPUs take part: `-c N` or a cpulist, `placement=packed|spread`, `mempolicy=`. A count fills
 * node 0 first (packed) or goes round the nodes that have CPUs (spread). Roles are given out in the
 * order of the list: the workload's own CPUs first, then its helpers (VMM main thread, userfaultfd
 * handlers), each on a CPU of its own.
 */

import type { Placement } from '../../workloads/workload.ts';
import { UserError } from '../base/errors.ts';
import type { Parameter, Parameters } from '../base/parameters.ts';
import { formatCpulist, parseCpulist } from '../base/parse-cpulist.ts';
import { given, parseCount } from '../base/parse-quantity.ts';
import type { Machine } from '../machine/machine.ts';

/** Keys that every workload understands. */
export const PLACEMENT_PARAMETERS: readonly Parameter[] = [
  {
    name: 'placement',
    kind: 'choice',
    values: ['packed', 'spread'],
    default: 'packed',
    description: 'how --cpus N is laid out: fill node 0 first, or go round the nodes',
  },
  {
    name: 'mempolicy',
    kind: 'text',
    default: 'first-touch',
    description: 'where memory goes: first-touch, interleave or bind:NODE',
  },
];

/** The same with the layout that a workload starts from. */
export function placementParameters(workload: {
  readonly defaultPlacement?: 'packed' | 'spread' | undefined;
}): readonly Parameter[] {
  return PLACEMENT_PARAMETERS.map((parameter) =>
    parameter.name === 'placement'
      ? { ...parameter, default: workload.defaultPlacement ?? parameter.default }
      : parameter,
  );
}

/** CPUs of the machine in the order in which a count takes them. */
export function cpuOrder(machine: Machine, layout: 'packed' | 'spread'): number[] {
  const byNode: number[][] = Array.from({ length: machine.nodeCount }, () => []);
  for (let cpu = 0; cpu < machine.cpuCount; cpu++) byNode[machine.nodeOfCpu[cpu]!]!.push(cpu);
  if (layout === 'packed') return byNode.flat();
  const order: number[] = [];
  for (let rank = 0; order.length < machine.cpuCount; rank++) {
    for (const cpus of byNode) {
      if (rank < cpus.length) order.push(cpus[rank]!);
    }
  }
  return order;
}

export function listedCpus(machine: Machine, key: string, text: string): number[] {
  const cpus = text.startsWith('node') ? cpusOfNodes(machine, key, text) : parseCpulist(key, text);
  const beyond = cpus.find((cpu) => cpu >= machine.cpuCount);
  if (beyond !== undefined) {
    throw new UserError(
      `${key}: CPU ${beyond} does not exist; ${machine.name} has CPUs 0-${machine.cpuCount - 1}`,
    );
  }
  return cpus;
}

/**
 * `node0:0-3,node1:0-3`: the first four CPUs of two nodes, whatever their numbers; for profiles
 * that run on any machine with enough of them.
 */
function cpusOfNodes(machine: Machine, key: string, text: string): number[] {
  return text.split(',').flatMap((part) => {
    const match = /^node(\d+):([\d-]+)$/.exec(part);
    if (match === null) {
      throw new UserError(`${key}: ${given(part)} is no CPUs of a node; write node0:0-3`);
    }
    const node = Number(match[1]);
    const own = [...machine.nodeOfCpu.keys()].filter((cpu) => machine.nodeOfCpu[cpu] === node);
    return parseCpulist(key, match[2]!).map((index) => {
      const cpu = own[index];
      if (cpu !== undefined) return cpu;
      const has = own.length === 0 ? 'no CPUs' : `CPUs node${node}:0-${own.length - 1}`;
      throw new UserError(
        `${key}: node${node}:${index} does not exist; node ${node} of ${machine.name} has ${has}`,
      );
    });
  });
}

/** `text`: what --cpus was given, or the number that the workload chose. */
export function chooseCpus(machine: Machine, text: string, layout: 'packed' | 'spread'): number[] {
  if (isCpulist(text)) return listedCpus(machine, '--cpus', text);
  const limit = `${machine.name} has ${machine.cpuCount} CPUs`;
  const count = parseCount('--cpus', text, { minimum: 1, maximum: Number.MAX_SAFE_INTEGER });
  if (count > machine.cpuCount) {
    throw new UserError(`--cpus: ${count} CPUs are more than there are; ${limit}`);
  }
  return cpuOrder(machine, layout).slice(0, count);
}

export function isCpulist(text: string): boolean {
  return /^\d+[,-]/.test(text);
}

export function resolvePlacement(
  machine: Machine,
  cpus: readonly number[],
  parameters: Parameters,
): Placement {
  const policy = String(parameters['mempolicy'] ?? 'first-touch');
  if (policy === 'first-touch' || policy === 'interleave') {
    return { cpus, memoryPolicy: policy, bindNode: 0 };
  }
  const match = /^bind:(\d+)$/.exec(policy);
  if (match === null) {
    throw new UserError(
      `mempolicy: '${policy}' is none of first-touch, interleave, bind:NODE (for example bind:0)`,
    );
  }
  const node = Number(match[1]);
  if (node >= machine.nodeCount) {
    const nodes = `${machine.name} has nodes 0-${machine.nodeCount - 1}`;
    throw new UserError(`mempolicy: node ${node} does not exist; ${nodes}`);
  }
  if (machine.memoryBytesOfNode[node] === 0) {
    throw new UserError(`mempolicy: node ${node} of ${machine.name} has no memory`);
  }
  return { cpus, memoryPolicy: 'bind', bindNode: node };
}

/** For a run's header: "node 0: CPUs 0-15; node 1: CPUs 96-111; helper on CPU 112". */
export function placementMap(machine: Machine, placement: Placement, helpers: number): string {
  const firstHelper = placement.cpus.length - helpers;
  const parts: string[] = [];
  for (let node = 0; node < machine.nodeCount; node++) {
    const own = placement.cpus.filter(
      (cpu, role) => role < firstHelper && machine.nodeOfCpu[cpu] === node,
    );
    if (own.length > 0) parts.push(`node ${node}: ${plural(own)}`);
  }
  if (helpers > 0) {
    const word = helpers === 1 ? 'helper' : 'helpers';
    parts.push(`${word} on ${plural(placement.cpus.slice(firstHelper))}`);
  }
  return parts.join('; ');
}

function plural(cpus: readonly number[]): string {
  return `${cpus.length === 1 ? 'CPU' : 'CPUs'} ${formatCpulist(cpus)}`;
}
