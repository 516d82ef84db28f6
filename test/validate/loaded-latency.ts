/**
 * Latency under load, as Intel MLC prints it (--loaded_latency, no delay between requests): figures
 * of the x86 sheet, published as latency and bandwidth of both sockets together. The emulated
 * figure is that of the fewest loaders that take the published bandwidth of one node. Nothing was
 * fitted to these figures: the bandwidth is an input, the latency at that bandwidth is not.
 */

import { LINE_BYTES } from '../../src/base/units.ts';
import { loadMachine } from '../../src/machine/catalog.ts';
import { emulate, inParallel, type Result } from './emulate.ts';
import type { Row } from './row.ts';

const PUBLISHED = [
  { machine: 'xeon_icelake_2p', ns: 261, gigabytesPerSecond: 353 },
  { machine: 'xeon_cascadelake_2p', ns: 155, gigabytesPerSecond: 226 },
] as const;
const SOCKETS = 2;
/** Of the published bandwidth, which the profile has rounded. */
const ENOUGH = 0.99;

export function loadedLatencies(): Promise<Row[]> {
  return inParallel(PUBLISHED, async ({ machine, ns, gigabytesPerSecond }) => {
    const cpus = loadMachine(machine).cpuCount / SOCKETS;
    const words = ['memory_bandwidth', '-m', machine, '-c', String(cpus), 'bytesPerCpu=4K'];
    const run = await emulate(words);
    const perNode = gigabytesPerSecond / SOCKETS;
    const { loaders, emulated } = fewestLoaders(run, perNode);
    return {
      name: `${machine}.memoryLoaded`,
      unit: 'ns',
      published: ns,
      emulated,
      machineHash: run.machineHash,
      kind: 'predicted',
      note: `Intel MLC at ${perNode} GB/s per node; ${loaders} CPUs copy pages`,
    } satisfies Row;
  });
}

function fewestLoaders(run: Result, perNode: number): { loaders: number; emulated: number } {
  const steps = Object.keys(run.histograms).flatMap((name) => {
    const loaders = /^memory\.read#loaded-(\d+)$/.exec(name)?.[1];
    return loaders === undefined ? [] : [Number(loaders)];
  });
  let best = { loaders: 0, emulated: 0 };
  for (const loaders of steps.sort((a, b) => a - b)) {
    const phase = run.phases.find(({ name }) => name === `loaded-${loaders}`)!;
    best = { loaders, emulated: run.histograms[`memory.read#loaded-${loaders}`]!.mean };
    // Bytes per nanosecond are GB/s.
    if (LINE_BYTES / phase.nsPerOperation! >= ENOUGH * perNode) break;
  }
  return best;
}
