/** MESI states of a line in a private cache, ordered by what they allow; kept in two bits. */
export const LineState = { Invalid: 0, Shared: 1, Exclusive: 2, Modified: 3 } as const;
export type LineState = (typeof LineState)[keyof typeof LineState];

/** What a CPU asks the home agent of a line for. */
export const RequestKind = {
  /** Shared copy, or exclusive if nobody else has the line. */
  Read: 0,
  /** Exclusive copy with data. */
  Write: 1,
  /** Exclusive copy, contents irrelevant (DC ZVA): no memory read. */
  WriteNoData: 2,
  /** DC CIVAC: the line ends uncached everywhere. */
  Flush: 3,
  /** A page of memory without bytes in one request: zero, copy into, clean and invalidate. */
  Page: 4,
  /** Fetch into the instruction cache: shared, never exclusive. */
  Fetch: 5,
} as const;
export type RequestKind = (typeof RequestKind)[keyof typeof RequestKind];

/** The request is for a copy that others may have, too. */
export function isShared(kind: number): boolean {
  return kind === RequestKind.Read || kind === RequestKind.Fetch;
}

/** What a snoop does to its victim. */
export const LossKind = { Downgrade: 0, Invalidate: 1 } as const;
export type LossKind = (typeof LossKind)[keyof typeof LossKind];
