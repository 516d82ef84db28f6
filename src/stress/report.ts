/** The printed result of one target: a clean pass with what it means, or a failure. */

import { threeDigits } from '../base/units.ts';
import { sizeText as treeText } from '../engine/explore/exhaustive/estimate.ts';
import { type Look, paint } from '../report/color.ts';
import { groupDigits } from '../report/table.ts';
import type { CampaignResult } from './campaign.ts';
import type { CampaignSetup, TargetReference } from './campaign-task.ts';
import type { FailureStory } from './explain-failure.ts';
import { failureText, sizeText } from './failure-report.ts';
import { mutantNamed } from './registry.ts';
import type { SearchOutcome } from './search-all.ts';
import type { Goal, StressSize } from './target.ts';
import { allows, type Meaning, sizesOf } from './verdict.ts';

/** One target's campaign, judged. */
export interface Judged {
  readonly name: string;
  readonly mutant: string;
  readonly result: CampaignResult;
  readonly meaning: Meaning;
  readonly stories: readonly FailureStory[];
  /** "numalab stress ticket"; sizes and strings are added. */
  readonly command: string;
}

/** What ended a campaign or a search that is incomplete. */
const BOUNDS: Readonly<Record<string, string>> = {
  time: 'time',
  executions: 'number of schedules',
  steps: 'step limit, in a loop that may go on for ever,',
};

const PAINTS = {
  passed: 'green',
  incomplete: 'yellow',
  vacuous: 'red',
  failed: 'red',
} as const;

export function titleOf({ name, mutant }: Pick<Judged, 'name' | 'mutant'>): string {
  return mutant === '' ? name : `${mutant} ${name}`;
}

/** The command line without sizes. */
export function commandOf({ name, mutant, lock }: TargetReference): string {
  return `numalab stress ${mutant === '' ? (lock?.file ?? name) : `mutant=${mutant}`}`;
}

export function replayCommand({ command }: Pick<Judged, 'command'>, replay: string): string {
  return `${command} --replay ${replay}`;
}

export function targetText(judged: Judged, look: Look): string {
  const { result, meaning, stories } = judged;
  const { model, strategy, seed, size } = result.setup;
  const lines = [
    `${titleOf(judged)}: ${sizeText(size)}, ${model}, ${strategy}, seed ${seed}`,
    `${paint(meaning.verdict, PAINTS[meaning.verdict], look)}: ${countsText(judged)}`,
  ];
  if (meaning.verdict === 'failed') {
    for (const story of stories) {
      const found = `schedule ${groupDigits(story.schedule)} (${story.strategy})`;
      const text = failureText(story, replayCommand(judged, story.replay), look);
      lines.push('', `found in ${found}`, ...text);
    }
  } else {
    lines.push(...meaningText(judged).map((line) => `  ${line}`));
  }
  lines.push(`digest ${result.digest}`);
  return lines.join('\n');
}

function countsText({ result, meaning }: Judged): string {
  const { schedules, steps, seconds } = result;
  const rate = `${threeDigits(schedules / Math.max(seconds, 0.001) / 1000)} k/s`;
  const parts = [
    schedules === 1 ? '1 schedule' : `${groupDigits(schedules)} schedules`,
    `${groupDigits(steps)} steps`,
    `${threeDigits(seconds)} s (${rate})`,
  ];
  if (result.failed > 1) parts.push(`${groupDigits(result.failed)} of them failed`);
  if (meaning.verdict === 'incomplete') {
    parts.push(`ended by the ${BOUNDS[result.search?.outcome ?? 'time']} before all were run`);
  }
  return parts.join(', ');
}

/** What a pass is worth. */
function meaningText({ result, meaning }: Judged): string[] {
  const lines = noteOnMutant(result.setup.target.mutant);
  if (result.search !== null) lines.push(...searchText(result.search));
  const shares = [...result.byStrategy].map(([name, count]) => `${name} ${groupDigits(count)}`);
  if (shares.length > 1) lines.push(`schedules: ${shares.join(', ')}`);
  for (const { depth, schedules, missProbability } of meaning.residuals) {
    lines.push(
      `a mistake of depth ${depth} stayed hidden with probability <= ` +
        `${probabilityText(missProbability)} (PCT, ${groupDigits(schedules)} schedules, ` +
        `n = ${meaning.agents}, k = ${groupDigits(meaning.stepsMax)})`,
    );
  }
  if (meaning.residuals.length === 0 && result.search === null) {
    lines.push('no bound on what was missed: this strategy has none (pct has)');
  }
  if (meaning.reached.length > 0) lines.push(`reached: ${meaning.reached.join(', ')}`);
  for (const { name } of meaning.missed) {
    const what = meaning.verdict === 'vacuous' ? 'so the pass says nothing about it' : 'so far';
    lines.push(`not reached: ${name}, ${what}`);
  }
  lines.push(...outOfReachText(meaning, result.setup));
  if (result.limited > 0) {
    lines.push(`${groupDigits(result.limited)} schedules were cut off by the step limit`);
  }
  return lines;
}

