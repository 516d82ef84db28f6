/**
 * The promise of digest.test.ts on machines whose last-level caches keep lines of other nodes
 * (llcPlacement = requester): 80 random programs give the same digest from the naive engine and in
 * turn shuffled with the order witness and all checkers on, and on 2, 4 and per-cpu worker threads.
 * The programs must use what is tested. `npm run soak -- --requester` does all of it for any seeds.
 */

import { afterAll, describe, expect, it } from 'vitest';
import { DomainAgent } from '../../src/cache/domain-agent.ts';
import { DomainSharers } from '../../src/cache/domain-sharers.ts';
import { Home } from '../../src/cache/home.ts';
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

/** Runs programs with a rule broken; what the first that notices says. */
function complaintWithout<T extends object>(type: T, name: keyof T, broken: unknown): string {
  const before = Object.getOwnPropertyDescriptor(type, name)!;
  try {
    Object.defineProperty(type, name, { ...before, value: broken });
    for (let seed = 1; seed <= 60; seed++) {
      const theCase = randomCase(seed, { steps: 16, limits: REQUESTER });
      const found = differences(runNaive(theCase), runHere(theCase, { witness: true }));
      if (found.length > 0) return `differs: ${found[0]}`;
    }
    return '';
  } catch (error) {
    return (error as Error).message;
  } finally {
    Object.defineProperty(type, name, before);
  }
}

describe('every rule of domains is seen', () => {
  const { snoop, fill } = DomainSharers.prototype;

  it('agents lose what is written elsewhere', () => {
    const complaint = complaintWithout(DomainAgent.prototype, 'snoop', () => undefined);
    expect(complaint).not.toBe('');
  });

  it('a write waits for the domains', () => {
    function impatient(this: DomainSharers, ...of: Parameters<typeof snoop>): number {
      snoop.apply(this, of);
      return of[1];
    }
    expect(complaintWithout(DomainSharers.prototype, 'snoop', impatient)).not.toBe('');
  });

  it('a line that was written back is not free before its domain has it', () => {
    function hasty(this: DomainSharers, ...of: Parameters<DomainSharers['keep']>): void {
      const [record, cpu, hi, lo, now] = of;
      fill.call(this, record, cpu, now, hi, lo);
    }
    expect(complaintWithout(DomainSharers.prototype, 'keep', hasty)).not.toBe('');
  });

  it('homes hear of lines that fell out', () => {
    const complaint = complaintWithout(Home.prototype, 'domainLeaves', () => undefined);
    expect(complaint).not.toBe('');
  });
});
