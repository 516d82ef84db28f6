/**
 * Host memory of a large machine: 192 CPUs on 2 nodes, each touching 1 GiB of its own once per 4
 * KiB page, 50 million pages in all. The figure is the peak of the process.
 */

import { GIB } from '../../src/base/units.ts';
import type { Program } from '../../src/cpu/cpu.ts';
import { Order } from '../../src/cpu/operations.ts';
import type { Benchmark, Measured } from './benchmark.ts';
import { cpusOn, defaultMachine, runOnPrivateMemory } from './raw-machine.ts';

const CPUS = 192;
const PAGE_SHIFT = 12;
const PAGES = GIB / 2 ** PAGE_SHIFT;

function touchAll(): Measured {
  const machine = defaultMachine();
  const startMs = performance.now();
  runOnPrivateMemory({
    machine,
    cpus: cpusOn(machine, CPUS, 2),
    bytesPerCpu: GIB,
    pageShift: PAGE_SHIFT,
    *program(cpu): Program {
      for (let page = 0; page < PAGES; page++) {
        while (!cpu.store64(0, page << PAGE_SHIFT, 0, 1, Order.Relaxed)) yield;
        cpu.mark();
      }
    },
  });
  const seconds = (performance.now() - startMs) / 1000;
  const peakBytes = process.resourceUsage().maxRSS * 1024;
  const rate = (CPUS * PAGES) / seconds / 1e6;
  return {
    value: peakBytes / GIB,
    bound: null,
    note: `${seconds.toFixed(0)} s, ${rate.toFixed(2)} M pages/s`,
  };
}

export const memory192: Benchmark = {
  name: 'memory192',
  description: `${CPUS} CPUs on 2 nodes, 1 GiB each written once per 4 KiB page: peak host memory`,
  boundIs: 'none',
  unit: 'GiB',
  goal: { of: 'value', atMost: 4 },
  long: true,
  measure: touchAll,
};
