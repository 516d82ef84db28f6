/**
 * What CPUs, homes and last-level domains of the naive engine say to each other.
 */

import { LINE_BYTES } from './naive-cache.ts';

export type Wish = 'read' | 'fetch' | 'write' | 'write-no-data' | 'flush' | 'page';
export type Origin = 'upgrade' | 'llc' | 'domain' | 'memory' | 'transfer' | 'none';

export interface Request {
  readonly cpu: number;
  /** First byte of the line (or page). */
  readonly line: number;
  readonly wish: Wish;
  readonly hadCopy: boolean;
  readonly bytes: number;
}

export interface Grant {
  readonly time: number;
  readonly state: number;
  readonly origin: Origin;
  readonly fromNode: number;
}

export interface HomeListener {
  granted(cpu: number, grant: Grant): void;
  /** `kind` 'downgrade': an owner keeps a shared copy. */
  loses(
    cpu: number,
    effect: number,
    line: number,
    kind: 'downgrade' | 'invalidate',
    wake: number,
  ): void;
  /** The last-level domain of a CPU of another node gets a line to keep. */
  domainGets(cpu: number, time: number, line: number): void;
  domainLoses(domain: number, time: number, line: number, except: number): void;
}

/** Number of the line inside its node, as the tie hash takes it. */
export function lineNumber(line: number): number {
  return ((line % 2 ** 38) / LINE_BYTES) | 0;
}
