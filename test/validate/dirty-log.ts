/**
 * The published dirty-log table, emulated: before and after the parallel-fault series, 1 to 48
 * vCPUs, as nanoseconds per fault over all vCPUs. The host of the table is not named, so one
 * number is fitted, to the points of 1 and 2 vCPUs alone: a factor on the software path lengths of
 * the fault path, which are estimates anyway. All other points are predictions; nothing else is
 * fitted.
 *
 * Memory is scaled down unless `full`: time per fault hardly depends on how many there are.
 */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { formatBytes, MIB } from '../../src/base/units.ts';
import { loadMachine } from '../../src/machine/catalog.ts';
import { COST_NAMES } from '../../src/machine/costs.ts';
import { emulate, inParallel } from './emulate.ts';
import {
  PUBLISHED_BYTES_PER_VCPU,
  publishedNsPerFault,
  SERIES,
  type Series,
  VCPUS,
} from './published-dirty-log.ts';
import type { Row } from './row.ts';

const MACHINE = 'ampere_altra_1p_q80';
const SCALED_BYTES_PER_VCPU = 4 * MIB;
const PAGE_BYTES = 4096;

/** Points that the fit may see. */
const FITTED_VCPUS: readonly number[] = [1, 2];
/**
 * Software path lengths of a fault; what hardware does (locks, walks, DVM, lines) is not scaled.
 */
const FITTED_COSTS = [
  'guestExit',
  'guestEntry',
  'faultDecode',
  'memslotLookup',
  'vmaLookup',
  'gupFast',
  'stageTwoWalk',
  'faultFinish',
  'pageAlloc',
  'rcuCallback',
];

interface Point {
  readonly series: Series;
  readonly vcpus: (typeof VCPUS)[number];
}

const POINTS: readonly Point[] = SERIES.flatMap((series) =>
  VCPUS.map((vcpus) => ({ series, vcpus })),
);

export interface DirtyLog {
  readonly rows: readonly Row[];
  readonly factor: number;
  readonly bytesPerVcpu: number;
}

export async function dirtyLog(full: boolean): Promise<DirtyLog> {
  const bytesPerVcpu = full ? PUBLISHED_BYTES_PER_VCPU : SCALED_BYTES_PER_VCPU;
  const folder = mkdtempSync(join(tmpdir(), 'numalab-validate-'));
  try {
    const emulateAll = (points: readonly Point[], machine: string): Promise<Emulated[]> =>
      inParallel(points, (point) => nsPerFault(point, machine, bytesPerVcpu));
    const near = POINTS.filter(({ vcpus }) => FITTED_VCPUS.includes(vcpus));
    const bundled = await emulateAll(POINTS, MACHINE);
    const halved = await emulateAll(near, machineWith(folder, 0.5));
    const factor = fittedFactor(
      near.map((point, index) => ({
        published: publishedNsPerFault(point.series, point.vcpus),
        atOne: bundled[POINTS.indexOf(point)]!.ns,
        atHalf: halved[index]!.ns,
      })),
    );
    const fitted = await emulateAll(POINTS, machineWith(folder, factor));
    const rows = POINTS.flatMap((point, index) => [
      rowOf(point, 'bundled', bundled[index]!),
      rowOf(point, 'fitted', fitted[index]!),
    ]);
    return { rows, factor, bytesPerVcpu };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

interface Emulated {
  readonly ns: number;
  readonly machineHash: string;
}

async function nsPerFault(point: Point, machine: string, bytesPerVcpu: number): Promise<Emulated> {
  const { series, vcpus } = point;
  const result = await emulate([
    ...['dirty_log_perf_test', '-m', machine, '-c', String(vcpus + 1), '--like', series.like],
    ...['backing=anonymous_thp', `perVcpuMemory=${formatBytes(bytesPerVcpu)}`, 'iterations=2'],
  ]);
  const phase = result.phases.find(({ name }) => name === 'dirty-2');
  if (phase === undefined) throw new Error('dirty_log_perf_test has no phase dirty-2');
  const faults = (vcpus * bytesPerVcpu) / PAGE_BYTES;
  const ns = phase.emulatedNs / faults;
  const what = `${series.name}, ${vcpus} vCPUs, ${basename(machine)}`;
  process.stderr.write(`validate: ${what}: ${ns.toFixed(1)} ns per fault\n`);
  return { ns, machineHash: result.machineHash };
}

function rowOf({ series, vcpus }: Point, machine: string, { ns, machineHash }: Emulated): Row {
  const isFitted = FITTED_VCPUS.includes(vcpus) && machine === 'fitted';
  return {
    name: `dirtyLog.${series.name}.${vcpus}.${machine}`,
    unit: 'ns per fault',
    published: publishedNsPerFault(series, vcpus),
    emulated: ns,
    machineHash,
    kind: isFitted ? 'fitted' : 'predicted',
    note: `--like ${series.like}`,
  };
}

/** A machine file that scales the software path lengths; returns its path. */
function machineWith(folder: string, factor: number): string {
  const machine = loadMachine(MACHINE);
  const costs = FITTED_COSTS.map((name) => {
    const ps = machine.costsPs[COST_NAMES.indexOf(name)]!;
    return `  ${name}: ${((ps * factor) / 1000).toFixed(3)}`;
  });
  const name = `${MACHINE}_costs_${Math.round(factor * 100)}`;
  const path = join(folder, `${name}.yaml`);
  writeFileSync(path, [`name: ${name}`, `base: ${MACHINE}`, 'costs:', ...costs, ''].join('\n'));
  return path;
}

interface FitPoint {
  readonly published: number;
  readonly atOne: number;
  readonly atHalf: number;
}

/**
 * Least squares of the relative errors, time being linear in the factor between the two measured
 * ones; in steps of 0.01.
 */
export function fittedFactor(points: readonly FitPoint[]): number {
  let numerator = 0;
  let denominator = 0;
  for (const { published, atOne, atHalf } of points) {
    const slope = (2 * (atOne - atHalf)) / published;
    const offset = (2 * atHalf - atOne) / published;
    numerator += slope * (1 - offset);
    denominator += slope * slope;
  }
  return Math.round((100 * numerator) / denominator) / 100;
}
