/** The validation as text, as JSON, and as the page test/reports/validation.md. */

import { formatBytes } from '../../src/base/units.ts';
import type { DirtyLog } from './dirty-log.ts';
import { lockTables } from './lock-tables.ts';
import { fitsClaim, type LockFigure, type LockValidation, lockFigures } from './locks.ts';
import { misfits, reasonOf } from './misfits.ts';
import { PUBLISHED_BYTES_PER_VCPU, VCPUS } from './published-dirty-log.ts';
import { comesBack, type Row, ratioOf } from './row.ts';
import { sectionText, type Table, tableText } from './table.ts';
import { type TextAndCode, textAndCodeTables } from './text-and-code.ts';
import { traceTable } from './traces.ts';

export interface Validation {
  readonly tiers: readonly Row[];
  readonly dirtyLog: DirtyLog;
  readonly traces: readonly Row[];
  readonly textAndCode: TextAndCode;
  readonly locks: LockValidation;
}

export function asJson(validation: Validation): string {
  const { tiers, dirtyLog, traces, textAndCode, locks } = validation;
  const rows = [...tiers, ...dirtyLog.rows, ...traces, ...textAndCode.rows].map((row) => [
    row.name,
    {
      value: row.emulated,
      unit: row.unit,
      published: row.published,
      ratio: ratioOf(row),
      kind: row.kind,
      comesBack: comesBack(row),
      machineHash: row.machineHash,
    },
  ]);
  const lockRows = lockFigures(locks).map((figure) => [figure.name, jsonOfLock(figure)]);
  const claims = textAndCode.claims.map(({ name, ...claim }) => [name, claim]);
  return JSON.stringify(Object.fromEntries([...rows, ...claims, ...lockRows]), null, 2);
}

/** Bounds that are not claimed are null. */
function jsonOfLock(figure: LockFigure): object {
  const { value, unit, claim, machineHash } = figure;
  const most = claim?.most === Number.POSITIVE_INFINITY ? null : (claim?.most ?? null);
  const claimed = { least: claim?.least ?? null, most };
  return { value, unit, claimed, fits: fitsClaim(figure), machineHash };
}

export function asText(validation: Validation): string {
  return tablesOf(validation).map(tableText).join('\n\n');
}

export function asMarkdown(validation: Validation): string {
  const sections = tablesOf(validation).map(sectionText);
  const head = [
    '# Validation: published figures beside emulated ones',
    '',
    'Written by `npm run validate`. A machine hash names the parameters that a figure was emulated',
    'with; `numalab machine show NAME` prints them with their sources.',
  ];
  return `${[head.join('\n'), ...sections].join('\n\n')}\n`;
}

function tablesOf(validation: Validation): Table[] {
  const { tiers, dirtyLog, traces, textAndCode, locks } = validation;
  const kernel = [tiersTable(tiers), dirtyLogTable(dirtyLog), ...textAndCodeTables(textAndCode)];
  return [...kernel, misfitTable(validation), traceTable(traces), ...lockTables(locks)];
}

function tiersTable(tiers: readonly Row[]): Table {
  const figures = tiers.filter(({ kind }) => kind === 'figure');
  const back = figures.filter((row) => comesBack(row) === true).length;
  return {
    title: 'Latencies by tier',
    lines: [
      'memory_latency and core_to_core against the figures that the machines are described with:',
      `${back} of ${figures.length} figures published as one number come back within 5 %.`,
      'Ranges (by their middle) and estimates are shown without a verdict.',
    ],
    header: ['figure', 'kind', 'published ns', 'emulated ns', 'ratio', 'within 5 %', 'machine'],
    rows: tiers.map((row) => [
      row.note.endsWith('4K pages') ? `${row.name} (${row.note.split(', ')[1]})` : row.name,
      row.kind,
      row.published.toFixed(2),
      row.emulated.toFixed(2),
      ratioOf(row).toFixed(3),
      verdict(row),
      row.machineHash.slice(0, 12),
    ]),
  };
}

