/** Helpers of the trace tests: files in a folder of their own, whole feeds, decoded records. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createFeed, fillRings } from '../../../src/trace/feed.ts';
import { KIND_MASK, LAST } from '../../../src/trace/record.ts';
import { RingReader } from '../../../src/trace/ring.ts';
import { scanTrace } from '../../../src/trace/scan.ts';
import type { ScannedTrace, TraceFile } from '../../../src/trace/scanned-trace.ts';

export interface Access {
  readonly kind: number;
  readonly isLast: boolean;
  readonly address: number;
}

export class TraceFolder {
  readonly path = mkdtempSync(join(tmpdir(), 'numalab-trace-'));

  write(name: string, contents: string | Uint8Array): TraceFile {
    const path = join(this.path, name);
    writeFileSync(path, contents);
    return { file: name, path };
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

export function accessOf(lo: number, hi: number): Access {
  return {
    kind: lo & KIND_MASK,
    isLast: (lo & LAST) !== 0,
    address: (hi & 0xffff) * 2 ** 32 + ((lo & ~7) >>> 0),
  };
}

/** All that a CPU gets; the whole trace must fit the ring. */
export async function recordsOfCpu(trace: ScannedTrace, cpu: number, passes = 1) {
  const feed = createFeed(trace);
  await fillRings({ trace, feed, passes });
  const ring = new RingReader(feed.rings[cpu]!, 'test');
  const accesses: Access[] = [];
  while (ring.next()) accesses.push(accessOf(ring.lo, ring.hi));
  return accesses;
}

export function scan(...files: TraceFile[]): Promise<ScannedTrace> {
  return scanTrace(files, false);
}
