/** How close two CPUs are: the innermost part of the machine that holds both. */

import type { Machine } from '../../src/machine/machine.ts';

export const TIERS = ['same cluster', 'same die', 'same node', 'same socket', 'cross socket'];

/** Index into TIERS. */
export function tierOf(machine: Machine, a: number, b: number): number {
  if (machine.nodeOfCpu[a] !== machine.nodeOfCpu[b]) {
    return machine.socketOfCpu[a] === machine.socketOfCpu[b] ? 3 : 4;
  }
  if (machine.clusterOfCpu[a] === machine.clusterOfCpu[b]) return 0;
  return machine.dieOfCpu[a] === machine.dieOfCpu[b] ? 1 : 2;
}
