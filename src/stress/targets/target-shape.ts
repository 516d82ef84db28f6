/** What small targets have in common: a machine of their CPUs, room for a few lines per node. */

import { PER_CPU_BYTES } from '../../cpu/per-cpu.ts';
import type { StressTarget } from '../target.ts';
import { stressMachine } from './stress-machine.ts';

/** `roomBytes`: memory with contents per node, beside the CPUs' own areas. */
export function shapeOf(
  cpus: number,
  roomBytes: number,
): Pick<StressTarget, 'machine' | 'backedBytes' | 'resized'> {
  const backedBytes = Math.ceil(cpus / 2) * PER_CPU_BYTES + roomBytes;
  const resized = (other: number) => shapeOf(other, roomBytes);
  return { machine: stressMachine(cpus), backedBytes, resized };
}

/** The same with all CPUs on one node. */
export function oneNodeShape(
  cpus: number,
  roomBytes: number,
): Pick<StressTarget, 'machine' | 'backedBytes'> {
  return { machine: stressMachine(cpus, 1), backedBytes: cpus * PER_CPU_BYTES + roomBytes };
}
