/** --dry-run: what would run, as text and as data, without running it. */

import type { ParameterKind, ParameterValue } from '../base/parameters.ts';
import { formatBytes, formatPs } from '../base/units.ts';
import { type Estimate, estimateLines, formatRounded } from './estimate.ts';
import { kernelTables } from './kernel-options.ts';
import { formatSeconds } from './progress.ts';
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

/** One variant of a comparison. */
export interface Plan {
  readonly label: string;
  readonly spec: RunSpec;
  readonly estimate: Estimate;
}

export function comparisonDryRunJson(plans: readonly Plan[]): unknown {
  return {
    schema: 'numalab-compare-dry-run-1',
    baseline: plans[0]!.label,
    runs: plans.map(({ label, spec, estimate }) => ({
      label,
      ...(dryRunJson(spec, estimate) as object),
    })),
    estimate: togetherOf(plans),
  };
}

export function comparisonDryRunText(plans: readonly Plan[]): string {
  const blocks = plans.map(({ label, spec, estimate }, index) => {
    const role = index === 0 ? ' (baseline)' : '';
    const lines = dryRunLines(spec, estimateLines(estimate));
    return [`${label}${role}`, ...lines.map((line) => `  ${line}`), ''].join('\n');
  });
  const { hostBytes, seconds } = togetherOf(plans);
  const time = seconds === null ? 'unknown time' : `about ${formatSeconds(seconds)}`;
  return [
    ...blocks,
    `all ${plans.length}, one after another: ` +
      `host memory about ${formatRounded(hostBytes)}, ${time}`,
  ].join('\n');
}

/** Variants run one after another: times add up, the largest memory decides. */
function togetherOf(plans: readonly Plan[]): Pick<Estimate, 'hostBytes' | 'seconds'> {
  const seconds = plans.map(({ estimate }) => estimate.seconds);
  const known = seconds.filter((each) => each !== null);
  return {
    hostBytes: Math.max(...plans.map(({ estimate }) => estimate.hostBytes)),
    seconds: known.length < seconds.length ? null : known.reduce((sum, each) => sum + each, 0),
  };
}

export function dryRunText(spec: RunSpec, estimate: Estimate): string {
  const next = `next: ${replayCommand(spec, spec.seeds[0]!)}`;
  return [...dryRunLines(spec, estimateLines(estimate)), '', next].join('\n');
}

function dryRunLines(spec: RunSpec, estimates: readonly string[]): string[] {
  const { machine, workload, placement, seeds } = spec;
  const nodes = `${machine.nodeCount} ${machine.nodeCount === 1 ? 'node' : 'nodes'}`;
  const lines = [
    `workload    ${workload.name}: ${workload.description}`,
    `machine     ${machine.name}: ${nodes}, ${machine.cpuCount} CPUs`,
    `CPUs        ${placement.cpus.length}: ${spec.placementText}`,
    `seeds       ${seeds.length === 1 ? seeds[0] : `${seeds[0]} .. ${seeds.at(-1)}`}`,
    `threads     ${spec.threads}: up to ${workerLimit(spec)} per seed; seeds at once: ${spec.jobs}`,
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
  lines.push(...estimates, `runId       ${spec.runId}`);
  return lines;
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
