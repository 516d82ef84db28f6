/** From what the workers gave back to a RunResult: merged over workers, then over seeds. */

import { phasesOf } from '../../workloads/workload.ts';
import { assert } from '../base/assert.ts';
import { PS_PER_NS } from '../base/units.ts';
import type { Verdict } from '../checkers/replay.ts';
import type { CpuResult, Ending, SymbolTraffic, WorkerResult } from '../engine/virtual/spec.ts';
import { COST_NAMES } from '../machine/costs.ts';
import type { Machine } from '../machine/machine.ts';
import type { PhysicalMemoryBuffers } from '../memory/physical-memory.ts';
import { COUNTERS, Counter } from '../metrics/definition.ts';
import { mergeHistograms, summarise } from '../metrics/histogram.ts';
import { mergeSeeds, nameHistograms, type SeedHistograms } from '../metrics/naming.ts';
import type { HotLine, PhaseResult, RunResult } from '../metrics/result.ts';
import { timeParts } from '../metrics/time-parts.ts';
import { buildId, packageVersion } from './build.ts';
import { digestOf, digestOfSeeds } from './digest.ts';
import { phaseFacts, type SeedFigures } from './facts.ts';
import { contextOf, type RunSpec } from './run-spec.ts';

/** One seed, merged over its workers; plain figures, memory left behind. */
export interface SeedOutcome extends SeedFigures {
  readonly digest: string;
  readonly traffic: readonly SymbolTraffic[];
  readonly ending: Ending;
  readonly report: readonly string[];
  /** Of the checkers; empty when checks are off. */
  readonly verdicts: readonly Verdict[];
  readonly workers: number;
}

const HOT_LINES_MAX = 20;

/** `report` and `verdicts` are filled in by the caller, who has memory and names. */
export function mergeWorkers(
  seed: number,
  results: readonly WorkerResult[],
  memory: PhysicalMemoryBuffers,
): SeedOutcome {
  const cpus = results.flatMap((result) => result.cpus).toSorted((a, b) => a.id - b.id);
  const histograms = mergeHistograms(results.flatMap((result) => result.histograms));
  return {
    seed,
    cpus,
    histograms,
    emulatedPs: cpus.reduce((latest, cpu) => Math.max(latest, cpu.clockPs), 0),
    digest: digestOf(cpus, histograms, memory),
    traffic: results.flatMap((result) => result.symbols),
    ending: joinEndings(results.map((result) => result.ending)),
    report: [],
    verdicts: [],
    workers: results.length,
  };
}

/** Each worker reports its own CPUs that wait. */
function joinEndings(endings: readonly Ending[]): Ending {
  const stalled = endings.filter((ending) => ending.kind !== 'finished');
  const first = stalled[0];
  if (first === undefined) return { kind: 'finished' };
  return {
    kind: first.kind,
    atPs: Math.max(...stalled.map(({ atPs }) => atPs)),
    report: stalled.flatMap(({ report }) => report),
  };
}

export interface FinishedRun {
  readonly result: RunResult;
  readonly seeds: readonly SeedHistograms[];
}

export function resultOf(spec: RunSpec, outcomes: readonly SeedOutcome[]): FinishedRun {
  assert(outcomes.length === spec.seeds.length, 'a seed has no outcome');
  const phases = phasesOf(spec.workload, contextOf(spec, spec.seeds[0]!));
  const named = phases.length === 0 ? [{ name: 'all' }] : phases;
  const seeds = outcomes.map((outcome) => ({
    seed: outcome.seed,
    emulatedNs: outcome.emulatedPs / PS_PER_NS,
    histograms: nameHistograms(outcome.histograms, named),
  }));
  const merged = mergeSeeds(seeds);
  const stalled = outcomes.find((outcome) => outcome.ending.kind !== 'finished');
  const result: RunResult = {
    schema: 'numalab-run-1',
    version: packageVersion(),
    build: buildId(),
    runId: spec.runId,
    machineHash: spec.machine.hash,
    workload: spec.workload.name,
    machine: spec.machine.name,
    cpus: spec.placement.cpus,
    placement: placementOf(spec),
    threads: { option: String(spec.threads), workers: outcomes[0]!.workers, jobs: spec.jobs },
    engine: spec.engine,
    like: spec.workload.kernelOptions.length > 0 ? spec.like : null,
    whatIf: spec.whatIf,
    params: spec.parameters,
    estimates: estimatesUsed(spec.machine, outcomes),
    seeds: outcomes.map(({ seed, digest, emulatedPs }) => ({
      seed,
      digest,
      emulatedNs: emulatedPs / PS_PER_NS,
    })),
    digest: digestOfSeeds(outcomes.map((outcome) => outcome.digest)),
    emulatedNs: Math.max(...outcomes.map((outcome) => outcome.emulatedPs)) / PS_PER_NS,
    phases: named.map((phase, index) => phaseResult(phase.name, phase.warmUp, outcomes, index)),
    histograms: Object.fromEntries(merged.map(({ name, data }) => [name, summarise(data)])),
    counters: sumCounters(outcomes),
    hotLines: hotLines(outcomes),
    parts: timeParts(merged),
    checks: spec.check ? checksOf(outcomes) : [],
    report: outcomes[0]!.report,
    ...(stalled === undefined ? {} : { stall: stallOf(stalled) }),
  };
  return { result, seeds };
}

