/**
 * Random conversations with one home by CPUs that keep the protocol: whatever happens, at any
 * moment a line has one owner or sharers, a loss is on the grid and after its service, and a grant
 * is never earlier than a loss of the line plus the way from the loser to the winner.
 */

import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { Directory } from '../../../src/cache/directory.ts';
import { LineState, LossKind, RequestKind } from '../../../src/cache/line-state.ts';
import { CPUS, HomeDriver } from './home-driver.ts';

/** What one CPU has of the line, over time. */
interface Holding {
  readonly cpu: number;
  readonly from: number;
  state: number;
  until: number;
}

const step = fc.record({
  cpu: fc.nat(CPUS - 1),
  gap: fc.constantFrom(0, 1, 999, 7_000, 25_000, 60_000, 300_000),
  kind: fc.constantFrom(
    RequestKind.Read,
    RequestKind.Write,
    RequestKind.Fetch,
    RequestKind.Flush,
    RequestKind.WriteNoData,
  ),
  evicts: fc.boolean(),
});

const conversation = fc.property(
  fc.array(step, { minLength: 5, maxLength: 60 }),
  fc.nat(),
  (steps, seed) => {
    const holdings = converse(steps, seed);
    for (const a of holdings) {
      for (const b of holdings) {
        if (a === b || a.cpu === b.cpu) continue;
        const together = a.from < b.until && b.from < a.until;
        const owned = a.state >= LineState.Exclusive || b.state >= LineState.Exclusive;
        expect(together && owned, JSON.stringify([a, b])).toBe(false);
      }
    }
  },
);

describe('one line, eight CPUs', () => {
  it('never has an owner beside another copy', () => {
    fc.assert(conversation, { numRuns: 300 });
  });

  it('can fail: a line that is free before its grant is acknowledged (ER-D2)', () => {
    const mutant = vi.spyOn(Directory.prototype, 'freeExclusive').mockReturnValue(0);
    expect(fc.check(conversation, { numRuns: 300 }).failed).toBe(true);
    mutant.mockRestore();
  });
});

type Step = { cpu: number; gap: number; kind: RequestKind; evicts: boolean };

/** Runs the conversation in order of time; returns who held the line when. */
function converse(steps: readonly Step[], seed: number): Holding[] {
  const driver = new HomeDriver({}, seed);
  const { gridPs, hopPs, nodeOfCpu, nodeCount } = driver.machine;
  const wayTo = (cpu: number): number => hopPs[nodeOfCpu[cpu]!]!;
  const holdings: Holding[] = [];
  const asked = new Map<number, RequestKind>();
  const current = (cpu: number, at: number): Holding | undefined =>
    holdings.findLast((h) => h.cpu === cpu && h.from <= at && at < h.until);
  let now = 0;
  let seenGrants = 0;
  let seenLosses = 0;

  /** Serves what is due and applies the answers, losses first where they come together. */
  const serve = (until: number): void => {
    driver.home.serve(until);
    const fresh = driver.losses.slice(seenLosses);
    seenLosses = driver.losses.length;
    for (const { cpu, effect, kind } of fresh) {
      expect(effect % gridPs).toBe(0);
      const held = holdings.findLast((h) => h.cpu === cpu && h.until > effect);
      if (held === undefined) continue;
      expect(held.from).toBeLessThanOrEqual(effect);
      held.until = effect;
      if (kind !== LossKind.Downgrade) continue;
      const until2 = Number.POSITIVE_INFINITY;
      holdings.push({ cpu, from: effect, state: LineState.Shared, until: until2 });
    }
    for (const { cpu, at, state } of driver.grants.slice(seenGrants)) {
      for (const { cpu: loser, effect } of fresh) {
        const way = hopPs[nodeOfCpu[loser]! * nodeCount + nodeOfCpu[cpu]!]!;
        if (loser !== cpu) expect(at).toBeGreaterThanOrEqual(effect + way);
      }
      asked.delete(cpu);
      const before = current(cpu, at);
      if (before !== undefined) before.until = at;
      if (state === LineState.Invalid) continue;
      holdings.push({ cpu, from: at, state, until: Number.POSITIVE_INFINITY });
    }
    seenGrants = driver.grants.length;
  };

  for (const { cpu, gap, kind, evicts } of steps) {
    now += gap + 1;
    // One event at a time, so that each grant is seen with the losses of its own service.
    while (driver.home.queue.earliest() < now) serve(driver.home.queue.earliest() + 1);
    if (asked.has(cpu)) continue;
    // The CPU must have passed its last grant before it does anything else.
    if (holdings.some((h) => h.cpu === cpu && h.from > now)) continue;
    const held = current(cpu, now);
    if (held !== undefined && evicts) {
      held.until = now;
      if (held.state >= LineState.Exclusive) driver.writeBack(cpu, now + wayTo(cpu));
      continue;
    }
    const reads = kind === RequestKind.Read || kind === RequestKind.Fetch;
    if (held !== undefined && kind !== RequestKind.Flush) {
      if (reads || held.state >= LineState.Exclusive) continue;
    }
    if (kind === RequestKind.Flush && held !== undefined) held.until = now;
    asked.set(cpu, kind);
    driver.ask(cpu, now + wayTo(cpu), kind, held !== undefined && kind === RequestKind.Write);
  }
  while (driver.home.queue.earliest() < Number.POSITIVE_INFINITY) {
    serve(driver.home.queue.earliest() + 1);
  }
  return holdings;
}
