/**
 * The central promise of the virtual engine: a run's digest depends on the emulated machine, the
 * programs and the seed, and on nothing else. 200 random programs give the same digest
 * - from the naive engine of test/oracle (one heap, no windows, no threads, written apart),
 * - on 1, 2, 4 and per-cpu worker threads,
 * - with CPUs and mailboxes shuffled, the order witness and all checkers on (ER-T12).
 *
 * `npm run soak` does the same with more CPUs, more steps and other seeds.
 */

import { afterAll, describe, expect, it } from 'vitest';
import { type RandomCase, randomCase, stepsOf } from '../support/random-program.ts';
import { STEP_KINDS } from '../support/random-program-steps.ts';
import {
  differences,
  type Outcome,
  runHere,
  runNaive,
  runOnThreads,
} from '../support/virtual-run.ts';
import { WorkerPool } from '../support/worker-pool.ts';

const PROGRAMS = 200;
const PER_TEST = 20;
const WINDOWS_MAX = 2_000;
const pool = new WorkerPool();

afterAll(() => pool.close());

function checks(seed: number): {
  witness: true;
  translations: true;
  repeats: true;
  shuffle: number;
} {
  return { witness: true, translations: true, repeats: true, shuffle: seed + 1 };
}

function expectSame(what: string, theCase: RandomCase, base: Outcome, other: Outcome): void {
  const found = differences(base, other);
  const where = `seed ${theCase.seed}, ${theCase.steps} steps, 1 thread / ${what}`;
  expect(found, where).toEqual([]);
  expect(other.digest, where).toBe(base.digest);
}

describe('random programs give one digest', () => {
  for (let first = 1; first <= PROGRAMS; first += PER_TEST) {
    it(`seeds ${first} to ${first + PER_TEST - 1}`, async () => {
      for (let seed = first; seed < first + PER_TEST; seed++) {
        const theCase = randomCase(seed, { steps: 10 + (seed % 10) });
        const base = runHere(theCase);
        expect(base.ending, `seed ${seed}`).toBe('finished');
        expect(base.windows).toBeLessThan(WINDOWS_MAX);
        expectSame('naive engine', theCase, base, runNaive(theCase));
        expectSame('shuffled', theCase, base, runHere(theCase, checks(seed)));
        for (const threads of [2, 4, 'per-cpu'] as const) {
          // Every other program runs with the order witness on its threads, too.
          const debug = seed % 2 === 0 ? checks(seed) : {};
          const other = await runOnThreads(theCase, threads, pool, debug);
          expectSame(`${threads} threads`, theCase, base, other);
        }
      }
    });
  }
});

describe('programs that found a difference', () => {
  it('a condition parked on a page after an access by a block', () => {
    // A TLBI of the page beside it hit the condition, too: it was compared with the block's size.
    const only = ['readWindow', 'protect', 'atomic', 'access'] as const;
    const theCase = randomCase(183, { steps: 8, only });
    expectSame('naive engine', theCase, runHere(theCase), runNaive(theCase));
  });
});

describe('runs that cannot go on have a digest, too (ER-G5)', () => {
  it('a deadlock, on the naive engine as well', async () => {
    for (let seed = 1; seed <= 8; seed++) {
      const theCase = randomCase(seed, { steps: 8, ending: 'deadlock' });
      const base = runHere(theCase);
      expect(base.ending).toBe('deadlock');
      expectSame('naive engine', theCase, base, runNaive(theCase));
      for (const threads of [2, 4, 'per-cpu'] as const) {
        const other = await runOnThreads(theCase, threads, pool, checks(seed));
        expectSame(`${threads} threads`, theCase, base, other);
      }
    }
  });

  it('no progress', async () => {
    for (let seed = 1; seed <= 8; seed++) {
      const without = ['idle' as const];
      const theCase = randomCase(seed, { steps: 8, without, ending: 'no-progress' });
      const base = runHere(theCase);
      expect(base.ending).toBe('no-progress');
      for (const threads of [2, 4, 'per-cpu'] as const) {
        expectSame(`${threads} threads`, theCase, base, await runOnThreads(theCase, threads, pool));
      }
    }
  });
});

describe('what the programs are made of', () => {
  it('covers every kind of step in the first 200 seeds', () => {
    const seen = new Set<string>();
    for (let seed = 1; seed <= PROGRAMS; seed++) {
      for (const { kind } of stepsOf(randomCase(seed), 0)) seen.add(kind);
    }
    expect([...seen].sort()).toEqual([...STEP_KINDS].sort());
  });

  it('tells different programs and different seeds apart', () => {
    const digests = [1, 2, 3, 4, 5].map((seed) => runHere(randomCase(seed, { steps: 5 })).digest);
    expect(new Set(digests).size).toBe(digests.length);
    const fewer = runHere(randomCase(1, { steps: 4 })).digest;
    expect(fewer).not.toBe(digests[0]);
  });
});
