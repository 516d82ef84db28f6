/**
 * DirectMap4k, DirectMap2M, DirectMap1G as /proc/meminfo has them (arch_report_meminfo,
 * arch/x86/mm/pat/set_memory.c; arm64 counts nothing, here it does): how much of the linear map is
 * mapped by leaves of each size. Read by programs at the ends of phases, or from memory afterwards.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Order } from '../../cpu/operations.ts';
import { fromLinear } from '../../memory/physical-address.ts';
import type { Peek } from '../base/zone-audit.ts';
import type { LinearMapImage } from './image.ts';

/** In kB, as meminfo. */
export interface DirectMap {
  readonly directMap4kKb: number;
  readonly directMap2MKb: number;
  readonly directMap1GKb: number;
}

const LEVELS = { gigabytes: 1, blocks: 2, pages: 3 } as const;

/** After a run or between windows: no emulated cost. */
export function peekDirectMap(peek: Peek, { counts }: LinearMapImage): DirectMap {
  const { hi, lo } = fromLinear(counts);
  return directMapOf((level) => peek(hi, lo + level * 4));
}

/** By a CPU of the run, as a read of /proc/meminfo at the end of a phase. */
export function* readDirectMap(
  cpu: Cpu,
  { counts }: LinearMapImage,
): Generator<Program | undefined, DirectMap, undefined> {
  const words = [0, 0, 0, 0];
  for (const level of Object.values(LEVELS)) {
    while (!cpu.load32(counts.hi, counts.lo + level * 4, Order.Relaxed)) yield;
    words[level] = cpu.lo;
  }
  return directMapOf((level) => words[level]!);
}

function directMapOf(count: (level: number) => number): DirectMap {
  return {
    directMap4kKb: count(LEVELS.pages) * 4,
    directMap2MKb: count(LEVELS.blocks) * 2048,
    directMap1GKb: count(LEVELS.gigabytes) * 2 ** 20,
  };
}

/** "DirectMap4k: 87900 kB  DirectMap2M: ...". */
export function directMapLine({ directMap4kKb, directMap2MKb, directMap1GKb }: DirectMap): string {
  return (
    `DirectMap4k: ${directMap4kKb} kB  DirectMap2M: ${directMap2MKb} kB  ` +
    `DirectMap1G: ${directMap1GKb} kB`
  );
}
