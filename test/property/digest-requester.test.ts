/**
 * The promise of digest.test.ts on machines whose last-level caches keep lines of other nodes
 * (llcPlacement = requester): 80 random programs give the same digest from the naive engine and in
 * turn shuffled with the order witness and all checkers on, and on 2, 4 and per-cpu worker threads.
 * The programs must use what is tested. `npm run soak -- --requester` does all of it for any seeds.
 */

import { afterAll, describe, expect, it } from 'vitest';
import { randomCase } from '../support/random-program.ts';
import { REQUESTER } from '../support/virtual-machines.ts';
import { differences, runHere, runNaive, runOnThreads } from '../support/virtual-run.ts';
import { WorkerPool } from '../support/worker-pool.ts';

const PROGRAMS = 80;
const PER_TEST = 20;
const THREADS = [2, 4, 'per-cpu'] as const;
const pool = new WorkerPool();
let served = 0;

afterAll(() => pool.close());

describe('random programs with requester-side last-level caches give one digest', () => {
  for (let first = 1; first <= PROGRAMS; first += PER_TEST) {
    it(`seeds ${first} to ${first + PER_TEST - 1}`, async () => {
      for (let seed = first; seed < first + PER_TEST; seed++) {
        const theCase = randomCase(seed, { steps: 8 + (seed % 10), limits: REQUESTER });
        const debug = { witness: true, translations: true, repeats: true, shuffle: seed + 1 };
        const base = runHere(theCase);
        for (const { counters } of base.cpus) served += counters['llc.remoteHits'] ?? 0;
        const others: [string, typeof base][] = [['naive engine', runNaive(theCase)]];
        const threads = THREADS[seed % 4];
        if (threads === undefined) others.push(['shuffled', runHere(theCase, debug)]);
        else {
          const checks = seed % 8 < 4 ? debug : {};
          others.push([`${threads} threads`, await runOnThreads(theCase, threads, pool, checks)]);
        }
        for (const [what, other] of others) {
          expect(differences(base, other), `seed ${seed}, 1 thread / ${what}`).toEqual([]);
          expect(other.digest, `seed ${seed}, 1 thread / ${what}`).toBe(base.digest);
        }
      }
    });
  }

  it('agents have served', () => {
    expect(served).toBeGreaterThan(300);
  });
});
