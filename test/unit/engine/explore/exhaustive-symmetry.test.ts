/**
 * Locks that a stress target declares to know a CPU by number and area only. Without symmetry: the
 * renaming of every trace is a trace too. With it: as many as there are up to renaming.
 */

import { describe, expect, it } from 'vitest';
import { runExhaustive } from '../../../../src/engine/explore/exhaustive/run-exhaustive.ts';
import { withFewRenamings } from '../../../../src/engine/explore/exhaustive/symmetry.ts';
import { resolveTarget, targetsNamed } from '../../../../src/stress/registry.ts';
import { openTarget } from '../../../../src/stress/run-target.ts';
import { lockTarget } from '../../../../src/stress/targets/lock-target.ts';
import { LOCKS } from '../../../../src/sync/registry.ts';

/** All CPUs write, so all are the same. */
function search(name: string, cpus: number, prune: boolean) {
  const target = lockTarget({
    name,
    description: '',
    make: LOCKS[name]!.make,
    parts: ['write'],
    size: { cpus, operations: 1 },
    symmetric: true,
  });
  const size = { cpus, operations: 1 };
  const opened = openTarget(target, size, { model: 'sc', seed: 1, stepLimit: 120 });
  const traces = new Set<number>();
  const renamed = new Set<number>();
  const groups = target.interchangeable!(size);
  expect(groups).toEqual([Array.from({ length: cpus }, (_, cpu) => cpu)]);
  const { failure, search: result } = runExhaustive(opened.explorer, {
    executionLimit: 2000,
    groups,
    prune,
    traced: ([own, ...others]) => {
      traces.add(own!);
      for (const other of others) renamed.add(other);
    },
  });
  expect(failure).toBeNull();
  return { result, traces, renamed };
}

function isClosed({ traces, renamed }: ReturnType<typeof search>): boolean {
  return [...renamed].every((key) => traces.has(key));
}

const declared: string[] = [];
for (const name of targetsNamed('locks')) {
  const target = await resolveTarget({ name, mutant: '', lock: null });
  if (target.interchangeable !== undefined) declared.push(name);
}

describe('locks whose CPUs may change places', () => {
  it('are known', () => expect(declared.length).toBeGreaterThanOrEqual(12));

  // The first for ever: test-and-set loops of atomics.
  it.each(declared.filter((name) => name !== 'tas'))('%s', (name) => {
    for (const cpus of name === 'qspinlock' || name === 'k42' ? [2] : [2, 3]) {
      const all = search(name, cpus, false);
      const pruned = search(name, cpus, true);
      expect([all.result.outcome, pruned.result.outcome]).toEqual(['complete', 'complete']);
      expect(isClosed(all)).toBe(true);
      expect(pruned.result.completed).toBe(all.result.completed);
      expect(pruned.result.completed).toBeLessThan(all.traces.size);
    }
  });

  it.each(['twa', 'hmcs', 'futex'])('%s looks at numbers, and is found out', (name) => {
    expect(isClosed(search(name, 2, false))).toBe(false);
  });

  it('of a group as many as renamings can be tried for', () => {
    expect(
      withFewRenamings([
        [0, 2, 4, 6, 8, 10, 12],
        [1, 3],
      ]),
    ).toEqual([[0, 2, 4, 6, 8], [1]]);
  });
});
