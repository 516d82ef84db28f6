/**
 * `npm run exhaustive`: every execution of each lock's stress target at the smallest sizes, as
 * `numalab stress --strategy exhaustive` takes them, and test/reports/exhaustive.md. A search ends
 * after so many CPU seconds (first argument, 5 unless told) and is then named incomplete. Exit code
 * 2 if a lock is broken.
 */

import { writeFileSync } from 'node:fs';
import {
  estimateSize,
  sizeText,
  upToRenaming,
} from '../../src/engine/explore/exhaustive/estimate.ts';
import { fromBoot, runExhaustive } from '../../src/engine/explore/exhaustive/run-exhaustive.ts';
import { withFewRenamings } from '../../src/engine/explore/exhaustive/symmetry.ts';
import { observeExplorer } from '../../src/stress/oracles/all.ts';
import { resolveTarget, targetsNamed } from '../../src/stress/registry.ts';
import { openTarget } from '../../src/stress/run-target.ts';
import type { StressTarget } from '../../src/stress/target.ts';

const SIZES = [
  [2, 1],
  [3, 1],
  [2, 2],
] as const;
/** A loop that goes on for ever is cut off here. */
const STEP_LIMIT = 600;
const REPORT = new URL('../../../test/reports/exhaustive.md', import.meta.url);

const HEAD = `# Exhaustive searches

Written by \`npm run exhaustive\`. Every execution of a lock's stress target under tso that differs
by more than the order of independent steps; "up to symmetry": and by more than the names of CPUs
that run the same program. Blocked: cut off because all that they lead to was known. A search
that did not end within its seconds is incomplete; one with a loop that may go on for ever is cut
off after ${STEP_LIMIT} steps. The estimate is made before.

| lock | CPUs x rounds | verdict | executions | blocked | estimate | CPU seconds |
|---|---|---|---|---|---|---|
`;

let broken = 0;

function rowOf(name: string, target: StressTarget, cpus: number, operations: number): string {
  const sized = { ...target, ...target.resized?.(cpus) };
  const size = { cpus, operations };
  const { explorer } = openTarget(sized, size, {
    model: 'tso',
    seed: 1,
    stepLimit: STEP_LIMIT,
    observe: (made) => observeExplorer(made, sized),
  });
  const groups = withFewRenamings(sized.interchangeable?.(size) ?? []);
  const options = { makeExecution: fromBoot(explorer), stepLimit: STEP_LIMIT, seed: 1 };
  const estimate = upToRenaming(estimateSize(options), groups);
  const start = process.cpuUsage().user;
  const seconds = (): number => (process.cpuUsage().user - start) / 1e6;
  const { search, failure } = runExhaustive(explorer, {
    executionLimit: 1e8,
    groups,
    expired: () => seconds() > secondsMax,
  });
  if (failure !== null) broken++;
  const symmetric = groups.length > 0 ? ' up to symmetry' : '';
  const verdicts: Record<string, string> = {
    complete: `complete${symmetric}`,
    failed: `BROKEN: ${failure?.finding?.text}`,
    steps: 'cut off at the step limit',
  };
  const executions = search.completed + search.deadlocked;
  const cells = [
    name,
    `${cpus} x ${operations}`,
    verdicts[search.outcome] ?? 'incomplete',
    executions,
    search.sleepBlocked + search.renamed,
    sizeText(estimate),
    seconds().toFixed(2),
  ];
  return `| ${cells.join(' | ')} |`;
}

const secondsMax = Number(process.argv[2] ?? 5);
const rows: string[] = [];
for (const name of targetsNamed('locks')) {
  const target = await resolveTarget({ name, mutant: '', lock: null });
  for (const [cpus, operations] of SIZES) {
    if (target.resized === undefined && cpus > target.usual.cpus) continue;
    rows.push(rowOf(name, target, cpus, operations));
    console.log(rows.at(-1));
  }
}
writeFileSync(REPORT, `${HEAD}${rows.join('\n')}\n`);
process.exitCode = broken === 0 ? 0 : 2;
