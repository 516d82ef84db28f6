/** The report of one run on a terminal: header, latencies, and why they are as they are. */

import { formatCpulist } from '../base/parse-cpulist.ts';
import type { NamedHistogram } from '../metrics/naming.ts';
import type { RunResult } from '../metrics/result.ts';
import { type Look, paint } from './color.ts';
import { latencyTable } from './latency-table.ts';
import {
  checksLines,
  countersTable,
  estimatesLines,
  formatNs,
  hotLinesTable,
  partsTable,
  phasesTable,
  wrap,
} from './sections.ts';

/** `merged`: histograms over all seeds (mergeSeeds), for the sketches; may be empty. */
export function renderRun(
  result: RunResult,
  merged: readonly NamedHistogram[],
  look: Look,
): string {
  const sections = [
    runHeader(result, look),
    result.report,
    stallLines(result.stall, look),
    latencyTable(result.histograms, merged, { phases: false }, look),
    partsTable(result.parts, look),
    phasesTable(result.phases, look),
    hotLinesTable(result.hotLines, look),
    countersTable(result.counters, look),
    [...checksLines(result.checks, look), ...estimates(result, look)],
    identityLines(result),
  ];
  const texts = sections.filter((lines) => lines.length > 0).map((lines) => lines.join('\n'));
  return `${texts.join('\n\n')}\n`;
}

/** A run on the host's own clock takes no figure of the machine. */
function estimates({ engine, estimates: used }: RunResult, look: Look): string[] {
  return engine === 'host' ? [] : estimatesLines(used, look);
}

export function runHeader(result: RunResult, look: Look): string[] {
  const { workload, machine, cpus, engine, like, threads } = result;
  const title = `${workload} on ${machine}, ${plural(cpus.length, 'CPU')}`;
  const facts = [
    `seed ${formatSeeds(result)}`,
    `engine ${engine}`,
    ...(like === null ? [] : [`like ${like}`]),
    `threads ${threads.workers}${threads.jobs > 1 ? ` x ${threads.jobs} seeds` : ''}`,
    `mempolicy ${result.placement.mempolicy}`,
  ];
  return [
    paint(title, 'bold', look),
    ...wrap(placementText(result.placement), look.width),
    ...wrap(facts.join(', '), look.width),
    ...result.whatIf.map((option) => paint(`what-if: ${option}`, 'yellow', look)),
  ];
}

function placementText(placement: RunResult['placement']): string {
  const parts = placement.nodes
    .filter(({ cpus }) => cpus.length > 0)
    .map(({ node, cpus }) => `node ${node}: ${cpusText(cpus)}`);
  if (placement.helpers.length > 0) parts.push(`helpers on ${cpusText(placement.helpers)}`);
  return parts.join('; ');
}

function cpusText(cpus: readonly number[]): string {
  return `${cpus.length === 1 ? 'CPU' : 'CPUs'} ${formatCpulist(cpus)}`;
}

function plural(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? '' : 's'}`;
}

/** Seeds of a run are consecutive. */
function formatSeeds({ seeds }: RunResult): string {
  const first = seeds[0]?.seed;
  if (first === undefined) return '-';
  return seeds.length === 1 ? `${first}` : `${first}-${seeds.at(-1)!.seed}`;
}

function stallLines(stall: RunResult['stall'], look: Look): string[] {
  if (stall === undefined) return [];
  const what = stall.kind === 'deadlock' ? 'DEADLOCK' : 'NO PROGRESS';
  const head = `${what} of the emulated program at ${formatNs(stall.atNs)}, seed ${stall.seed}:`;
  return [paint(head, 'red', look), ...stall.report.map((line) => `  ${line}`)];
}

function identityLines(result: RunResult): string[] {
  const time =
    result.emulatedNs === null
      ? `${formatNs(result.wallNs ?? 0)} of wall clock`
      : `${formatNs(result.emulatedNs)} emulated`;
  const digest = result.digest === null ? '' : `, digest ${result.digest}`;
  return [`${time}, seed ${formatSeeds(result)}${digest}`];
}
