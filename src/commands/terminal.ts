/** Streams: results on stdout, everything else on stderr; how the terminal wants its text. */

import { UserError } from '../base/errors.ts';
import { given } from '../base/parse-quantity.ts';
import {
  type ColorOption,
  chooseColor,
  chooseUnicode,
  type Look,
  PIPE_WIDTH,
} from '../report/color.ts';
import type { ProgressSink } from '../run/progress.ts';

const COLUMNS_MIN = 40;
const COLUMNS_MAX = 200;

export function lookOf(colorText: string | undefined): Look {
  const color = colorText ?? 'auto';
  if (color !== 'auto' && color !== 'always' && color !== 'never') {
    throw new UserError(`--color: ${given(color)} is none of auto, always, never`);
  }
  const isTty = process.stdout.isTTY === true;
  const width = isTty ? process.stdout.columns : PIPE_WIDTH;
  return {
    width: Math.max(COLUMNS_MIN, Math.min(COLUMNS_MAX, width)),
    color: chooseColor(color satisfies ColorOption, process.env, isTty),
    unicode: chooseUnicode(process.env),
  };
}

export function print(text: string): void {
  process.stdout.write(text.endsWith('\n') ? text : `${text}\n`);
}

export function printJson(value: unknown): void {
  print(JSON.stringify(value, null, 2));
}

export function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

export function progressSink(quiet: boolean): ProgressSink | null {
  if (quiet) return null;
  return {
    isTerminal: process.stderr.isTTY === true,
    columns: process.stderr.columns ?? PIPE_WIDTH,
    write: (text) => process.stderr.write(text),
  };
}
