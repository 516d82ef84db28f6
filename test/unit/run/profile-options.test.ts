/**
 * Promises: options of a profile can be given on the command line, to every part that knows them or
 * to one by its label; a machine has one kernel text; --isolate switches parts off and changes
 * nothing else.
 */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { resolveIsolated } from '../../../src/run/isolate.ts';
import type { RunRequest } from '../../../src/run/run-spec.ts';
import { resolveSpecification } from '../../../src/run/specification.ts';

const PARTS = `
name: pair
machine: graviton4_2p
parts:
  - { label: a, workload: memory_latency, cpus: 0, parameters: { accesses: 1000 } }
  - { label: b, workload: dirty_log_perf_test, cpus: 1-3 }
`;

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'numalab-'));
  writeFileSync(join(folder, 'pair.yaml'), PARTS);
  writeFileSync(join(folder, 'text.yaml'), `${PARTS}kernel: { text: shared, textSize: 1M }\n`);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function request(file: string, ...assignments: string[]): RunRequest {
  return { workload: join(folder, file), assignments, check: false };
}

describe('options of profiles', () => {
  it('go to the parts that know them, or to the one that is named', async () => {
    const all = await resolveSpecification(request('pair.yaml', 'faults=exclusive'));
    expect(all.parameters['b.faults']).toBe('exclusive');
    expect(all.parameters['a.faults']).toBeUndefined();
    const named = await resolveSpecification(request('pair.yaml', 'a.accesses=77'));
    expect(named.parameters['a.accesses']).toBe(77);
    expect(named.runId).not.toBe(all.runId);
  });

  it.each([
    ['faultz=1', /no part of pair knows faultz; its parts are a, b/],
    ['c.faults=parallel', /pair has no part 'c'/],
    ['text=shared', /no part of pair knows text/],
    ['a.faults=parallel', /memory_latency has no parameter 'faults'/],
  ])('refuse %s', async (word, message) => {
    await expect(resolveSpecification(request('pair.yaml', word))).rejects.toThrow(message);
  });

  it('of the kernel text belong to the machine', async () => {
    const shared = await resolveSpecification(request('text.yaml'));
    expect(shared.parameters).toMatchObject({ text: 'shared', textSize: 2 ** 20 });
    expect(shared.workload.kernelOptions).toContain('text');
    const copies = await resolveSpecification(request('text.yaml', 'text=replicated'));
    expect(copies.parameters['text']).toBe('replicated');
    expect(copies.like).toBe('posted:ktext-v2');
    expect(copies.runId).not.toBe(shared.runId);
  });
});

describe('--isolate', () => {
  const { signal } = new AbortController();

  it('switches one part off at a time', async () => {
    const runs = await resolveIsolated(request('pair.yaml'), signal);
    expect(runs.map(({ label }) => label)).toEqual(['all', 'without a', 'without b']);
    expect(runs.map(({ spec }) => spec.placement.cpus)).toEqual([[0, 1, 2, 3], [1, 2, 3], [0]]);
    expect(new Set(runs.map(({ spec }) => spec.runId)).size).toBe(3);
    expect(runs[1]!.spec.parameters).toEqual(runs[0]!.spec.parameters);
  });

  it('needs a profile', async () => {
    const alone: RunRequest = { workload: 'memory_latency', assignments: [], check: false };
    await expect(resolveIsolated(alone, signal)).rejects.toThrow(/give a profile/);
  });
});