/** A line per reason. */
function outOfReachText({ outOfReach }: Meaning, { size, strategy }: CampaignSetup): string[] {
  const names = new Map<string, string[]>();
  for (const goal of outOfReach) {
    const notBy = allows(goal, size) ? goal.notBy?.[strategy] : undefined;
    const why = notBy === undefined ? whyNot(goal, size) : `not by ${strategy}: ${notBy}`;
    names.set(why, [...(names.get(why) ?? []), goal.name]);
  }
  return [...names].map(([why, goals]) => `out of reach: ${goals.join(', ')} ${why}`);
}

/** "not reachable with 2 CPUs (needs 3)". */
function whyNot(goal: Goal, { cpus, operations }: StressSize): string {
  if (goal.unreachable !== undefined) return `not reachable: ${goal.unreachable}`;
  const needed = sizesOf(goal).map((size) => ({
    cpus: Math.max(size.cpus, cpus),
    operations: Math.max(size.operations, operations),
  }));
  const ways = needed.filter((way) => !needed.some((other) => isBelow(other, way)));
  const texts = ways.map((way) => {
    const missing = [
      ...(cpus < way.cpus ? [`with ${cpus} CPUs (needs ${way.cpus})`] : []),
      ...(operations < way.operations ? [`with --ops ${operations} (${way.operations})`] : []),
    ];
    return missing.join(' and ');
  });
  return `not reachable ${texts.join(', nor ')}`;
}

/** Less is enough: of two ways that need the same the other one is kept. */
function isBelow(a: StressSize, b: StressSize): boolean {
  return (
    a.cpus <= b.cpus &&
    a.operations <= b.operations &&
    (a.cpus < b.cpus || a.operations < b.operations)
  );
}

function searchText(search: SearchOutcome): string[] {
  const { outcome, executions, sleepBlocked, estimate, interchangeable } = search;
  const swapped = interchangeable.map((group) => group.join(' and ')).join(', ');
  const upTo = swapped === '' ? '' : ` up to symmetry (CPUs ${swapped})`;
  const blocked = `${groupDigits(sleepBlocked)} more were cut off as known`;
  return outcome === 'complete'
    ? [`complete${upTo}: these are all executions that differ; ${blocked}`]
    : [`${groupDigits(executions)} executions of ${treeText(estimate)}; ${blocked}`];
}

/** What these memory models cannot show. */
function noteOnMutant(id: string): string[] {
  if (id === '') return [];
  const { model, oracles } = mutantNamed(id);
  if (oracles.length > 0 && (model === 'sc' || model === 'tso')) return [`${id} needs ${model}`];
  return [`${id} (${model}) has to stay silent under sc and tso`];
}

export function probabilityText(probability: number): string {
  if (probability >= 0.0995) return probability.toFixed(2);
  if (probability < 1e-99) return '1e-99';
  return probability.toExponential(1);
}

/** One line per target. */
export function summaryLine(judged: Judged, width: number, look: Look): string {
  const { result, meaning, stories } = judged;
  const verdict = paint(meaning.verdict.padEnd(10), PAINTS[meaning.verdict], look);
  const bounds = meaning.residuals.map(
    ({ depth, missProbability }) => `d${depth} <= ${probabilityText(missProbability)}`,
  );
  const story = stories[0];
  const more =
    story === undefined
      ? [...bounds, ...meaning.missed.map(({ name }) => `not reached: ${name}`)].join(', ')
      : `${story.finding.oracle}: schedule ${story.schedule}`;
  const counts = `${groupDigits(result.schedules).padStart(11)} schedules`;
  const time = `${result.seconds.toFixed(1).padStart(6)} s`;
  return `${titleOf(judged).padEnd(width)}  ${verdict}${counts}${time}  ${more}`.trimEnd();
}

/** The last line of several targets. */
export function groupSummary(all: readonly Judged[], targets: number): string {
  const count = (verdict: Meaning['verdict']): number =>
    all.filter(({ meaning }) => meaning.verdict === verdict).length;
  const parts = (['passed', 'failed', 'vacuous', 'incomplete'] as const).flatMap((verdict) =>
    count(verdict) === 0 ? [] : [`${count(verdict)} ${verdict}`],
  );
  const left = targets - all.length;
  if (left > 0) parts.push(`${left} not stressed (--keep-going goes on after a failure)`);
  return `${targets} targets: ${parts.join(', ')}`;
}
