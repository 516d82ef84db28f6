/**
 * `key=value` words against Parameter tables. Everything a user may write is checked here, once,
 * for every command: unknown keys (with "did you mean"), keys given twice (an alias and its name
 * are the same key), values of the wrong kind or out of bounds.
 */

import { unreachable } from './assert.ts';
import { UserError } from './errors.ts';
import type { Parameter, Parameters, ParameterValue } from './parameters.ts';
import { type Bounds, given, parseCount, parseSize, parseTimePs } from './parse-quantity.ts';
import { didYouMean } from './suggest.ts';

export interface Assignment {
  readonly key: string;
  readonly value: string;
}

export interface ResolvedParameters {
  /**
   * Every parameter of the tables, defaults included. '' = left to the machine and other options.
   */
  readonly values: Parameters;
  /** Names (not aliases) that the user gave. */
  readonly given: ReadonlySet<string>;
}

export function parseAssignment(word: string): Assignment {
  const equals = word.indexOf('=');
  if (equals <= 0) {
    throw new UserError(`${given(word)} is no parameter; write key=value`);
  }
  return { key: word.slice(0, equals), value: word.slice(equals + 1) };
}

/** `subject`: whose parameters they are, for the message ("dirty_log_perf_test"). */
export function resolveParameters(
  tables: readonly Parameter[],
  assignments: readonly Assignment[],
  subject: string,
): ResolvedParameters {
  const byKey = new Map<string, Parameter>();
  for (const parameter of tables) {
    byKey.set(parameter.name, parameter);
    if (parameter.alias !== undefined) byKey.set(parameter.alias, parameter);
  }
  const texts = new Map<string, Assignment>();
  for (const assignment of assignments) {
    const parameter = byKey.get(assignment.key);
    if (parameter === undefined) throw unknownKey(assignment.key, tables, subject);
    if (texts.has(parameter.name)) {
      const earlier = texts.get(parameter.name)!;
      throw new UserError(
        `${parameter.name} is given twice: ${earlier.key}=${earlier.value} and ` +
          `${assignment.key}=${assignment.value}; give it once`,
      );
    }
    texts.set(parameter.name, assignment);
  }
  const values: Record<string, ParameterValue> = {};
  for (const parameter of tables) {
    const assignment = texts.get(parameter.name);
    values[parameter.name] =
      assignment === undefined
        ? defaultValue(parameter)
        : parseParameterValue(parameter, assignment.key, assignment.value);
  }
  return { values, given: new Set(texts.keys()) };
}

export function defaultValue(parameter: Parameter): ParameterValue {
  if (parameter.default === '') return '';
  return parseParameterValue(parameter, parameter.name, parameter.default);
}

/** `key`: the name or alias that the user wrote. */
export function parseParameterValue(
  parameter: Parameter,
  key: string,
  text: string,
): ParameterValue {
  switch (parameter.kind) {
    case 'choice':
      return parseChoice(key, text, parameter.values ?? []);
    case 'flag':
      return parseFlag(key, text);
    case 'count':
      return parseCount(key, text, boundsOf(parameter, 1));
    case 'rate':
      return parseCount(key, text, boundsOf(parameter, 0));
    case 'size':
      return parseSize(key, text, boundsOf(parameter, 1));
    case 'time':
      return parseTimePs(key, text, parameter.unit ?? '', boundsOf(parameter, 0));
    case 'percent':
      return parseCount(key, text.endsWith('%') ? text.slice(0, -1) : text, {
        minimum: parameter.minimum ?? 0,
        maximum: parameter.maximum ?? 100,
      });
    case 'text':
      if (text === '') throw new UserError(`${key}: an empty value; ${parameter.description}`);
      return text;
    default:
      return unreachable(parameter.kind);
  }
}

/** A count or size whose default is 0 may be 0; any other starts at 1 unless its table says so. */
function boundsOf(parameter: Parameter, floor: number): Bounds {
  const minimum = parameter.minimum ?? (parameter.default === '0' ? 0 : floor);
  return { minimum, maximum: parameter.maximum ?? Number.MAX_SAFE_INTEGER };
}

function parseChoice(key: string, text: string, values: readonly string[]): string {
  if (values.includes(text)) return text;
  const near = didYouMean(text, values);
  throw new UserError(`${key}: ${given(text)} is not one of ${values.join(', ')}${near}`);
}

function parseFlag(key: string, text: string): boolean {
  if (text === 'on' || text === 'true' || text === '1' || text === 'yes') return true;
  if (text === 'off' || text === 'false' || text === '0' || text === 'no') return false;
  throw new UserError(`${key}: ${given(text)} is neither on nor off`);
}

function unknownKey(key: string, tables: readonly Parameter[], subject: string): UserError {
  const names = tables.map((parameter) => parameter.name);
  const hint = didYouMean(key, names) || `; 'numalab list params ${subject}' lists them`;
  return new UserError(`${subject} has no parameter ${given(key)}${hint}`);
}
