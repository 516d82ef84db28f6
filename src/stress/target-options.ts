/**
 * Options of targets, as the command line has them: `stress execmem allocator=typed memory=short`.
 * A target with options is known by one name, its own and whatever is not the default in the order
 * of declaration, so that reports, worker threads and replay strings need nothing else.
 */

import { UserError } from '../base/errors.ts';
import { parseAssignment } from '../base/parse-parameters.ts';
import { given } from '../base/parse-quantity.ts';
import { didYouMean } from '../base/suggest.ts';
import type { StressTarget } from './target.ts';

export interface TargetOption {
  readonly name: string;
  /** The first is the default. */
  readonly values: readonly string[];
  readonly description: string;
}

export type OptionValues = Readonly<Record<string, string>>;

export interface TargetFamily {
  readonly options: readonly TargetOption[];
  make(values: OptionValues): StressTarget;
}

/** "execmem allocator=typed": the target's own name and its assignments. */
export function splitTargetName(name: string): { readonly base: string; readonly words: string[] } {
  const [base = '', ...words] = name.split(' ');
  return { base, words };
}

export function optionValues(
  target: string,
  options: readonly TargetOption[],
  words: readonly string[],
): OptionValues {
  const values = new Map<string, string>();
  for (const word of words) {
    const { key, value } = parseAssignment(word);
    const option = options.find(({ name }) => name === key);
    if (option === undefined) throw new UserError(unknownOption(target, options, key));
    if (values.has(key)) throw new UserError(`${key} is given twice; give it once`);
    if (!option.values.includes(value)) {
      const near = didYouMean(value, option.values) || `; it is one of ${option.values.join(', ')}`;
      throw new UserError(`${key}: ${given(value)} is no choice of ${target}${near}`);
    }
    values.set(key, value);
  }
  return Object.fromEntries(
    options.map(({ name, values: all }) => [name, values.get(name) ?? all[0]!]),
  );
}

function unknownOption(target: string, options: readonly TargetOption[], key: string): string {
  const known = ['mutant', ...options.map(({ name }) => name)];
  const near = didYouMean(key, known);
  if (near !== '') return `stress has no parameter ${given(key)}${near}`;
  const own = options.map(({ name }) => name).join(', ');
  const takes = own === '' ? 'it takes mutant=ID' : `${target} takes ${own}`;
  return `stress has no parameter ${given(key)}; ${takes}`;
}

/** The one name of a target with these options. */
export function canonicalName(
  target: string,
  options: readonly TargetOption[],
  values: OptionValues,
): string {
  const words = options
    .filter(({ name, values: all }) => values[name] !== all[0])
    .map(({ name }) => `${name}=${values[name]}`);
  return [target, ...words].join(' ');
}
