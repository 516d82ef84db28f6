/** The mutants' scores as a table for people, as a page and as data. */

import type { MutantScore } from './score.ts';

const WORDS = ['id', 'mutant', 'model', 'verdict', 'strategy', 'oracle'];
const HEAD = [...WORDS, 'schedules', 'd', 'switches', 'preempted', 'seconds'];

export function asJson(scores: readonly MutantScore[], seconds: number): string {
  return JSON.stringify({ seconds, classes: classesOf(scores), mutants: scores }, null, 2);
}

export function asText(scores: readonly MutantScore[], seconds: number): string {
  const rows = [HEAD, ...scores.map((score) => [...cellsOf(score), score.seconds.toFixed(2)])];
  const widths = HEAD.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const lines = rows.map((row) =>
    row
      .map((cell, column) =>
        column < WORDS.length ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!),
      )
      .join('  ')
      .trimEnd(),
  );
  const wrong = scores.filter(({ right }) => !right).map(({ id, said }) => `${id}: ${said}`);
  return [...lines, '', ...summaryOf(scores), ...wrong, `${seconds.toFixed(1)} s`].join('\n');
}

/** Without seconds, so that the page changes only when a score does. */
export function asMarkdown(scores: readonly MutantScore[]): string {
  const head = HEAD.slice(0, -1);
  const rows = scores.map((score) => `| ${cellsOf(score).join(' | ')} |`);
  const changes = scores.map(({ id, change }) => `- ${id}: ${change}`);
  return [
    '# Seeded mistakes',
    '',
    'Written by `npm run mutants`. One step of a lock or protocol is replaced in each; schedules:',
    'median over seeds of the quickest strategy. Mutants that need Armv8 or the LKMM, and the',
    'controls (C), must not be found under sc and tso. Those of performance must not either; they',
    'are found by a figure of the virtual engine, with each seed (schedules: seeds).',
    '',
    'd: depth of the mistake, an estimate; none for starvation and for what takes many turns.',
    'Switches: of the short schedule that `numalab stress mutant=ID` prints (without d: of the',
    'failing one as it was found); preempted: those away from a CPU that could have gone on, and',
    'stores that left their buffer late: d + 2 at most.',
    '',
    `| ${head.join(' | ')} |`,
    `|${head.map(() => '---').join('|')}|`,
    ...rows,
    '',
    ...summaryOf(scores).map((line) => `- ${line}`),
    '',
    '## What each changes',
    '',
    ...changes,
    '',
  ].join('\n');
}

function cellsOf(score: MutantScore): string[] {
  const { id, name, model, verdict, kills, schedules, short } = score;
  const best = kills[0];
  const count = best === undefined ? `${schedules} silent` : `${best.schedules}`;
  const missing = verdict === 'not run' ? '' : count;
  const figures =
    short === undefined
      ? ['', '', '']
      : [short.depth ?? '-', short.switches, short.preemptions + short.lateStores].map(String);
  return [id, name, model, verdict, best?.strategy ?? '', best?.oracle ?? '', missing, ...figures];
}

interface ClassCount {
  readonly name: string;
  readonly total: number;
  readonly right: number;
}

function classesOf(scores: readonly MutantScore[]): ClassCount[] {
  const classes = new Map<string, { total: number; right: number }>();
  for (const { id, model, right, verdict } of scores) {
    const name = verdict === 'not run' ? 'not run' : id.startsWith('C') ? 'controls' : model;
    const count = classes.get(name) ?? { total: 0, right: 0 };
    count.total++;
    if (right) count.right++;
    classes.set(name, count);
  }
  return [...classes].map(([name, count]) => ({ name, ...count }));
}

function summaryOf(scores: readonly MutantScore[]): string[] {
  return classesOf(scores).map(({ name, total, right }) => {
    if (name === 'not run') return `not run: ${total}`;
    const what = ['sc', 'tso', 'performance'].includes(name) ? 'killed' : 'silent';
    return `${name}: ${right} of ${total} ${what}`;
  });
}
