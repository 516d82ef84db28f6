/**
 * A schedule with a column per CPU. A step's text starts in the column of its CPU and may run on
 * into those to the right, which are empty in its row: so operation, field and value fit beside the
 * source line, for four CPUs, too. Repeated steps are folded, and of a long turn, start and end are
 * shown, because what matters is where CPUs take over.
 */

import { StepKind } from '../engine/explore/execution.ts';
import type { TraceStep } from '../engine/explore/result.ts';
import { type Look, paint } from '../report/color.ts';

const STEP_WIDTH = 5;
/** Columns of CPUs are so far apart: at least, and as a rule. */
const INDENT_MIN = 7;
const CELL_MIN = 16;
/** Rows of a timeline; of a longer one the end is shown. */
const ROWS_MAX = 80;
/** Steps alike in a row that are shown as the first, a count and the last. */
const ALIKE_MAX = 3;
/** Of a long schedule, rows shown at the start and at the end of one CPU's turn. */
const TURN_START = 6;
const TURN_END = 14;
/** From here on numbers are easier to read as bits. */
const HEX_FROM = 256;

interface Row {
  /** '' = rows are left out. */
  readonly number: string;
  readonly cpu: number;
  readonly text: string;
  readonly program: string;
  readonly place: string;
}

/** "store32 lock0 = 1"; a star: the store is in its CPU's buffer only. */
export function stepText({ event, kind, value, values }: TraceStep): string {
  const field = event.field === '' ? '' : ` ${event.field}`;
  const isAccess = kind !== StepKind.Fence && event.field !== '' && kind !== StepKind.Interrupt;
  const result = isAccess ? ` = ${numberText(value >>> 0)}` : '';
  const buffered = kind === StepKind.Buffer ? '*' : '';
  const chosen = values.length === 0 ? '' : ` [${values.join(' ')}]`;
  return `${event.operation}${field}${result}${buffered}${chosen}`;
}

function numberText(value: number): string {
  return value < HEX_FROM ? String(value) : `0x${value.toString(16)}`;
}

export function timeline(trace: readonly TraceStep[], cpus: number, look: Look): string[] {
  const all = folded(trace, cpus);
  const turns = all.length > ROWS_MAX ? shortTurns(all) : all;
  const from = Math.max(0, turns.length - ROWS_MAX);
  const rows = turns.slice(from);
  const { indent, text, where } = layoutOf(rows, cpus, look.width);
  const line = (number: string, before: number, what: string, place: string): string => {
    const start = `${number.padStart(STEP_WIDTH)}  ${' '.repeat(before)}${what}`;
    return `${start.padEnd(STEP_WIDTH + 2 + text)}  ${place}`.trimEnd();
  };
  const heads = Array.from({ length: cpus }, (_, cpu) => `CPU ${cpu}`.padEnd(indent)).join('');
  const head = line('step', 0, heads.trimEnd(), where === 'none' ? '' : 'where');
  const body = rows.map((row) => {
    const before = row.cpu * indent;
    return line(row.number, before, cutTo(row.text, text - before), whereText(row, where));
  });
  const skipped = from === 0 ? [] : [`${'...'.padStart(STEP_WIDTH)}  the steps before`];
  const isBuffered = trace.some(({ kind }) => kind === StepKind.Buffer);
  const legend = isBuffered ? ['', '* in the store buffer of its CPU until it drains'] : [];
  return [paint(head, 'bold', look), ...skipped, ...body, ...legend];
}

/** Repeated steps as the first, a count and the last. */
function folded(trace: readonly TraceStep[], cpus: number): Row[] {
  const rows: Row[] = [];
  for (let at = 0; at < trace.length; ) {
    const first = trace[at]!;
    let end = at + 1;
    while (end < trace.length && areAlike(first, trace[end]!)) end++;
    const count = end - at;
    for (let i = at; i < end; i++) {
      if (count > ALIKE_MAX && i === at + 1) {
        rows.push(leftOut(first.agent % cpus, `... ${count - 2} more like it`));
      }
      if (count <= ALIKE_MAX || i === at || i === end - 1) rows.push(rowOf(trace[i]!, i, cpus));
    }
    at = end;
  }
  return rows;
}

function areAlike(a: TraceStep, b: TraceStep): boolean {
  return a.agent === b.agent && a.event.operation === b.event.operation && a.place === b.place;
}

function rowOf(step: TraceStep, at: number, cpus: number): Row {
  const { program } = step.event;
  const { agent, place } = step;
  return { number: String(at + 1), cpu: agent % cpus, text: stepText(step), program, place };
}

function leftOut(cpu: number, text: string): Row {
  return { number: '', cpu, text, program: '', place: '' };
}

function shortTurns(rows: readonly Row[]): Row[] {
  const short: Row[] = [];
  for (let at = 0; at < rows.length; ) {
    const { cpu } = rows[at]!;
    const next = rows.findIndex((row, index) => index > at && row.cpu !== cpu);
    const end = next < 0 ? rows.length : next;
    const hidden = end - at - TURN_START - TURN_END;
    if (hidden > 1) {
      const resumes = rows.slice(end - TURN_END, end);
      short.push(...rows.slice(at, at + TURN_START));
      short.push(leftOut(cpu, '... goes on alone'), ...resumes);
    } else short.push(...rows.slice(at, end));
    at = end;
  }
  return short;
}

type Where = 'path' | 'file' | 'none';

interface Layout {
  /** From one CPU's column to the next. */
  readonly indent: number;
  /** All columns of CPUs together. */
  readonly text: number;
  readonly where: Where;
}

/** The whole path of the source if it fits, else the file's name; narrower columns before that. */
function layoutOf(rows: readonly Row[], cpus: number, width: number): Layout {
  const widest = Math.max(CELL_MIN, ...rows.map(({ text }) => text.length));
  const usual = widest + 2;
  const room = (where: Where): number => {
    const place = Math.max(0, ...rows.map((row) => whereText(row, where).length));
    return width - STEP_WIDTH - 2 - (where === 'none' ? 0 : 2 + place);
  };
  for (const where of ['path', 'file'] as const) {
    const indent = Math.floor((room(where) - widest) / Math.max(1, cpus - 1));
    if (indent < INDENT_MIN && cpus > 1) continue;
    const own = Math.min(usual, indent);
    return { indent: own, text: own * (cpus - 1) + widest, where };
  }
  const text = Math.max(CELL_MIN + INDENT_MIN * (cpus - 1), room('file'));
  const isRoom = room('file') >= CELL_MIN + INDENT_MIN * (cpus - 1);
  const indent = Math.max(INDENT_MIN, Math.min(usual, Math.floor(text / (cpus + 1))));
  return isRoom ? { indent, text, where: 'file' } : { indent, text: room('none'), where: 'none' };
}

function whereText({ program, place }: Row, where: Where): string {
  if (place === '' || where === 'none') return '';
  return `${program} ${where === 'path' ? place : place.slice(place.lastIndexOf('/') + 1)}`;
}

/** Operation and value stay; what is between them is cut. */
function cutTo(text: string, width: number): string {
  if (text.length <= width) return text;
  const end = text.lastIndexOf(' = ');
  const tail = end < 0 ? '' : text.slice(end);
  const head = Math.max(1, width - tail.length - 1);
  return `${text.slice(0, head)}~${tail}`.slice(0, Math.max(1, width));
}
