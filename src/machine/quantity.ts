/**
 * Values of machine parameters as people write them, and the numbers that the emulator uses. Every
 * kind of parameter has one base unit: times picoseconds, sizes bytes, bandwidths bytes per second,
 * clocks MHz. Rounding happens here and nowhere else (ER-T1): a latency becomes whole picoseconds
 * once, when its profile is loaded.
 */

import { GIB, KIB, MIB, TIB } from '../base/units.ts';

export type QuantityKind =
  | 'time'
  | 'size'
  | 'bandwidth'
  | 'frequency'
  | 'count'
  | 'choice'
  | 'flag'
  | 'text';

export type Scalar = number | string | boolean;

/** What an error message says was expected: the thing, and how it may be written. */
export const EXPECTED: Readonly<Record<QuantityKind, readonly [string, string]>> = {
  time: ['a time', ' in ns, or with ps, us, ms or cycles'],
  size: ['a size', ' in bytes, or with K, M, G, T (powers of two)'],
  bandwidth: ['a bandwidth', ' in GB/s'],
  frequency: ['a clock', ' in GHz, or with MHz'],
  count: ['a whole number', ''],
  choice: ['one of the listed words', ''],
  flag: ['true or false', ''],
  text: ['a word of letters, digits, _ . -', ''],
};

const TIME_UNITS_PS: Readonly<Record<string, number>> = {
  ps: 1,
  ns: 1_000,
  us: 1_000_000,
  ms: 1_000_000_000,
};
const SIZE_UNITS: Readonly<Record<string, number>> = { '': 1, K: KIB, M: MIB, G: GIB, T: TIB };

/**
 * The value in base units, or undefined when the text is no value of the kind. `unit` is the unit
 * that applies when the value itself names none; `clockMhz` turns cycles into time.
 */
export function toBaseUnits(
  kind: QuantityKind,
  value: Scalar,
  unit: string,
  clockMhz: number,
): number | undefined {
  switch (kind) {
    case 'time':
      return timePs(value, unit, clockMhz);
    case 'size':
      return sizeBytes(value);
    case 'bandwidth':
      return scaled(value, { 'GB/s': 1e9, 'MB/s': 1e6 }, unit === '' ? 'GB/s' : unit);
    case 'frequency':
      return scaled(value, { GHz: 1000, MHz: 1 }, unit === '' ? 'GHz' : unit);
    case 'count':
      return wholeNumber(value);
    default:
      return undefined;
  }
}

function timePs(value: Scalar, unit: string, clockMhz: number): number | undefined {
  const units = { ...TIME_UNITS_PS, cycles: 1_000_000 / clockMhz };
  const ps = scaled(value, units, unit === '' ? 'ns' : unit);
  return ps === undefined ? undefined : Math.round(ps);
}

/** A number with or without one of the units. */
function scaled(
  value: Scalar,
  units: Readonly<Record<string, number>>,
  defaultUnit: string,
): number | undefined {
  if (typeof value === 'number') {
    const scale = units[defaultUnit];
    return scale === undefined || !Number.isFinite(value) ? undefined : value * scale;
  }
  if (typeof value !== 'string') return undefined;
  const match = /^(-?\d{1,15}(?:\.\d{1,12})?) ?([A-Za-z/]+)?$/.exec(value);
  if (match === null) return undefined;
  const scale = units[match[2] ?? defaultUnit];
  return scale === undefined ? undefined : Number(match[1]) * scale;
}

function sizeBytes(value: Scalar): number | undefined {
  if (typeof value === 'number') return wholeNumber(value);
  if (typeof value !== 'string') return undefined;
  const match = /^(\d{1,15}(?:\.\d{1,6})?) ?([KMGT]?)(?:i?B)?$/.exec(value);
  if (match === null) return undefined;
  return wholeNumber(Number(match[1]) * SIZE_UNITS[match[2]!]!);
}

function wholeNumber(value: Scalar): number | undefined {
  if (typeof value === 'string' && /^\d{1,15}$/.test(value)) return Number(value);
  return Number.isSafeInteger(value) && (value as number) >= 0 ? (value as number) : undefined;
}
