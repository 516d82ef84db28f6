/**
 * A machine in the words of `numactl -H` (numactl.c: hardware, print_distances): nodes, their CPUs,
 * sizes in MB, and the SLIT. All memory is free on a machine that has not booted.
 */

import { MIB } from '../base/units.ts';
import type { Machine } from './machine.ts';

export { fromNumactl } from './numactl-import.ts';

export function toNumactl(machine: Machine): string {
  const { nodeCount } = machine;
  const lines = [`available: ${nodeCount} nodes (${nodeCount === 1 ? '0' : `0-${nodeCount - 1}`})`];
  for (let node = 0; node < nodeCount; node++) {
    const cpus: number[] = [];
    machine.nodeOfCpu.forEach((owner, cpu) => {
      if (owner === node) cpus.push(cpu);
    });
    const megabytes = Math.floor(machine.memoryBytesOfNode[node]! / MIB);
    lines.push(`node ${node} cpus:${cpus.map((cpu) => ` ${cpu}`).join('')}`);
    lines.push(`node ${node} size: ${megabytes} MB`);
    lines.push(`node ${node} free: ${megabytes} MB`);
  }
  lines.push('node distances:');
  lines.push(`node ${row(Array.from({ length: nodeCount }, (_, node) => node))}`);
  for (let node = 0; node < nodeCount; node++) {
    const distances = machine.slit.subarray(node * nodeCount, (node + 1) * nodeCount);
    lines.push(`${column(node)}: ${row(Array.from(distances))}`);
  }
  return `${lines.join('\n')}\n`;
}

function row(numbers: readonly number[]): string {
  return numbers.map((number) => `${column(number)} `).join('');
}

/** printf's "% 3d": a blank in front of the number, three places at least. */
function column(number: number): string {
  return ` ${number}`.padStart(3);
}
