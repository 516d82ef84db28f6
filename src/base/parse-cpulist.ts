/**
 * CPU lists as the kernel writes them (cpulist of sysfs, taskset -c, numactl -C): numbers and
 * ranges joined by commas, `0-15,96-111`, and the way back. The order of the list is the order in
 * which roles are given out, so `3,1` is not `1,3`.
 */

import { UserError } from './errors.ts';
import { given } from './parse-quantity.ts';

/** More CPUs than any machine has: bounds the work on `0-999999999`. */
const CPUS_MAX = 1024;

export function parseCpulist(key: string, text: string): number[] {
  const right = 'give a list such as 0-15,96-111';
  const cpus: number[] = [];
  const seen = new Set<number>();
  for (const part of text.split(',')) {
    const match = /^(\d+)(?:-(\d+))?$/.exec(part);
    if (match === null) throw new UserError(`${key}: ${given(part)} is no CPU or range; ${right}`);
    const first = Number(match[1]);
    const last = match[2] === undefined ? first : Number(match[2]);
    if (last < first) throw new UserError(`${key}: ${given(part)} runs backwards; ${right}`);
    if (last >= CPUS_MAX) {
      throw new UserError(`${key}: ${given(part)} is beyond CPU ${CPUS_MAX - 1}; ${right}`);
    }
    for (let cpu = first; cpu <= last; cpu++) {
      if (seen.has(cpu)) throw new UserError(`${key}: CPU ${cpu} is named twice in ${given(text)}`);
      seen.add(cpu);
      cpus.push(cpu);
    }
  }
  return cpus;
}

/** Runs of ascending numbers joined by commas; the order is kept. */
export function formatCpulist(cpus: readonly number[]): string {
  const parts: string[] = [];
  for (let start = 0; start < cpus.length; ) {
    let end = start;
    while (end + 1 < cpus.length && cpus[end + 1] === cpus[end]! + 1) end++;
    parts.push(end === start ? `${cpus[start]}` : `${cpus[start]}-${cpus[end]}`);
    start = end + 1;
  }
  return parts.join(',');
}
