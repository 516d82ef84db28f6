/**
 * Bucket layout of HdrHistogram with 3 significant digits and unit 1 ns (Gil Tene; the arithmetic
 * is that of AbstractHistogram.countsArrayIndex): 2,048 linear buckets, then 1,024 per power of
 * two, so that a bucket is never wider than a thousandth of its values. Only Math.clz32 and
 * shifts: no transcendental function, whose last bit may differ between JavaScript engines.
 *
 * Deviation: values above HIGHEST_NS have no bucket; the recorder counts them apart.
 */

export const SIGNIFICANT_DIGITS = 3;

/** One hour. */
export const HIGHEST_NS = 3_600_000_000_000;

/** log2 of the buckets per power of two. */
const HALF_SHIFT = 10;
const HALF_COUNT = 1 << HALF_SHIFT;
const LINEAR_MASK = 2 * HALF_COUNT - 1;
/** 32 - bits of LINEAR_MASK: leading zeros of a value that is still in the linear part. */
const LINEAR_CLZ = 21;

/** Values from 2^32 on are indexed by their upper part; 21 keeps at least 11 significant bits. */
const UPPER_SHIFT = 21;
const UPPER_UNIT = 1 << UPPER_SHIFT;
const TWO_32 = 0x1_0000_0000;

/** Number of buckets: 31 doublings above the linear part reach 2^42 > HIGHEST_NS. */
export const BUCKET_COUNT = 33 * HALF_COUNT;

/** Bucket of a whole number of nanoseconds in [0, HIGHEST_NS]. */
export function bucketIndex(ns: number): number {
  if (ns < TWO_32) {
    const shift = LINEAR_CLZ - Math.clz32(ns | LINEAR_MASK);
    return (shift << HALF_SHIFT) + (ns >>> shift);
  }
  const upper = Math.floor(ns / UPPER_UNIT);
  const shift = LINEAR_CLZ - Math.clz32(upper);
  return ((shift + UPPER_SHIFT) << HALF_SHIFT) + (upper >>> shift);
}

/** Width of a bucket in nanoseconds, a power of two. */
export function bucketWidthNs(index: number): number {
  return (1 << Math.max(0, (index >>> HALF_SHIFT) - 1)) >>> 0;
}

/** Least value of a bucket. */
export function bucketLowestNs(index: number): number {
  if (index < HALF_COUNT) return index;
  return ((index & (HALF_COUNT - 1)) + HALF_COUNT) * bucketWidthNs(index);
}

/** Greatest whole value of a bucket: what HdrHistogram reports for a percentile. */
export function bucketHighestNs(index: number): number {
  return bucketLowestNs(index) + bucketWidthNs(index) - 1;
}
