/**
 * `numalab machine show`: a machine for reading. A sketch of its sockets and nodes, the times that
 * the emulator works with and where each comes from, every parameter with its source, and what is
 * not modelled at all.
 */

import { formatBytes } from '../base/units.ts';
import type { Machine } from './machine.ts';
import { nsText, sketch } from './sketch.ts';

export const NOT_MODELLED: readonly string[] = [
  'SMT siblings: one emulated CPU is one core',
  "a scheduler's preemption: a CPU runs one program",
  'out-of-order execution and branch prediction: a CPU waits for each miss',
  'prefetchers',
  'frequency changes: the clock is fixed',
];

/** Values longer than this are printed below the table. */
const VALUE_WIDTH = 24;

export function showMachine(machine: Machine): string {
  const memoryBytes = machine.memoryBytesOfNode.reduce((sum, bytes) => sum + bytes, 0);
  const { provenance } = machine;
  const estimates = Object.values(provenance).filter(({ confidence }) => confidence === 'estimate');
  return [
    `${machine.name}: ${machine.description}`,
    `${machine.architecture}, ${machine.cpuCount} CPUs on ${machine.nodeCount} ` +
      `${machine.nodeCount === 1 ? 'node' : 'nodes'}, ${formatBytes(memoryBytes)}, ` +
      `${machine.clockMhz / 1000} GHz, ${machine.features.core}, hash ${machine.hash.slice(0, 12)}`,
    '',
    ...sketch(machine),
    '',
    ...timing(machine),
    '',
    ...sums(machine),
    '',
    ...oddNodes(machine),
    `Parameters (${estimates.length} of ${Object.keys(provenance).length} are estimates)`,
    ...parameters(machine),
    '',
    'Not modelled',
    ...NOT_MODELLED.map((line) => `  ${line}`),
    '',
  ].join('\n');
}

function timing(machine: Machine): string[] {
  const { hopPs, memoryExtraPs, transferExtraPs } = machine;
  const least = `${nsText(machine.lookaheadPs)}, from ${leastAnswerName(machine)}`;
  const lines = ['Lookahead', line('L, least answer inside a node', least)];
  for (const sameSocket of [true, false]) {
    const pairs = pairsOf(machine, sameSocket);
    if (pairs.length === 0) continue;
    const memory = range(pairs.map((at) => hopPs[at]! + memoryExtraPs[at]! / 2));
    const transfer = range(pairs.map((at) => hopPs[at]! + transferExtraPs[at]! / 2));
    const where = sameSocket ? 'inside a socket' : 'between sockets';
    lines.push(
      line(`X, one way ${where}`, range(pairs.map((at) => hopPs[at]!))),
      line('   by memory: (remote - local) / 2', memory),
      line('   by transfers: (cross - local) / 2', transfer),
    );
  }
  lines.push(line('G, step of the grid', nsText(machine.gridPs)));
  return lines;
}

function line(what: string, text: string): string {
  return `  ${what.padEnd(40)}${text}`;
}

/** The parameter that L comes from. */
function leastAnswerName(machine: Machine): string {
  const answers: readonly [string, number][] = [
    ['caches.llc.latency', machine.llc.latencyPs],
    ['latency.transferCluster', machine.transferClusterPs],
    ['latency.transferDie', machine.transferDiePs],
    ['latency.transferNode', machine.transferNodePs],
    ['coherence.upgrade', machine.upgradePs],
    ['dvm.ack', machine.dvmAckPs],
    ['ipi.delivery', machine.ipiPs],
  ];
  return answers.find(([, ps]) => ps === machine.lookaheadPs)?.[0] ?? 'unknown';
}

function pairsOf(machine: Machine, sameSocket: boolean): number[] {
  const { nodeCount, socketOfNode } = machine;
  const pairs: number[] = [];
  for (let from = 0; from < nodeCount; from++) {
    for (let to = 0; to < nodeCount; to++) {
      const same = socketOfNode[from] === socketOfNode[to];
      if (from !== to && same === sameSocket) pairs.push(from * nodeCount + to);
    }
  }
  return pairs;
}

function range(values: readonly number[]): string {
  const least = Math.min(...values);
  const most = Math.max(...values);
  return least === most ? nsText(least) : `${Math.round(least) / 1000} to ${nsText(most)}`;
}

/** What the figures add up to on an idle machine. */
function sums(machine: Machine): string[] {
  const { nodeCount, dramPsOfNode, hopPs, memoryExtraPs, transferExtraPs } = machine;
  const lines = [
    'Idle latencies',
    line('memory of the own node', range([...dramPsOfNode])),
    line('transfer inside a cluster', nsText(machine.transferClusterPs)),
    line('transfer inside a node', nsText(machine.transferNodePs)),
  ];
  for (const sameSocket of [true, false]) {
    const pairs = pairsOf(machine, sameSocket);
    if (pairs.length === 0) continue;
    const where = sameSocket ? 'another node of the socket' : 'another socket';
    const memory = pairs.map(
      (at) => dramPsOfNode[at % nodeCount]! + 2 * hopPs[at]! + memoryExtraPs[at]!,
    );
    const transfer = pairs.map(
      (at) => machine.transferNodePs + 2 * hopPs[at]! + transferExtraPs[at]!,
    );
    lines.push(line(`memory of ${where}`, range(memory)));
    lines.push(line(`transfer from ${where}`, range(transfer)));
  }
  return lines;
}

/** How nodes without CPUs or memory behave. */
function oddNodes(machine: Machine): string[] {
  const { nodeCount, memoryBytesOfNode, hopPs } = machine;
  const lines: string[] = [];
  for (let node = 0; node < nodeCount; node++) {
    if (!machine.nodeOfCpu.includes(node))
      lines.push(`Node ${node} has no CPUs: nothing runs there`);
    if (memoryBytesOfNode[node] !== 0) continue;
    let nearest = -1;
    for (let other = 0; other < nodeCount; other++) {
      if (memoryBytesOfNode[other] === 0) continue;
      const hop = hopPs[node * nodeCount + other]!;
      if (nearest < 0 || hop < hopPs[node * nodeCount + nearest]!) nearest = other;
    }
    lines.push(`Node ${node} has no memory: what it allocates comes from node ${nearest}`);
  }
  return lines.length === 0 ? [] : [...lines, ''];
}

function parameters(machine: Machine): string[] {
  const rows = Object.entries(machine.provenance);
  const long: string[] = [];
  const cells = rows.map(([name, { value, unit, confidence, source }]) => {
    const text = String(value);
    const isLong = text.length > VALUE_WIDTH;
    if (isLong) long.push(`  ${name}`, ...text.split(' / ').map((line) => `    ${line}`));
    return [
      name,
      isLong ? '(below)' : text,
      unit.replace(/^.* of each node$/, ''),
      confidence,
      source,
    ];
  });
  const header = ['parameter', 'value', 'unit', 'confidence', 'source'];
  const table = [header, ...cells];
  const widths = header.map((_, index) => Math.max(...table.map((row) => row[index]!.length)));
  const lines = table.map((row) => {
    const padded = row.map((cell, index) => (index === 4 ? cell : cell.padEnd(widths[index]!)));
    return `  ${padded.join('  ')}`;
  });
  return [...lines, ...long];
}
