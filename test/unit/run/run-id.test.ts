/** Promise: a run's name depends on what decides the result and on nothing else. */

import { describe, expect, it } from 'vitest';
import { sha256Hex, sortedJson } from '../../../src/run/run-id.ts';
import type { RunRequest } from '../../../src/run/run-spec.ts';
import { resolveSpecification } from '../../../src/run/specification.ts';

const request = (more: Partial<RunRequest> = {}): RunRequest => ({
  workload: 'lock_contention',
  assignments: [],
  check: false,
  ...more,
});

async function idOf(more: Partial<RunRequest> = {}): Promise<string> {
  return (await resolveSpecification(request(more))).runId;
}

describe('runId', () => {
  it('sorts keys at every depth and keeps lists in order', () => {
    expect(sortedJson({ b: [2, 1], a: { d: null, c: 'x' } })).toBe(
      '{"a":{"c":"x","d":null},"b":[2,1]}',
    );
    expect(sha256Hex('')).toMatch(/^e3b0c44298fc1c14/);
  });

  it('is the same for the same question asked in other words', async () => {
    const plain = await idOf();
    expect(await idOf({ threads: '2', jobs: '1', check: true })).toBe(plain);
    expect(await idOf({ assignments: ['lock=qspinlock'], cpus: '16' })).toBe(plain);
    expect(await idOf({ machine: 'graviton4-2p', seed: '1', repeat: '1' })).toBe(plain);
    expect(await idOf({ cpus: '0-15' })).toBe(plain);
  });

  it('differs for anything that decides the result', async () => {
    const ids = await Promise.all([
      idOf(),
      idOf({ assignments: ['lock=mcs'] }),
      idOf({ cpus: '8' }),
      idOf({ seed: '2' }),
      idOf({ repeat: '2' }),
      idOf({ machine: 'graviton3_1p' }),
      idOf({ assignments: ['mempolicy=interleave'] }),
      idOf({ assignments: ['placement=spread'] }),
    ]);
    expect(new Set(ids).size).toBe(ids.length);
  });
});
