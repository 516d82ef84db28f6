/**
 * Counts reads of table pages between their freeing and their next allocation (I3), and slows CPUs
 * down inside their walks, so that a table has time to go away under them.
 */

import { EventKind, type Order } from '../../../../src/cpu/operations.ts';
import type { KvmHarness } from './kvm-harness.ts';

export function watchFreedTables(harness: KvmHarness): { reads: number } {
  const freed = new Set<number>();
  const watch = { reads: 0 };
  const hooks = harness.engine.hooks;
  const before = hooks.onEvent;
  hooks.onEvent = (cpu, kind, hi, lo) => {
    before?.(cpu, kind, hi, lo);
    const page = (hi & 0xffff) * 2 ** 20 + (lo >>> 12);
    if (kind === EventKind.TablePageFreed) freed.add(page);
    if (kind === EventKind.FrameAllocated) freed.delete(page);
  };
  for (const cpu of harness.engine.cpus) {
    const inner = cpu.load64.bind(cpu);
    cpu.load64 = (hi: number, lo: number, order: Order) => {
      const performed = inner(hi, lo, order);
      if (performed && freed.has((hi & 0xffff) * 2 ** 20 + (lo >>> 12))) watch.reads++;
      return performed;
    };
  }
  return watch;
}

/** Every few 64-bit loads of the CPU wait until the engine has done `steps` more steps. */
export function slowDownLoads(harness: KvmHarness, cpuId: number, steps: number): void {
  const { engine } = harness;
  const cpu = engine.cpus[cpuId]!;
  const inner = cpu.load64.bind(cpu);
  let loads = 0;
  let until = -1;
  cpu.load64 = (hi: number, lo: number, order: Order) => {
    if (engine.steps < until) return false;
    const performed = inner(hi, lo, order);
    if (performed && (++loads * loads) % 13 === 1) until = engine.steps + steps;
    return performed;
  };
}