function verdict(row: Row): string {
  const back = comesBack(row);
  if (back === null) return '';
  return back ? 'yes' : 'no';
}

function dirtyLogTable({ rows, factor, bytesPerVcpu }: DirtyLog): Table {
  const scale =
    bytesPerVcpu === PUBLISHED_BYTES_PER_VCPU
      ? ''
      : `; emulated with ${formatBytes(bytesPerVcpu)} per vCPU`;
  const find = (series: string, vcpus: number, machine: string): Row =>
    rows.find(({ name }) => name === `dirtyLog.${series}.${vcpus}.${machine}`)!;
  const hashes = ['bundled', 'fitted'].map((machine) =>
    find('before', 1, machine).machineHash.slice(0, 12),
  );
  const body = ['before', 'after'].flatMap((series) =>
    VCPUS.map((vcpus) => {
      const bundled = find(series, vcpus, 'bundled');
      const fitted = find(series, vcpus, 'fitted');
      return [
        series,
        String(vcpus),
        fitted.published.toFixed(0),
        bundled.emulated.toFixed(0),
        ratioOf(bundled).toFixed(2),
        fitted.emulated.toFixed(0),
        ratioOf(fitted).toFixed(2),
        fitted.kind,
      ];
    }),
  );
  return {
    title: 'Dirty logging before and after parallel stage-2 faults',
    lines: [
      'O. Upton, "KVM: arm64: Parallel stage-2 fault handling" v1 (6.0-rc3, host not named):',
      `dirty_log_perf_test -s anonymous_thp -m 2 -b 4G -v N, ns per fault over all vCPUs${scale}.`,
      'before = --like v6.0, after = --like v6.2, on ampere_altra_1p_q80.',
      `Fitted: one factor on software path lengths, ${factor}, from 1 and 2 vCPUs of both series;`,
      'everything else is predicted. "bundled" is the machine as it is, nothing fitted.',
      `Machines: bundled ${hashes[0]}, fitted ${hashes[1]}.`,
      ...speedups(find),
    ],
    header: ['series', 'vCPUs', 'published', 'bundled', 'ratio', 'fitted', 'ratio', 'kind'],
    rows: body,
  };
}

function speedups(find: (series: string, vcpus: number, machine: string) => Row): string[] {
  const gain = (vcpus: number, figure: (row: Row) => number, machine: string): string =>
    (figure(find('before', vcpus, machine)) / figure(find('after', vcpus, machine))).toFixed(2);
  const published = (row: Row): number => row.published;
  const emulated = (row: Row): number => row.emulated;
  return [1, 48].map(
    (vcpus) =>
      `Gain of the series at ${vcpus} vCPU${vcpus === 1 ? '' : 's'}: published ` +
      `x${gain(vcpus, published, 'fitted')}, emulated x${gain(vcpus, emulated, 'bundled')} ` +
      `(bundled), x${gain(vcpus, emulated, 'fitted')} (fitted).`,
  );
}

function misfitTable({ tiers, dirtyLog, textAndCode }: Validation): Table {
  const found = misfits([...tiers, ...dirtyLog.rows, ...textAndCode.rows]);
  const byReason = new Map<string, Row[]>();
  for (const { row, reason } of found) {
    byReason.set(reason, [...(byReason.get(reason) ?? []), row]);
  }
  const broken = textAndCode.claims.filter(({ fits }) => !fits);
  return {
    title: 'Misfits',
    lines: ['Figures off by more than 5 %, fits and predictions by more than 20 %, and why.'],
    header: ['figures', 'ratios', 'reason'],
    rows: [
      ...[...byReason].map(([reason, rows]) => [
        rows.length === 1 ? rows[0]!.name : `${rows[0]!.name} and ${rows.length - 1} more`,
        [...new Set(rows.map((row) => ratioOf(row).toFixed(2)))].sort().join(' '),
        reason,
      ]),
      ...broken.map(({ name, emulated }) => [name, emulated, reasonOf(name)]),
    ],
  };
}
