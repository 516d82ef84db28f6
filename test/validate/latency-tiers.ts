/**
 * Does the emulator give back the latencies that a machine is described with? memory_latency and
 * core_to_core run on every machine; each tier is compared with the figure of the profile.
 * These are inputs: the test is that caches, homes, links and translation add up to them and that
 * nothing is charged twice.
 */

import { formatBytes, KIB, MIB } from '../../src/base/units.ts';
import { loadMachine, machineSummary } from '../../src/machine/catalog.ts';
import type { Machine, Provenance } from '../../src/machine/machine.ts';
import { emulate, inParallel, type Result } from './emulate.ts';
import type { Row } from './row.ts';

interface Tier {
  readonly name: string;
  readonly parameter: string;
  /** Histogram that measures it. */
  readonly histogram: string;
  /** Working set and page size of memory_latency; null: core_to_core. */
  readonly chase: Chase | null;
}

interface Chase {
  readonly bytes: number;
  readonly pageSize: '2M' | '4K';
}

export function latencyTiers(): Promise<Row[]> {
  const names = machineSummary().map(({ name }) => name);
  return inParallel(names, tiersOfMachine).then((rows) => rows.flat());
}

async function tiersOfMachine(name: string): Promise<Row[]> {
  const machine = loadMachine(name);
  const sizes = setSizes(machine);
  const tiers = [...memoryTiers(machine, sizes), ...transferTiers(machine)];
  const runs = new Map<string | undefined, Result>();
  for (const pageSize of new Set(tiers.map(({ chase }) => chase?.pageSize))) {
    const chases = tiers.filter(({ chase }) => chase?.pageSize === pageSize);
    const bytes = chases.map(({ chase }) => chase?.bytes ?? 0);
    const list = [...new Set(bytes)].sort((a, b) => a - b);
    const sets = `sizes=${list.map(formatBytes).join(',')}`;
    const words =
      pageSize === undefined
        ? ['core_to_core', '-m', name]
        : ['memory_latency', '-m', name, sets, `pageSize=${pageSize}`, 'n=5000'];
    runs.set(pageSize, await emulate(words));
  }
  return tiers.flatMap((tier) => {
    const run = runs.get(tier.chase?.pageSize)!;
    const measured = run.histograms[tier.histogram];
    return measured === undefined ? [] : [rowOf(machine, tier, measured.mean, run.machineHash)];
  });
}

function rowOf(machine: Machine, tier: Tier, meanNs: number, machineHash: string): Row {
  const provenance = machine.provenance[tier.parameter]!;
  const { chase } = tier;
  const pages = chase?.pageSize === '4K' ? `, ${formatBytes(chase.bytes)} of 4K pages` : '';
  return {
    name: `${machine.name}.${tier.name}`,
    unit: 'ns',
    published: publishedNs(provenance) ?? nanoseconds(provenance, machine.clockMhz),
    emulated: meanNs,
    machineHash,
    kind: kindOf(provenance),
    note: `${tier.parameter}${pages}`,
  };
}

/** A range or a bound that became one number is no figure that could come back. */
function kindOf({ confidence, source }: Provenance): Row['kind'] {
  if (confidence === 'estimate') return 'estimate';
  const original = /published as: ([^;]+)/.exec(source)?.[1] ?? '';
  return /\d\s*-\s*\d|[<>~]|about/.test(original) ? 'range' : 'figure';
}

/** Of a parameter that was derived from a figure: that figure, which is what must come back. */
function publishedNs({ confidence, source }: Provenance): number | undefined {
  const figure = /published as: ([\d.]+) ns,/.exec(source)?.[1];
  return confidence === 'derived' && figure !== undefined ? Number(figure) : undefined;
}

/** The working set that a figure was measured with, if not the pages and sets of the others. */
function publishedChase({ source }: Provenance): Chase | undefined {
  const bytes = /chase over (\d+)M with 4K pages/.exec(source)?.[1];
  return bytes === undefined ? undefined : { bytes: Number(bytes) * MIB, pageSize: '4K' };
}

function nanoseconds(provenance: Provenance, clockMhz: number): number {
  const value = Number.parseFloat(String(provenance.value));
  const unit = /[a-z]+/.exec(String(provenance.value))?.[0] ?? provenance.unit;
  return unit === 'cycles' ? (value * 1000) / clockMhz : value;
}

/** One working set per level of the hierarchy. */
function setSizes(machine: Machine): Record<'l1' | 'l2' | 'llc' | 'memory', number> {
  const { l1d, l2, llc } = machine;
  let memory = 64 * MIB;
  while (memory < 2 * (l2.bytes + llc.bytes)) memory *= 2;
  return {
    l1: 16 * KIB,
    l2: powerOfTwo(Math.sqrt(2 * l1d.bytes * l2.bytes)),
    llc: powerOfTwo(2 * l2.bytes),
    memory,
  };
}

function powerOfTwo(bytes: number): number {
  return 2 ** Math.round(Math.log2(bytes));
}

function memoryTiers(machine: Machine, sizes: ReturnType<typeof setSizes>): Tier[] {
  const { nodeCount, socketOfNode } = machine;
  const nodes = Array.from({ length: nodeCount }, (_, node) => node);
  const places: [string, string, number, number | undefined][] = [
    ['l1', 'caches.l1d.latency', sizes.l1, 0],
    ['l2', 'caches.l2.latency', sizes.l2, 0],
    ['llc', 'caches.llc.latency', sizes.llc, 0],
    ['memory', 'latency.dramLocal', sizes.memory, 0],
    [
      'memoryCrossDie',
      'latency.dramCrossDie',
      sizes.memory,
      nodes.find((node) => node > 0 && socketOfNode[node] === socketOfNode[0]),
    ],
    [
      'memoryRemote',
      'latency.dramRemote',
      sizes.memory,
      nodes.find((node) => socketOfNode[node] !== socketOfNode[0]),
    ],
  ];
  return places.flatMap(([name, parameter, size, node]): Tier[] => {
    const provenance = machine.provenance[parameter];
    if (provenance === undefined || node === undefined) return [];
    const chase = publishedChase(provenance) ?? { bytes: size, pageSize: '2M' };
    const histogram = `memory.read#${formatBytes(chase.bytes)}-node${node}`;
    return [{ name, parameter, histogram, chase }];
  });
}

function transferTiers(machine: Machine): Tier[] {
  const has = (parameter: string): boolean => machine.provenance[parameter] !== undefined;
  const { nodeCount, socketOfNode } = machine;
  const pairName = (sameSocket: boolean): string | undefined => {
    for (let a = 0; a < nodeCount; a++) {
      for (let b = a + 1; b < nodeCount; b++) {
        if ((socketOfNode[a] === socketOfNode[b]) === sameSocket) return `node${a}-node${b}`;
      }
    }
    return undefined;
  };
  const node = has('latency.transferDie') ? 'same-node' : 'same-die';
  const places: [string, string, string | undefined][] = [
    ['transferCluster', 'latency.transferCluster', 'same-cluster'],
    ['transferDie', 'latency.transferDie', 'same-die'],
    ['transferNode', 'latency.transferNode', node],
    ['transferCrossDie', 'latency.transferCrossDie', pairName(true)],
    ['transferCrossSocket', 'latency.transferCrossSocket', pairName(false)],
  ];
  return places
    .filter(([, parameter, group]) => has(parameter) && group !== undefined)
    .map(([name, parameter, group]) => ({
      name,
      parameter,
      histogram: `line.transfer#${group}`,
      chase: null,
    }));
}
