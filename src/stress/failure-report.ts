/**
 * A failure as people read it: the rule, the CPUs, what each did last and where in the source, the
 * address by its field name, then the short schedule with a column per CPU, then the line that
 * replays it.
 */

import { StepKind } from '../engine/explore/execution.ts';
import type { TraceStep } from '../engine/explore/result.ts';
import { type Look, paint } from '../report/color.ts';
import { groupDigits } from '../report/table.ts';
import type { FailureStory } from './explain-failure.ts';
import type { StressSize } from './target.ts';

const CELL_MIN = 16;
const STEP_WIDTH = 5;
const PLACE_MIN = 24;
/** Rows of a timeline; of a longer one the end is shown. */
const ROWS_MAX = 80;

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
  return [
    `${paint(finding.oracle, 'red', look)}: ${who}${finding.text} (${address}${concerned})`,
    ...lastSteps(story),
    '',
    `${shortened(story)}:`,
    '',
    ...timeline(story.trace, story.size.cpus, look),
    '',
    `replay: ${replayCommand}`,
  ];
}

/** What each CPU concerned did last. */
function lastSteps({ finding, trace, size }: FailureStory): string[] {
  return finding.cpus.flatMap((cpu) => {
    const step = trace.findLast(({ agent }) => agent === cpu && agent < size.cpus);
    if (step === undefined) return [`  CPU ${cpu}: nothing yet`];
    return [`  CPU ${cpu}: last ${stepText(step)} in ${step.event.program} (${step.place})`];
  });
}

function shortened(story: FailureStory): string {
  const { original, size, trace, switches, model, lateStores, minimisedMs, isFixpoint } = story;
  const many = (count: number, what: string): string =>
    `${groupDigits(count)} ${what}${count === 1 ? '' : 's'}`;
  const late = model === 'sc' ? ', no store buffer needed' : `, ${many(lateStores, 'late store')}`;
  const from =
    `${sizeText(original.size)}, ${many(original.steps, 'step')}, ` +
    `${many(original.switches, 'context switch')}`.replace(/switchs$/, 'switches');
  const to =
    `${sizeText(size)}, ${many(trace.length, 'step')}, ` +
    `${many(switches, 'context switch')}`.replace(/switchs$/, 'switches');
  const ended = isFixpoint ? '' : '; time ran out before it was as short as can be';
  const seconds = `${(minimisedMs / 1000).toFixed(1)} s`;
  return `shortest schedule: ${to}${late} (from ${from}; ${seconds}${ended})`;
}

/** "store32 lock0 = 1". */
export function stepText({ event, kind, value, values }: TraceStep): string {
  const field = event.field === '' ? '' : ` ${event.field}`;
  const isAccess = kind !== StepKind.Fence && event.field !== '' && kind !== StepKind.Interrupt;
  const result = isAccess ? ` = ${value >>> 0}` : '';
  const buffered = kind === StepKind.Buffer ? ' (in its buffer)' : '';
  const chosen = values.length === 0 ? '' : ` [${values.join(' ')}]`;
  return `${event.operation}${field}${result}${buffered}${chosen}`;
}

export function timeline(trace: readonly TraceStep[], cpus: number, look: Look): string[] {
  const from = Math.max(0, trace.length - ROWS_MAX);
  const rows = trace.slice(from).map((step, index) => ({
    number: String(from + index + 1),
    cpu: step.agent % cpus,
    text: stepText(step),
    place: step.place === '' ? '' : `${step.event.program} ${step.place}`,
  }));
  const widest = Math.max(CELL_MIN, ...rows.map(({ text }) => text.length));
  const place = Math.max(PLACE_MIN, ...rows.map(({ place: text }) => text.length));
  const available = look.width - STEP_WIDTH - 2 * cpus;
  const fits = available - place >= CELL_MIN * cpus;
  const cell = Math.max(
    CELL_MIN,
    Math.min(widest, Math.floor((available - (fits ? place : 0)) / cpus)),
  );
  const line = (number: string, cells: readonly string[], more: string): string => {
    const padded = cells.map((text) => padTo(text, cell));
    return [number.padStart(STEP_WIDTH), ...padded, more].join('  ').trimEnd();
  };
  const columns = Array.from({ length: cpus }, (_, cpu) => cpu);
  const head = line(
    'step',
    columns.map((cpu) => `CPU ${cpu}`),
    fits ? 'where' : '',
  );
  const body = rows.map(({ number, cpu, text, place: where }) =>
    line(
      number,
      columns.map((column) => (column === cpu ? text : '')),
      fits ? where : '',
    ),
  );
  const skipped = from === 0 ? [] : [`${'...'.padStart(STEP_WIDTH)}  ${from} steps before`];
  return [paint(head, 'bold', look), ...skipped, ...body];
}

function padTo(text: string, width: number): string {
  return text.length <= width ? text.padEnd(width) : `${text.slice(0, width - 1)}~`;
}
