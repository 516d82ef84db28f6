/**
 * A failure as people read it: the rule, the CPUs, what each did last and where in the source, the
 * address by its field name, then the short schedule with a column per CPU, then the line that
 * replays it.
 */

import { type Look, paint } from '../report/color.ts';
import { groupDigits } from '../report/table.ts';
import type { FailureStory } from './explain-failure.ts';
import type { StressSize } from './target.ts';
import { stepText, timeline } from './timeline.ts';

/** Room for the name of an oracle. */
const ORACLE_WIDTH = 20;

export function sizeText({ cpus, operations }: StressSize): string {
  const each = operations === 1 ? '1 operation' : `${operations} operations`;
  return `${cpus} CPUs, ${each} each`;
}

export function failureText(story: FailureStory, replayCommand: string, look: Look): string[] {
  const { finding, address } = story;
  const [first, ...others] = finding.cpus;
  // "nobody can go on", "no progress" name the CPUs themselves.
  const who = first === undefined || finding.text.startsWith('no') ? '' : `CPU ${first} `;
  const concerned = others.length === 0 ? '' : `; with CPU ${others.join(', ')}`;
  const [what, ...more] = wrapped(`${who}${finding.text} (${address}${concerned})`, look.width);
  return [
    `${paint(finding.oracle, 'red', look)}: ${what}`,
    ...more.map((text) => `  ${text}`),
    ...lastSteps(story),
    '',
    ...shortened(story),
    '',
    ...timeline(story.trace, story.size.cpus, look),
    '',
    `replay: ${replayCommand}`,
  ];
}

/** Of a line that is too long, each statement on its own. */
function wrapped(text: string, width: number): readonly string[] {
  return text.length + ORACLE_WIDTH <= width
    ? [text]
    : text.split(/(?<=; )(?=CPU)/).map((each) => each.trim());
}

/** What each CPU concerned did last. */
function lastSteps({ finding, trace, size }: FailureStory): string[] {
  return finding.cpus.flatMap((cpu) => {
    const step = trace.findLast(({ agent }) => agent === cpu && agent < size.cpus);
    if (step === undefined) return [`  CPU ${cpu}: nothing yet`];
    return [`  CPU ${cpu}: last ${stepText(step)} in ${step.event.program} (${step.place})`];
  });
}

/** What it was and what became of it, a line each. */
function shortened(story: FailureStory): string[] {
  const { original, size, trace, switches, preemptions, model, lateStores, isFixpoint } = story;
  const preempted = switches === 0 ? '' : ` (${many(preemptions, 'preemption')})`;
  const late = model === 'sc' ? 'no store buffer needed' : many(lateStores, 'late store');
  const to = [
    sizeText(size),
    many(trace.length, 'step'),
    `${many(switches, 'context switch')}${preempted}`,
    late,
  ];
  const from = [
    sizeText(original.size),
    many(original.steps, 'step'),
    many(original.switches, 'context switch'),
  ];
  const seconds = `${(story.minimisedMs / 1000).toFixed(1)} s`;
  const ended = isFixpoint ? '' : '; trials ran out before it was as short as can be';
  const how = `${many(story.trials, 'trial')}, ${seconds}${ended}`;
  return [`shortest schedule: ${to.join(', ')}`, `  made of ${from.join(', ')} (${how})`];
}

function many(count: number, what: string): string {
  const plural = what.endsWith('ch') ? 'es' : 's';
  return `${groupDigits(count)} ${what}${count === 1 ? '' : plural}`;
}
