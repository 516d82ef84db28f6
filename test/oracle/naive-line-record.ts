/** What a home of the naive engine knows of one line. */

import type { Request } from './naive-messages.ts';

export interface LineRecord {
  owner: number;
  readonly sharers: Set<number>;
  /** Last-level domains of other nodes that may have the line. */
  readonly domains: Set<number>;
  freeShared: number;
  freeExclusive: number;
  readonly waiting: Request[];
}

export function newRecord(): LineRecord {
  return {
    owner: -1,
    sharers: new Set(),
    domains: new Set(),
    freeShared: 0,
    freeExclusive: 0,
    waiting: [],
  };
}

/** Reads wait until the data is at the home, everything else until all grants are acknowledged. */
export function freeFor(record: LineRecord, request: Request): number {
  const shared = request.wish === 'read' || request.wish === 'fetch';
  return shared ? record.freeShared : record.freeExclusive;
}
