/**
 * `npm run soak:schedules`: every lock and protocol under sc and tso, 20,000 schedules each, and
 * the branches that they passed. Prints one line per target and model and writes
 * test/reports/schedules.md. Exit code 2 unless every pass is clean and none is vacuous.
 * `--schedules N` takes other numbers, `--targets a,b` some targets only; then nothing is written.
 */

import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { packageRoot } from '../../src/base/package-root.ts';
import { groupDigits } from '../../src/report/table.ts';
import { targetNames } from '../../src/stress/registry.ts';
import { type Judged, probabilityText } from '../../src/stress/report.ts';
import { DEFAULT_SCHEDULES, resolveStress } from '../../src/stress/request.ts';
import { runStress } from '../../src/stress/run-stress.ts';

const REPORT = 'test/reports/schedules.md';
const HEAD = ['target', 'model', 'CPUs x operations', 'verdict', 'goals', 'd2 <=', 'missed'];

const { values } = parseArgs({
  options: {
    schedules: { type: 'string', default: String(DEFAULT_SCHEDULES) },
    targets: { type: 'string', default: targetNames().join(',') },
    jobs: { type: 'string', default: String(Math.min(2, availableParallelism())) },
  },
});

async function judgeAll(memoryModel: 'sc' | 'tso'): Promise<Judged[]> {
  const all: Judged[] = [];
  for (const name of values.targets.split(',')) {
    const request = {
      words: [name],
      engine: undefined,
      strategy: undefined,
      memoryModel,
      oracle: undefined,
      schedules: values.schedules,
      time: undefined,
      operations: undefined,
      cpus: undefined,
      jobs: values.jobs,
      seed: undefined,
      keepGoing: false,
    };
    const { signal } = new AbortController();
    const plan = await resolveStress(request, signal);
    const [judged] = await runStress(plan, { progress() {}, judged() {} }, signal);
    process.stdout.write(`${cellsOf(judged!).join('  ')}\n`);
    all.push(judged!);
  }
  return all;
}

function cellsOf({ name, result, meaning, stories }: Judged): string[] {
  const { size, model } = result.setup;
  const goals = meaning.reached.length + meaning.missed.length;
  const bound = meaning.residuals.find(({ depth }) => depth === 2);
  return [
    name,
    model,
    `${size.cpus} x ${size.operations}`,
    meaning.verdict,
    goals === 0 ? '' : `${meaning.reached.length} of ${goals}`,
    bound === undefined ? '' : probabilityText(bound.missProbability),
    [
      ...stories.map(({ finding }) => finding.oracle),
      ...meaning.missed.map((goal) => goal.name),
    ].join(', '),
  ];
}

function asMarkdown(all: readonly Judged[]): string {
  const schedules = all.reduce((sum, { result }) => sum + result.schedules, 0);
  const alarms = all.filter(({ meaning }) => meaning.verdict !== 'passed').length;
  return [
    '# Schedules',
    '',
    `Written by \`npm run soak:schedules\`: every lock and protocol, ${values.schedules}`,
    'schedules of the default mix of strategies under each memory model. Goals: branches of the',
    'code that a pass has to have seen, of those in reach of the size; d2: how likely a mistake of',
    'depth 2 stayed hidden at most (PCT).',
    '',
    `${groupDigits(schedules)} schedules in all, ${all.length} passes, ${alarms} not clean.`,
    '',
    `| ${HEAD.join(' | ')} |`,
    `|${HEAD.map(() => '---').join('|')}|`,
    ...all.map((judged) => `| ${cellsOf(judged).join(' | ')} |`),
    '',
    '## Out of reach',
    '',
    ...outOfReachLines(all),
    '',
  ].join('\n');
}

/** Once per target: both models have the same size. */
function outOfReachLines(all: readonly Judged[]): string[] {
  const names = new Map<string, string[]>();
  for (const { name, meaning, result } of all) {
    for (const goal of meaning.outOfReach) {
      const { size } = result.setup;
      const why = goal.unreachable ?? `not with ${size.cpus} CPUs x ${size.operations} operations`;
      const line = `- ${goal.name}: ${why}`;
      const targets = names.get(line) ?? [];
      if (!targets.includes(name)) names.set(line, [...targets, name]);
    }
  }
  return [...names].map(([line, targets]) => `${line} (${targets.join(', ')})`);
}

const all = [...(await judgeAll('sc')), ...(await judgeAll('tso'))];
const isWhole = values.targets === targetNames().join(',');
if (isWhole && values.schedules === String(DEFAULT_SCHEDULES)) {
  writeFileSync(new URL(REPORT, packageRoot()), asMarkdown(all));
}
process.exitCode = all.every(({ meaning }) => meaning.verdict === 'passed') ? 0 : 2;
