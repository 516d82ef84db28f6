/**
 * Units. Emulated time is an integer number of picoseconds held in a double (exact up to 2^53 ps,
 * 2.5 hours): additions of integers are associative, so no order of threads can leak into a sum.
 */

export const PS_PER_NS = 1_000;
export const PS_PER_US = 1_000_000;
export const PS_PER_MS = 1_000_000_000;
export const PS_PER_S = 1_000_000_000_000;

export const KIB = 1024;
export const MIB = 1024 * KIB;
export const GIB = 1024 * MIB;
export const TIB = 1024 * GIB;

export const LINE_SHIFT = 6;
export const LINE_BYTES = 64;

/** Rounds nanoseconds to whole picoseconds; done once, when a parameter is loaded. */
export function nsToPs(ns: number): number {
  return Math.round(ns * PS_PER_NS);
}

/** "1.50 us", "42.0 ns": three significant digits, one unit per magnitude. */
export function formatPs(ps: number): string {
  const scales: readonly [number, string][] = [
    [PS_PER_S, 's'],
    [PS_PER_MS, 'ms'],
    [PS_PER_US, 'us'],
    [PS_PER_NS, 'ns'],
  ];
  for (const [scale, unit] of scales) {
    if (ps >= scale) return `${threeDigits(ps / scale)} ${unit}`;
  }
  return `${ps} ps`;
}

/** Three significant digits without exponent. */
export function threeDigits(value: number): string {
  if (value === 0) return '0';
  const magnitude = Math.abs(value);
  // The bounds are where rounding reaches the next magnitude: 99.97 is 100, not 100.0.
  if (magnitude >= 99.95) return value.toFixed(0);
  if (magnitude >= 9.995) return value.toFixed(1);
  if (magnitude >= 0.9995) return value.toFixed(2);
  return value.toPrecision(3);
}

/**
 * "4K", "2M", "1G": the largest power-of-1024 suffix that divides exactly, as kernel parameters.
 */
export function formatBytes(bytes: number): string {
  const scales: readonly [number, string][] = [
    [TIB, 'T'],
    [GIB, 'G'],
    [MIB, 'M'],
    [KIB, 'K'],
  ];
  for (const [scale, suffix] of scales) {
    if (bytes >= scale && bytes % scale === 0) return `${bytes / scale}${suffix}`;
  }
  return `${bytes}`;
}
