/**
 * The lock table of lock_contention: a line with the columns of /proc/lock_stat (in microseconds,
 * as there), and the figures of fairness that lock_stat lacks. Wait times are of all
 * acquisitions, not of contended ones alone.
 */

import { Metric } from '../../src/metrics/definition.ts';
import type { LatencyFacts, ReportLine, RunFacts, WorkloadContext } from '../workload.ts';
import { textTable } from './text-table.ts';

const COLUMNS = [
  'contentions',
  'waittime-min',
  'waittime-max',
  'waittime-total',
  'waittime-avg',
  'acq-bounces',
  'acquisitions',
  'holdtime-min',
  'holdtime-max',
  'holdtime-total',
  'holdtime-avg',
];

export function lockReport(
  facts: RunFacts,
  lockName: string,
  longestBypass: number,
  context: WorkloadContext,
  phase: number,
): readonly ReportLine[] {
  const count = (name: string): number => facts.counters[name] ?? 0;
  const wait = facts.latency(Metric.LockWait, null, phase);
  const hold = facts.latency(Metric.LockHold, null, phase);
  const local = count('lock.handovers.local');
  const remote = count('lock.handovers.remote');
  const cells = [
    `${count('lock.contentions')}`,
    ...times(wait),
    `${local + remote}`,
    `${count('lock.acquisitions')}`,
    ...times(hold),
  ];
  const lines = textTable('class name', COLUMNS, [{ name: lockName, cells }]);
  lines.push(...fairness(facts, longestBypass, context));
  const handovers = Math.max(1, local + remote);
  lines.push(
    `hand-overs to another CPU: ${local} inside a node, ${remote} between nodes ` +
      `(${((100 * remote) / handovers).toFixed(1)} %)`,
  );
  const span = facts.phases[phase];
  if (span !== null && span !== undefined && span.operations > 0) {
    const each = (span.endNs - span.startNs) / span.operations;
    lines.push(`one acquisition every ${each.toFixed(1)} ns over all CPUs`);
  }
  return lines.map((text) => ({ text }));
}

function times(latency: LatencyFacts | null): string[] {
  if (latency === null) return ['-', '-', '-', '-'];
  const microseconds = (ns: number): string => (ns / 1000).toFixed(2);
  return [
    microseconds(latency.minNs),
    microseconds(latency.maxNs),
    microseconds(latency.meanNs * latency.count),
    microseconds(latency.meanNs),
  ];
}

function fairness(facts: RunFacts, longestBypass: number, context: WorkloadContext): string[] {
  const { machine, placement } = context;
  const operations = facts.countersOfCpu['operations'] ?? [];
  const each = placement.cpus.map((cpu) => operations[cpu] ?? 0);
  const byNode = new Map<number, number>();
  placement.cpus.forEach((cpu, role) => {
    const node = machine.nodeOfCpu[cpu]!;
    byNode.set(node, (byNode.get(node) ?? 0) + each[role]!);
  });
  const nodes = [...byNode].sort((a, b) => a[0] - b[0]);
  return [
    `acquisitions per CPU: min ${Math.min(...each)}, max ${Math.max(...each)}; ` +
      `per node: ${nodes.map(([node, sum]) => `node${node} ${sum}`).join(', ')}`,
    `Jain's fairness index ${jainIndex(each).toFixed(4)} (1 = equal shares); ` +
      `longest bypass: ${longestBypass} acquisitions by others between two of one CPU`,
  ];
}

/** (sum x)^2 / (n sum x^2): 1 for equal shares, 1/n if one has all. */
export function jainIndex(shares: readonly number[]): number {
  const sum = shares.reduce((total, share) => total + share, 0);
  const squares = shares.reduce((total, share) => total + share * share, 0);
  return squares === 0 ? 1 : (sum * sum) / (shares.length * squares);
}
