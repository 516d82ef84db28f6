/**
 * Which worker thread runs which CPUs and homes (`--threads per-cpu|auto|N`). A node is one logical
 * process: its CPUs and its home stay together unless there are more workers than nodes; then a
 * node is split evenly and its first worker runs the home. The mapping never changes a result, only
 * the time it takes.
 *
 * Only nodes with active CPUs or memory carry work, but every node's home has an owner.
 */

import { assert } from '../base/assert.ts';
import { UserError } from '../base/errors.ts';
import { parseCount } from '../base/parse-quantity.ts';
import { PS_PER_NS } from '../base/units.ts';
import type { Machine } from '../machine/machine.ts';

export type ThreadsOption = 'auto' | 'per-cpu' | number;

export interface ThreadMap {
  readonly workerCount: number;
  /** By CPU of the machine; absent CPUs go with their node's home. */
  readonly workerOfCpu: readonly number[];
  readonly workerOfNode: readonly number[];
}

/** Nodes closer than this would wait for each other so often that `auto` never separates them. */
const CLOSE_HOP_PS = 10 * PS_PER_NS;
/** Nodes with fewer active CPUs have too little to do while a message is on its way. */
const CPUS_PER_NODE_WORTH_A_WORKER = 16;
const THREADS_MAX = 1024;

export function parseThreads(text: string): ThreadsOption {
  if (text === 'auto' || text === 'per-cpu') return text;
  if (!/^-?\d/.test(text)) {
    throw new UserError(`--threads: '${text}' is none of auto, per-cpu or a number of threads`);
  }
  return parseCount('--threads', text, { minimum: 1, maximum: THREADS_MAX });
}

/** Exactly `count` workers, or one per active CPU where there are fewer CPUs than that. */
export function mapThreads(
  machine: Machine,
  activeCpus: readonly number[],
  count: number,
): ThreadMap {
  assert(count >= 1, `${count} worker threads`);
  const cpusOfNode = activeByNode(machine, activeCpus);
  const busy = cpusOfNode.flatMap((cpus, node) => (cpus.length > 0 ? [node] : []));
  const workers = Math.min(count, activeCpus.length);
  return workers <= busy.length
    ? shareWorkers(machine, busy, cpusOfNode, workers)
    : splitNodes(machine, busy, cpusOfNode, workers);
}

/** Whole nodes share a worker: consecutive nodes, so that dies of a socket stay together. */
function shareWorkers(
  machine: Machine,
  busy: readonly number[],
  cpusOfNode: readonly (readonly number[])[],
  workers: number,
): ThreadMap {
  const workerOfNode = new Array<number>(machine.nodeCount).fill(0);
  // Nodes are dealt out by the number of CPUs before them, so that workers get equal shares.
  const total = busy.reduce((sum, node) => sum + cpusOfNode[node]!.length, 0);
  let before = 0;
  let worker = 0;
  busy.forEach((node, index) => {
    const nodesLeft = busy.length - index;
    const workersLeft = workers - worker - 1;
    const due = before >= ((worker + 1) * total) / workers || nodesLeft <= workersLeft;
    if (index > 0 && worker < workers - 1 && due) worker++;
    workerOfNode[node] = worker;
    before += cpusOfNode[node]!.length;
  });
  adoptIdleNodes(machine, busy, workerOfNode);
  const workerOfCpu = Array.from(machine.nodeOfCpu, (node) => workerOfNode[node]!);
  return { workerCount: workers, workerOfCpu, workerOfNode };
}

/** More workers than nodes: each node gets a share by its CPUs, at least one. */
function splitNodes(
  machine: Machine,
  busy: readonly number[],
  cpusOfNode: readonly (readonly number[])[],
  workers: number,
): ThreadMap {
  const shares = new Map(busy.map((node) => [node, 1]));
  for (let left = workers - busy.length; left > 0; left--) {
    // The node with the most CPUs per worker gets the next one; ties go to the lower number.
    let best = -1;
    for (const node of busy) {
      const share = shares.get(node)!;
      if (share >= cpusOfNode[node]!.length) continue;
      if (best < 0) best = node;
      const bestShare = shares.get(best)!;
      if (cpusOfNode[node]!.length * bestShare > cpusOfNode[best]!.length * share) best = node;
    }
    assert(best >= 0, 'more workers than CPUs');
    shares.set(best, shares.get(best)! + 1);
  }
  const workerOfNode = new Array<number>(machine.nodeCount).fill(0);
  let next = 0;
  const firstOf = new Map<number, number>();
  for (const node of busy) {
    firstOf.set(node, next);
    workerOfNode[node] = next;
    next += shares.get(node)!;
  }
  adoptIdleNodes(machine, busy, workerOfNode);
  const workerOfCpu = Array.from(machine.nodeOfCpu, (node) => workerOfNode[node]!);
  for (const node of busy) {
    const cpus = cpusOfNode[node]!;
    const share = shares.get(node)!;
    cpus.forEach((cpu, index) => {
      workerOfCpu[cpu] = firstOf.get(node)! + Math.floor((index * share) / cpus.length);
    });
  }
  return { workerCount: workers, workerOfCpu, workerOfNode };
}

/** A home without active CPUs goes to the worker of the nearest busy node. */
function adoptIdleNodes(machine: Machine, busy: readonly number[], workerOfNode: number[]): void {
  const isBusy = new Set(busy);
  for (let node = 0; node < machine.nodeCount; node++) {
    if (isBusy.has(node)) continue;
    let nearest = busy[0]!;
    for (const other of busy) {
      const row = node * machine.nodeCount;
      if (machine.hopPs[row + other]! < machine.hopPs[row + nearest]!) nearest = other;
    }
    workerOfNode[node] = workerOfNode[nearest]!;
  }
}

function activeByNode(machine: Machine, activeCpus: readonly number[]): number[][] {
  const cpusOfNode: number[][] = Array.from({ length: machine.nodeCount }, () => []);
  for (const cpu of activeCpus) cpusOfNode[machine.nodeOfCpu[cpu]!]!.push(cpu);
  return cpusOfNode;
}

/**
 * The most workers that `auto` may give one seed: groups of nodes that are far enough apart and
 * have enough CPUs, within the cores left for it. 1 = splitting cannot pay.
 */
export function autoWorkerLimit(
  machine: Machine,
  activeCpus: readonly number[],
  coresLeft: number,
): number {
  const cpusOfNode = activeByNode(machine, activeCpus);
  const groups: number[] = [];
  const groupOf = new Map<number, number>();
  for (let node = 0; node < machine.nodeCount; node++) {
    if (cpusOfNode[node]!.length === 0) continue;
    let group = groups.length;
    for (const [other, known] of groupOf) {
      if (machine.hopPs[node * machine.nodeCount + other]! < CLOSE_HOP_PS) group = known;
    }
    groupOf.set(node, group);
    groups[group] = (groups[group] ?? 0) + cpusOfNode[node]!.length;
  }
  if (groups.length < 2 || Math.min(...groups) < CPUS_PER_NODE_WORTH_A_WORKER) return 1;
  return Math.max(1, Math.min(groups.length, coresLeft));
}
