/**
 * User virtual addresses are plain numbers in these programs (exact up to 2^53); CPU operations
 * take signed halves.
 */

const TWO_32 = 0x1_0000_0000;

export function vaHi(address: number): number {
  return Math.floor(address / TWO_32) | 0;
}

export function vaLo(address: number): number {
  return address | 0;
}

export function vaOf(hi: number, lo: number): number {
  return (hi >>> 0) * TWO_32 + (lo >>> 0);
}

/** Sizes are powers of two. */
export function roundDown(address: number, size: number): number {
  return address - (address % size);
}
