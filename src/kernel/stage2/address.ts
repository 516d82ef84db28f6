/**
 * Guest-physical addresses and sizes are plain numbers in kernel programs (exact up to 2^53);
 * CPU operations take halves. Emulated words that hold such a number are (hi, lo) pairs.
 */

const TWO_32 = 0x1_0000_0000;

export function addressHi(address: number): number {
  return Math.floor(address / TWO_32) | 0;
}

export function addressLo(address: number): number {
  return address | 0;
}

/** The number in a pair of signed halves; hi must not be negative. */
export function addressOf(hi: number, lo: number): number {
  return hi * TWO_32 + (lo >>> 0);
}

const POWERS_OF_TWO: readonly number[] = Object.freeze(
  Array.from({ length: 53 }, (_, exponent) => 2 ** exponent),
);

/** 2^exponent for 0..52; cheaper than the operator on hot paths. */
export function powerOfTwo(exponent: number): number {
  return POWERS_OF_TWO[exponent]!;
}

/** Sizes are powers of two. */
export function alignDown(value: number, size: number): number {
  return Math.floor(value / size) * size;
}

export function alignUp(value: number, size: number): number {
  return Math.ceil(value / size) * size;
}
