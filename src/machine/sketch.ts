/**
 * A sketch of a machine in box-drawing characters: sockets one below the other, nodes side by
 * side.
 */

import { formatCpulist } from '../base/parse-cpulist.ts';
import { formatBytes } from '../base/units.ts';
import type { Machine } from './machine.ts';

const NODES_PER_ROW = 4;

export function sketch(machine: Machine): string[] {
  const sockets = [...new Set(machine.socketOfNode)].sort((a, b) => a - b);
  const width = Math.max(...sockets.map((socket) => innerOf(machine, socket)[0]!.length));
  const lines: string[] = [];
  sockets.forEach((socket, index) => {
    if (index > 0) lines.push(...link(machine, sockets[index - 1]!, socket));
    const title = ` socket ${socket} `;
    lines.push(`  ┌─${title}${'─'.repeat(width + 1 - title.length)}┐`);
    for (const line of innerOf(machine, socket)) lines.push(`  │ ${line.padEnd(width)} │`);
    lines.push(`  └${'─'.repeat(width + 2)}┘`);
  });
  return lines;
}

function innerOf(machine: Machine, socket: number): string[] {
  const nodes: number[] = [];
  machine.socketOfNode.forEach((owner, node) => {
    if (owner === socket) nodes.push(node);
  });
  const width = Math.max(20, ...nodes.flatMap((node) => contents(machine, node)).map(lengthOf));
  const lines: string[] = [];
  for (let start = 0; start < nodes.length; start += NODES_PER_ROW) {
    const boxes = nodes
      .slice(start, start + NODES_PER_ROW)
      .map((node) => box(` node ${node} `, contents(machine, node), width));
    boxes[0]!.forEach((_, row) => {
      lines.push(boxes.map((each) => each[row]).join(' '));
    });
  }
  const longest = Math.max(...lines.map(lengthOf));
  return lines.map((line) => line.padEnd(longest));
}

function lengthOf(line: string): number {
  return line.length;
}

function box(title: string, lines: readonly string[], width: number): string[] {
  return [
    `┌─${title}${'─'.repeat(width + 1 - title.length)}┐`,
    ...lines.map((line) => `│ ${line.padEnd(width)} │`),
    `└${'─'.repeat(width + 2)}┘`,
  ];
}

function contents(machine: Machine, node: number): string[] {
  const bytes = machine.memoryBytesOfNode[node]!;
  const memory =
    bytes === 0
      ? 'no memory'
      : `memory ${formatBytes(bytes)}, ${nsText(machine.dramPsOfNode[node]!)}`;
  return [
    cpusText(machine, node),
    groupsText(machine, node),
    `L2 ${formatBytes(machine.l2.bytes)} each`,
    `last level ${formatBytes(machine.llc.bytes)}, ${nsText(machine.llc.latencyPs)}`,
    memory,
  ];
}

function cpusText(machine: Machine, node: number): string {
  const cpus: number[] = [];
  machine.nodeOfCpu.forEach((owner, cpu) => {
    if (owner === node) cpus.push(cpu);
  });
  return cpus.length === 0 ? 'no CPUs' : `CPUs ${formatCpulist(cpus)}`;
}

function groupsText(machine: Machine, node: number): string {
  const clusters = new Set<number>();
  let cpus = 0;
  machine.nodeOfCpu.forEach((owner, cpu) => {
    if (owner !== node) return;
    cpus++;
    clusters.add(machine.clusterOfCpu[cpu]!);
  });
  if (cpus === 0 || clusters.size === cpus) return 'no clusters';
  return `${clusters.size} clusters of ${Math.ceil(cpus / clusters.size)}`;
}

function link(machine: Machine, upper: number, lower: number): string[] {
  const from = machine.socketOfNode.indexOf(upper);
  const to = machine.socketOfNode.indexOf(lower);
  const at = from * machine.nodeCount + to;
  const gigabytes = Math.round((64 / machine.linkPsPerLine[at]!) * 10_000) / 10;
  return [
    '        │',
    `        │ ${nsText(machine.hopPs[at]!)} one way, ${gigabytes} GB/s`,
    '        │',
  ];
}

export function nsText(ps: number): string {
  return `${Math.round(ps) / 1000} ns`;
}
