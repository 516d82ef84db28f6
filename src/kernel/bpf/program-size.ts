/**
 * Sizes of JITed BPF programs. Published of one fleet: half of them are below 500 bytes, three
 * quarters below 2 kB (S. Liu, execmem_alloc v2, 2022-11-07). Between these points and beyond the
 * last the distribution is log-uniform, from 64 bytes to 16 KiB: both ends are estimates.
 */

interface Segment {
  /** Quantiles in 1/65536. */
  readonly until: number;
  readonly fromBytes: number;
  readonly toBytes: number;
}

const SEGMENTS: readonly Segment[] = [
  { until: 32768, fromBytes: 64, toBytes: 500 },
  { until: 49152, fromBytes: 500, toBytes: 2048 },
  { until: 65536, fromBytes: 2048, toBytes: 16384 },
];

const STEPS = 64;

/**
 * Geometric steps by repeated multiplication: exact in IEEE 754 on every engine, which powers and
 * logarithms are not.
 */
function geometric({ fromBytes, toBytes }: Segment): readonly number[] {
  let low = 1;
  let high = 2;
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    let end = fromBytes;
    for (let step = 0; step < STEPS; step++) end *= middle;
    if (end < toBytes) low = middle;
    else high = middle;
  }
  const values: number[] = [];
  let value = fromBytes;
  for (let step = 0; step < STEPS; step++) {
    values.push(Math.round(value / 4) * 4);
    value *= low;
  }
  return values;
}

const TABLE: readonly (readonly number[])[] = Object.freeze(SEGMENTS.map(geometric));

/** Bytes of a program's code, a multiple of 4, from 32 random bits. */
export function programBytes(word: number): number {
  const quantile = word >>> 16;
  const index = SEGMENTS.findIndex(({ until }) => quantile < until);
  const start = index === 0 ? 0 : SEGMENTS[index - 1]!.until;
  const width = SEGMENTS[index]!.until - start;
  const step = Math.floor(((quantile - start) * STEPS) / width);
  return TABLE[index]![step]!;
}
