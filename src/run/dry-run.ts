/** --dry-run: what would run, as text and as data, without running it. */

import type { ParameterKind, ParameterValue } from '../base/parameters.ts';
import { formatBytes, formatPs } from '../base/units.ts';
import type { Estimate } from './estimate.ts';
import { kernelTables } from './kernel-options.ts';
import { replayCommand } from './replay.ts';
import { placementOf } from './result.ts';
import { workerLimit } from './run.ts';
import type { RunSpec } from './run-spec.ts';

export function dryRunJson(spec: RunSpec, estimate: Estimate): unknown {
  return {
    schema: 'numalab-dry-run-1',
    runId: spec.runId,
    machineHash: spec.machine.hash,
    workload: spec.workload.name,
    machine: spec.machine.name,
    cpus: spec.placement.cpus,
    placement: placementOf(spec),
    threads: { option: String(spec.threads), workers: workerLimit(spec), jobs: spec.jobs },
    engine: spec.engine,
    like: spec.workload.kernelOptions.length > 0 ? spec.like : null,
    whatIf: spec.whatIf,
    params: spec.parameters,
    seeds: spec.seeds,
    estimate,
  };
}

export function dryRunText(spec: RunSpec, estimateLines: readonly string[]): string {
  const { machine, workload, placement, seeds } = spec;
  const lines = [
    `workload    ${workload.name}: ${workload.description}`,
    `machine     ${machine.name}: ${machine.nodeCount} nodes, ${machine.cpuCount} CPUs`,
    `CPUs        ${placement.cpus.length}: ${spec.placementText}`,
    `seeds       ${seeds.length === 1 ? seeds[0] : `${seeds[0]} .. ${seeds.at(-1)}`}`,
    `threads     ${spec.threads}: up to ${workerLimit(spec)} per seed, ${spec.jobs} seeds at once`,
  ];
  if (workload.kernelOptions.length > 0) lines.push(`like        ${spec.like}`);
  if (spec.whatIfLabel !== null) lines.push(spec.whatIfLabel);
  lines.push('parameters');
  const kinds = kindsOf(spec);
  const width = Math.max(...Object.keys(spec.parameters).map((name) => name.length));
  for (const [name, value] of Object.entries(spec.parameters)) {
    const text = value === '' ? '(by machine and other options)' : formatValue(kinds, name, value);
    lines.push(`  ${name.padEnd(width)}  ${text}${spec.given.includes(name) ? '  (given)' : ''}`);
  }
  lines.push(...estimateLines, `runId       ${spec.runId}`, '');
  lines.push(`next: ${replayCommand(spec, seeds[0]!)}`);
  return lines.join('\n');
}

/** Kinds by name; those of a profile's parts are not looked up. */
function kindsOf({ workload }: RunSpec): ReadonlyMap<string, ParameterKind> {
  const tables = [...workload.parameters, ...kernelTables(workload)];
  return new Map(tables.map(({ name, kind }) => [name, kind]));
}

function formatValue(
  kinds: ReadonlyMap<string, ParameterKind>,
  name: string,
  value: ParameterValue,
): string {
  if (typeof value === 'boolean') return value ? 'on' : 'off';
  if (typeof value === 'string') return value;
  const kind = kinds.get(name);
  if (kind === 'size') return formatBytes(value);
  return kind === 'time' ? formatPs(value) : String(value);
}
