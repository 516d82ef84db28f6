/** Results of runs as rows of the table: rates, percentiles of bystanders, work per load. */

import type { Result } from '../validate/emulate.ts';
import type { Table } from '../validate/table.ts';
import { type Point, SEEDS, type Section } from './points.ts';

export interface Measured {
  readonly point: Point;
  readonly result: Result;
}

/** The parts of a row that are numbers. */
export interface Row {
  readonly loadsPerSecond: number;
  readonly p50Ns: number | null;
  readonly p99Ns: number | null;
  readonly p999Ns: number | null;
  /** Per load, over the whole run, less what the run without loads has; null: no loads. */
  readonly flushes: number | null;
  readonly ipis: number | null;
  readonly dvm: number | null;
  /** Of the time that bystanders are measured, what the storm lasts. */
  readonly coverage: number;
}

const COUNTERS = { flushes: 'flush_tlb_kernel_range', ipis: 'ipi.sent', dvm: 'dvm.received' };
/** Phases of the guests up to the one that is measured, in order. */
const BEFORE_FAULTS = ['populate', 'enable', 'dirty-1', 'get-1', 'clear-1'];
const FAULTS = 'fault.stall#guests:dirty-2';

export function rowOf({ point, result }: Measured, quiet: Result): Row {
  const isText = point.section.bystander === 'text';
  const storm = isText ? 'storm' : 'loaders:storm';
  const loads = (result.histograms[`bpf.load#${storm}`]?.count ?? 0) / SEEDS;
  const stormNs = timeOf(result, storm);
  const bystander = result.histograms[isText ? 'text.run' : FAULTS];
  const perLoad = (name: string): number | null => {
    if (point.design === null) return null;
    const own = isText ? 0 : (quiet.counters[name] ?? 0);
    const all = result.counters['bpf.loads'] ?? 0;
    return all === 0 ? null : ((result.counters[name] ?? 0) - own) / all;
  };
  return {
    loadsPerSecond: stormNs === 0 ? 0 : (loads / stormNs) * 1e9,
    p50Ns: bystander?.p50 ?? null,
    p99Ns: bystander?.p99 ?? null,
    p999Ns: bystander?.p999 ?? null,
    flushes: perLoad(COUNTERS.flushes),
    ipis: perLoad(COUNTERS.ipis),
    dvm: perLoad(COUNTERS.dvm),
    coverage: isText ? 1 : coverageOf(result),
  };
}

function timeOf({ phases }: Result, name: string): number {
  return phases.find((phase) => phase.name === name)?.emulatedNs ?? 0;
}

/** Both parts start at 0 and their phases follow one another. */
export function coverageOf(result: Result): number {
  const before = BEFORE_FAULTS.map((name) => timeOf(result, `guests:${name}`));
  const start = before.reduce((sum, ns) => sum + ns, 0);
  const end = start + timeOf(result, 'guests:dirty-2');
  const stormStart = timeOf(result, 'loaders:warm-up');
  const stormEnd = stormStart + timeOf(result, 'loaders:storm');
  const overlap = Math.min(end, stormEnd) - Math.max(start, stormStart);
  return end === start ? 0 : Math.max(0, overlap) / (end - start);
}

export function tableOf(section: Section, measured: readonly Measured[]): Table {
  const quiet = measured.find(({ point }) => point.design === null)!.result;
  const isText = section.bystander === 'text';
  const what = isText
    ? 'Bystander: 200 basic blocks of user text (text.run).'
    : 'Bystander: a fault until its access is performed (fault.stall), dirty logging, second pass.';
  return {
    title: `${section.title}, ${section.machine}`,
    lines: [what, `Machine ${quiet.machineHash.slice(0, 12)}.`],
    header: [
      ...['allocator', 'kernel', 'loads/s', 'p50 ns', 'p99 ns', 'p99.9 ns'],
      ...['flushes per load', 'IPIs per load', 'DVM operations per load'],
    ],
    rows: measured.map((each) => cellsOf(each, rowOf(each, quiet))),
  };
}

function cellsOf({ point, result }: Measured, row: Row): string[] {
  const { design } = point;
  const isPartial = design !== null && row.coverage < 0.95;
  const covered = isPartial ? ` (${(100 * row.coverage).toFixed(0)} % of the time)` : '';
  return [
    design === null ? 'none' : design.name,
    result.whatIf.length > 0 ? 'what-if' : '',
    `${row.loadsPerSecond.toFixed(0)}${covered}`,
    ...[row.p50Ns, row.p99Ns, row.p999Ns].map((ns) => (ns === null ? '-' : ns.toFixed(0))),
    ...[row.flushes, row.ipis, row.dvm].map((count) => (count === null ? '-' : count.toFixed(1))),
  ];
}
