/**
 * The digest of one seed: SHA-256 over everything that the emulated machine did, and nothing about
 * how it was computed (ER-G1, ER-G2). In order: each CPU's number, final clock and those counters
 * that moved; merged histograms; the memory with contents of each node; each CPU's rolling hash of
 * its grants. A counter or metric that is new and stays at zero leaves old digests as they are.
 */

import { createHash } from 'node:crypto';
import { assert } from '../base/assert.ts';
import type { CpuResult } from '../engine/virtual/spec.ts';
import type { PhysicalMemoryBuffers } from '../memory/physical-memory.ts';
import { foldHistograms } from '../metrics/histogram.ts';
import type { HistogramData } from '../metrics/recorder.ts';

const CHUNK_WORDS = 4096;

export function digestOf(
  cpus: readonly CpuResult[],
  merged: readonly HistogramData[],
  memory: PhysicalMemoryBuffers,
): string {
  const hash = createHash('sha256');
  const words = new Int32Array(CHUNK_WORDS);
  let used = 0;
  const flush = (): void => {
    hash.update(new Uint8Array(words.buffer, 0, used * 4));
    used = 0;
  };
  const word = (value: number): void => {
    words[used++] = value;
    if (used === CHUNK_WORDS) flush();
  };
  const integer = (value: number): void => {
    assert(Number.isSafeInteger(value), `a digest takes integers, not ${value}`);
    word(value | 0);
    word(Math.floor(value / 0x1_0000_0000) | 0);
  };
  let before = -1;
  for (const cpu of cpus) {
    assert(cpu.id > before, 'a digest takes CPUs in order');
    before = cpu.id;
    integer(cpu.id);
    integer(cpu.clockPs);
    cpu.counters.forEach((count, counter) => {
      if (count === 0) return;
      integer(counter);
      integer(count);
    });
  }
  foldHistograms(merged, word);
  flush();
  for (const zone of memory.zones) hash.update(new Uint8Array(zone));
  for (const cpu of cpus) word(cpu.grantHash);
  flush();
  return hash.digest('hex');
}

/** Over the seeds' digests in order. */
export function digestOfSeeds(digests: readonly string[]): string {
  const hash = createHash('sha256');
  for (const digest of digests) hash.update(Buffer.from(digest, 'hex'));
  return hash.digest('hex');
}
