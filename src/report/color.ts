/**
 * When to colour and which characters the terminal can show. Pure: environment and terminal come in
 * as data. Order: --color > NO_COLOR > FORCE_COLOR > a terminal whose TERM isn't dumb.
 */

export type ColorOption = 'auto' | 'always' | 'never';

type Environment = Readonly<Record<string, string | undefined>>;

export function chooseColor(
  option: ColorOption,
  environment: Environment,
  isTty: boolean,
): boolean {
  if (option !== 'auto') return option === 'always';
  if ((environment['NO_COLOR'] ?? '') !== '') return false;
  const force = environment['FORCE_COLOR'];
  if (force !== undefined && force !== '') return force !== '0' && force !== 'false';
  return isTty && environment['TERM'] !== 'dumb';
}

/** Block characters only where the locale says UTF-8 (POSIX order: LC_ALL, LC_CTYPE, LANG). */
export function chooseUnicode(environment: Environment): boolean {
  for (const key of ['LC_ALL', 'LC_CTYPE', 'LANG']) {
    const locale = environment[key];
    if (locale !== undefined && locale !== '') return /utf-?8/i.test(locale);
  }
  return false;
}

/** Width where there is no terminal to ask. */
export const PIPE_WIDTH = 100;

export interface Look {
  readonly width: number;
  readonly color: boolean;
  readonly unicode: boolean;
}

export type Paint = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan';

const CODES: Readonly<Record<Paint, readonly [number, number]>> = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
};

export function paint(text: string, how: Paint, look: Look): string {
  if (!look.color || text === '') return text;
  const [on, off] = CODES[how];
  return `\u001b[${on}m${text}\u001b[${off}m`;
}
