/**
 * Text of the command line to numbers: counts, sizes (kernel memparse: K M G T are powers of two),
 * durations (ns us ms s to picoseconds). Nothing is guessed: a text that isn't wholly a number of
 * the kind is refused with one line that names the key, what was given and what would be right.
 * Unlike JavaScript's Number(), no hexadecimal, exponent, blank or empty text is a number here.
 */

import { UserError } from './errors.ts';
import {
  formatBytes,
  formatPs,
  GIB,
  KIB,
  MIB,
  PS_PER_MS,
  PS_PER_S,
  PS_PER_US,
  TIB,
} from './units.ts';

/** Inclusive. */
export interface Bounds {
  readonly minimum: number;
  readonly maximum: number;
}

const SIZE_UNITS: Readonly<Record<string, number>> = { '': 1, K: KIB, M: MIB, G: GIB, T: TIB };
const TIME_UNITS: Readonly<Record<string, number>> = {
  ps: 1,
  ns: 1000,
  us: PS_PER_US,
  ms: PS_PER_MS,
  s: PS_PER_S,
};

/** `key` as the user knows it ("--cpus", "perVcpuMemory"). */
export function parseCount(key: string, text: string, bounds: Bounds): number {
  const right = `give a whole number ${boundsText(bounds, String)}`;
  refuseRange(key, text, right);
  if (!/^-?\d+$/.test(text)) throw new UserError(`${key}: ${given(text)} is no count; ${right}`);
  return checkBounds(key, text, Number(text), bounds, right);
}

export function parseSize(key: string, text: string, bounds: Bounds): number {
  const right = `give bytes, K, M, G or T (powers of two) ${boundsText(bounds, formatBytes)}`;
  refuseRange(key, text, right);
  const match = /^(-?\d+)([KMGT]?)(?:i?B)?$/i.exec(text);
  if (match === null) throw new UserError(`${key}: ${given(text)} is no size; ${right}`);
  const value = Number(match[1]) * SIZE_UNITS[match[2]!.toUpperCase()]!;
  return checkBounds(key, text, value, bounds, right);
}

/** A bare number is in `defaultUnit`. Result in picoseconds, which must come out whole. */
export function parseTimePs(
  key: string,
  text: string,
  defaultUnit: string,
  bounds: Bounds,
): number {
  const right = `give a time in ns, us, ms or s ${boundsText(bounds, formatPs)}`;
  refuseRange(key, text, right);
  const match = /^(-?\d+)(?:\.(\d{1,12}))?(ps|ns|us|ms|s|)$/.exec(text);
  if (match === null) throw new UserError(`${key}: ${given(text)} is no time; ${right}`);
  const unitPs = TIME_UNITS[match[3] === '' ? defaultUnit : match[3]!];
  if (unitPs === undefined) throw new UserError(`${key}: ${given(text)} needs a unit; ${right}`);
  const value = Math.round(Number(`${match[1]}.${match[2] ?? '0'}`) * unitPs);
  return checkBounds(key, text, value, bounds, right);
}

/** Seeds: whole numbers from 0 up to 2^53. */
export function parseSeed(key: string, text: string): number {
  const right = 'give a whole number from 0 to 2^53 (9007199254740992)';
  refuseRange(key, text, right);
  if (!/^\d+$/.test(text)) throw new UserError(`${key}: ${given(text)} is no seed; ${right}`);
  // Number() rounds 2^53 + 1 down to 2^53, so the digits themselves are compared.
  if (BigInt(text) > 9007199254740992n) {
    throw new UserError(`${key}: ${given(text)} is beyond 2^53; ${right}`);
  }
  return Number(text);
}

/** The given text in quotes, shortened. */
export function given(text: string): string {
  if (text === '') return 'an empty value';
  const printable = text.replace(/[^\x20-\x7e\u00a0-\uffff]/g, '?');
  return printable.length > 60 ? `'${printable.slice(0, 57)}...'` : `'${printable}'`;
}

function refuseRange(key: string, text: string, right: string): void {
  if (/^[^.]+\.\.[^.]*/.test(text)) {
    throw new UserError(
      `${key}: ${given(text)} is a range, and ranges come with numalab sweep; ${right}`,
    );
  }
}

function checkBounds(
  key: string,
  text: string,
  value: number,
  bounds: Bounds,
  right: string,
): number {
  if (value < bounds.minimum) throw new UserError(`${key}: ${given(text)} is too small; ${right}`);
  if (value > bounds.maximum || !Number.isSafeInteger(value)) {
    throw new UserError(`${key}: ${given(text)} is too large; ${right}`);
  }
  return value;
}

function boundsText(bounds: Bounds, format: (value: number) => string): string {
  const { minimum, maximum } = bounds;
  if (maximum >= Number.MAX_SAFE_INTEGER) return `from ${format(minimum)}`;
  return `from ${format(minimum)} to ${format(maximum)}`;
}
