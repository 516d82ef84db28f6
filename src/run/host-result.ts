/**
 * From the seeds of a host run to a RunResult. The words of a result that only emulated time can
 * fill (digest, emulated time, transfers of lines, estimates of the machine) stay empty; what the
 * wall clock says is printed under a line that says what it is.
 */

import { phasesOf } from '../../workloads/workload.ts';
import { formatPs, PS_PER_NS } from '../base/units.ts';
import type { HostEnding, HostResult, HostTally } from '../engine/host/spec.ts';
import { mergeHistograms } from '../metrics/histogram.ts';
import type { RunResult } from '../metrics/result.ts';
import { phaseFacts, type SeedFigures } from './facts.ts';
import { type FinishedRun, resultOf, type SeedOutcome } from './result.ts';
import { contextOf, type RunSpec } from './run-spec.ts';

export interface HostSeed {
  readonly seed: number;
  readonly ending: Exclude<HostEnding, { kind: 'failed' }>;
  /** What an oracle found, in words. */
  readonly finding: string | null;
  readonly report: readonly string[];
}

export const HOST_LABEL =
  'host wall clock; Atomics are sequentially consistent, missing barriers cannot show here';

/** One seed in the terms of reports: times are of the wall clock. */
export function seedFigures(seed: number, result: HostResult): SeedFigures {
  const cpus = result.cpus
    .toSorted((a, b) => a.id - b.id)
    .map((cpu) => ({ ...cpu, grantHash: 0, costUses: new Float64Array(0), state: 'finished' }));
  return {
    seed,
    cpus,
    histograms: mergeHistograms(cpus.flatMap((cpu) => cpu.histograms)),
    emulatedPs: cpus.reduce((latest, cpu) => Math.max(latest, cpu.clockPs), 0),
  };
}

export function hostResultOf(
  spec: RunSpec,
  seeds: readonly HostSeed[],
  pinText: string,
): FinishedRun {
  const outcomes = seeds.map(outcomeOf);
  const own = { ...spec, seeds: seeds.map(({ seed }) => seed) };
  const { result, seeds: histograms } = resultOf(own, outcomes);
  const tallies = seeds.map(tallyOf);
  const stalled = seeds.find(({ ending }) => ending.kind === 'stalled');
  const told: RunResult = {
    ...result,
    threads: { ...result.threads, workers: spec.placement.cpus.length, jobs: 1 },
    estimates: { used: 0, names: [] },
    seeds: result.seeds.map(({ seed }) => ({ seed, digest: null, emulatedNs: null })),
    digest: null,
    emulatedNs: null,
    wallNs: tallies.reduce((sum, { wallNs }) => sum + wallNs, 0),
    phases: [],
    hotLines: [],
    checks: [checkOf(seeds)],
    report: [
      HOST_LABEL,
      `${spec.placement.cpus.length} threads, ${placeText(seeds, pinText)}`,
      ...(outcomes[0]?.report ?? []),
      ...phaseLines(spec, outcomes),
      ...lateLines(tallies),
    ],
    ...(stalled === undefined ? {} : { stall: stallOf(stalled) }),
  };
  return { result: told, seeds: histograms };
}

/** The plan, unless the host did not let a thread have its place. */
function placeText(seeds: readonly HostSeed[], pinText: string): string {
  const refused = seeds.some(
    ({ ending }) => ending.kind === 'finished' && ending.result.cpus.some(({ pinned }) => !pinned),
  );
  return refused && pinText.startsWith('pinned') ? 'not pinned (the host refused)' : pinText;
}

function tallyOf({ ending }: HostSeed): HostTally {
  return ending.kind === 'finished' ? ending.result : ending.tally;
}

/** A seed that did not finish has no figures. */
function outcomeOf({ seed, ending, report }: HostSeed): SeedOutcome {
  const figures =
    ending.kind === 'finished'
      ? seedFigures(seed, ending.result)
      : { seed, cpus: [], histograms: [], emulatedPs: 0 };
  return {
    ...figures,
    digest: '',
    traffic: [],
    ending: { kind: 'finished' },
    report,
    verdicts: [],
    workers: figures.cpus.length,
  };
}

function checkOf(seeds: readonly HostSeed[]): RunResult['checks'][number] {
  const found = seeds.find(({ finding }) => finding !== null);
  if (found !== undefined) {
    return { name: 'exclusion', ok: false, text: `${found.finding} (seed ${found.seed})` };
  }
  const text = 'owners in ghost words, changed inside what the locks protect';
  return { name: 'exclusion', ok: true, text };
}

function stallOf({ seed, ending }: HostSeed): RunResult['stall'] {
  if (ending.kind !== 'stalled') return undefined;
  return {
    kind: ending.livelock ? 'no-progress' : 'deadlock',
    seed,
    atNs: ending.tally.wallNs,
    report: ending.lines,
  };
}

function phaseLines(spec: RunSpec, outcomes: readonly SeedOutcome[]): string[] {
  const phases = phasesOf(spec.workload, contextOf(spec, spec.seeds[0]!));
  return phases.flatMap(({ name, warmUp }, index) => {
    const facts = outcomes.flatMap(({ cpus }) => phaseFacts(cpus, index) ?? []);
    if (facts.length === 0) return [];
    const ns = facts.reduce((sum, { startNs, endNs }) => sum + endNs - startNs, 0);
    const operations = facts.reduce((sum, each) => sum + each.operations, 0);
    const each =
      operations === 0
        ? ''
        : `, ${formatPs(Math.round((ns * PS_PER_NS) / operations))} per operation`;
    const words = `${formatPs(Math.round((ns * PS_PER_NS) / facts.length))} of wall clock${each}`;
    return [`phase ${name}${warmUp === true ? ' (warm-up)' : ''}: ${words}`];
  });
}

function lateLines(tallies: readonly HostTally[]): string[] {
  const late = tallies.reduce((sum, { lateWakes }) => sum + lateWakes, 0);
  return late === 0 ? [] : [`${late} wake-ups came late (a thread lost its core)`];
}
