/**
 * Logarithms to base 2 and their inverse from operations that IEEE 754 rounds exactly: the last
 * bits of Math.log and Math.exp differ between JavaScript engines, and an estimate decides whether
 * a search is refused.
 */

const TERMS = 24;
const LN2 = Math.LN2;

export function log2(value: number): number {
  if (value === 0) return Number.NEGATIVE_INFINITY;
  let exponent = 0;
  while (value >= 2) {
    value /= 2;
    exponent++;
  }
  while (value < 1) {
    value *= 2;
    exponent--;
  }
  // ln m = 2 artanh((m - 1) / (m + 1)), by its series.
  const ratio = (value - 1) / (value + 1);
  let power = ratio;
  let sum = 0;
  for (let term = 0; term < TERMS; term++) {
    sum += power / (2 * term + 1);
    power *= ratio * ratio;
  }
  return exponent + (2 * sum) / LN2;
}

export function exp2(log: number): number {
  if (log === Number.NEGATIVE_INFINITY) return 0;
  const whole = Math.floor(log);
  const rest = (log - whole) * LN2;
  let term = 1;
  let sum = 1;
  for (let at = 1; at < TERMS; at++) {
    term *= rest / at;
    sum += term;
  }
  return sum * 2 ** whole;
}
