/** The result of `numalab stress --json`: one object, whatever was stressed. */

import { buildId, packageVersion } from '../run/build.ts';
import { type Judged, replayCommand } from './report.ts';
import type { StressPlan } from './request.ts';

export const STRESS_SCHEMA = 'numalab-stress/1';

export function stressJson(plan: StressPlan, all: readonly Judged[]): unknown {
  const { setup } = plan.targets[0]!;
  return {
    schema: STRESS_SCHEMA,
    version: packageVersion(),
    build: buildId(),
    engine: 'explore',
    memoryModel: setup.model,
    strategy: setup.strategy,
    oracles: setup.oracles,
    seed: setup.seed,
    jobs: plan.jobs,
    schedules: plan.schedules,
    timeMs: plan.timeMs,
    keepGoing: plan.keepGoing,
    targets: all.map(targetJson),
  };
}

function targetJson(judged: Judged): unknown {
  const { result, meaning, stories } = judged;
  const { lock } = result.setup.target;
  const goal =
    (status: string) =>
    ({ name }: { name: string }) => ({ name, status });
  return {
    target: judged.name,
    mutant: judged.mutant === '' ? null : judged.mutant,
    file: lock === null ? null : { path: lock.file, sha256: lock.sha256 },
    verdict: meaning.verdict,
    cpus: result.setup.size.cpus,
    operations: result.setup.size.operations,
    schedules: result.schedules,
    complete: result.isComplete,
    byStrategy: Object.fromEntries(result.byStrategy),
    steps: result.steps,
    stepsMax: result.stepsMax,
    stepLimited: result.limited,
    residuals: meaning.residuals,
    goals: [
      ...meaning.reached.map((name) => ({ name, status: 'reached' })),
      ...meaning.missed.map(goal('missed')),
      ...meaning.outOfReach.map(goal('out of reach')),
    ],
    search: result.search,
    digest: result.digest,
    seconds: result.seconds,
    failed: result.failed,
    failures: stories.map((story) => ({
      ...story,
      replayCommand: replayCommand(judged, story.replay),
    })),
  };
}
