/**
 * Tells a CPU's watch when a store or atomic that may change a descriptor has written. Wraps
 * those attempts as own properties of the object, so nothing of it is on the paths of a run
 * without checks.
 */

import type { CpuWatch } from '../../checkers/cpu-watch.ts';

/** What descriptors are written with: whole 64-bit words. */
const STORES = ['store64', 'cas64', 'swap64', 'add64'] as const;

type Attempt = (...operands: unknown[]) => boolean;

export function watchStores(cpu: object, watch: CpuWatch): void {
  const methods = cpu as unknown as Record<string, Attempt>;
  for (const name of STORES) {
    const attempt = methods[name]!.bind(cpu);
    methods[name] = (...operands) => {
      const performed = attempt(...operands);
      if (performed) watch.stored();
      return performed;
    };
  }
}