/** Per rule: what the first seed's verdict says, or what any seed's violation says. */
function checksOf(outcomes: readonly SeedOutcome[]): RunResult['checks'] {
  const verdicts = outcomes.flatMap((outcome) => outcome.verdicts);
  const names = new Set(verdicts.map(({ name }) => name));
  const checks = [...names].flatMap((name) => {
    const violated = verdicts.filter((verdict) => verdict.name === name && !verdict.ok);
    return violated.length > 0 ? violated : [verdicts.find((verdict) => verdict.name === name)!];
  });
  return [...checks, WITNESSED];
}

/** Accesses out of order end the run with an error, so a result always has passed. */
const WITNESSED = {
  name: 'order',
  ok: true,
  text: 'accesses to each line followed emulated time',
};

function stallOf(outcome: SeedOutcome): RunResult['stall'] & object {
  const { ending } = outcome;
  assert(ending.kind !== 'finished', 'a finished run did not stall');
  return {
    kind: ending.kind,
    seed: outcome.seed,
    atNs: ending.atPs / PS_PER_NS,
    report: ending.report,
  };
}

export function placementOf(spec: RunSpec): RunResult['placement'] {
  const { machine, placement, helpers, parameters } = spec;
  const first = placement.cpus.length - helpers;
  const own = placement.cpus.slice(0, first);
  const policy = placement.memoryPolicy;
  return {
    layout: spec.cpusAreListed ? 'list' : String(parameters['placement'] ?? 'packed'),
    mempolicy: policy === 'bind' ? `bind:${placement.bindNode}` : policy,
    nodes: Array.from({ length: machine.nodeCount }, (_, node) => ({
      node,
      cpus: own.filter((cpu) => machine.nodeOfCpu[cpu] === node),
    })),
    helpers: placement.cpus.slice(first),
  };
}

/** Every parameter of the machine shapes a run, except costs that nobody was charged. */
function estimatesUsed(machine: Machine, outcomes: readonly SeedOutcome[]): RunResult['estimates'] {
  const charged = new Set<string>();
  for (const cpu of outcomes.flatMap((outcome) => outcome.cpus)) {
    cpu.costUses.forEach((uses, cost) => {
      if (uses > 0) charged.add(`costs.${COST_NAMES[cost]}`);
    });
  }
  const used = Object.entries(machine.provenance).filter(
    ([name]) => !name.startsWith('costs.') || charged.has(name),
  );
  const estimates = used.filter(([, provenance]) => provenance.confidence === 'estimate');
  return { used: used.length, names: estimates.map(([name]) => name) };
}

/** Means over seeds; operations of all seeds share the time of all seeds. */
function phaseResult(
  name: string,
  warmUp: boolean | undefined,
  outcomes: readonly SeedOutcome[],
  phase: number,
): PhaseResult {
  let ns = 0;
  let entered = 0;
  let operations = 0;
  for (const outcome of outcomes) {
    const facts = phaseFacts(outcome.cpus, phase);
    if (facts === null) continue;
    entered++;
    ns += facts.endNs - facts.startNs;
    operations += facts.operations;
  }
  return {
    name,
    emulatedNs: entered === 0 ? null : ns / entered,
    nsPerOperation: operations === 0 ? null : ns / operations,
    ...(warmUp === true ? { warmUp: true as const } : {}),
  };
}

function sumCounters(outcomes: readonly SeedOutcome[]): Record<string, number> {
  const cpus: readonly CpuResult[] = outcomes.flatMap((outcome) => outcome.cpus);
  const sum = (counter: number): number =>
    cpus.reduce((total, cpu) => total + cpu.counters[counter]!, 0);
  const sums = Object.fromEntries(COUNTERS.map(({ name }, counter) => [name, sum(counter)]));
  // Every data access ends in one of the three; the engine doesn't count it twice.
  sums['accesses'] = sum(Counter.L1Hits) + sum(Counter.L2Hits) + sum(Counter.Misses);
  return sums;
}

function hotLines(outcomes: readonly SeedOutcome[]): HotLine[] {
  const byName = new Map<string, { name: string; local: number; remote: number }>();
  for (const { name, local, remote } of outcomes.flatMap((outcome) => outcome.traffic)) {
    const line = byName.get(name) ?? { name, local: 0, remote: 0 };
    line.local += local;
    line.remote += remote;
    byName.set(name, line);
  }
  const total = (line: HotLine): number => line.local + line.remote;
  return [...byName.values()]
    .filter((line) => total(line) > 0)
    .sort((a, b) => total(b) - total(a) || (a.name < b.name ? -1 : 1))
    .slice(0, HOT_LINES_MAX);
}
