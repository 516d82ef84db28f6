/**
 * The interval specification of a page: against a checker that tries every point in time for every
 * change, on small random histories; and histories that must be accepted or refused.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ChangeKind } from '../../../../src/stress/oracles/history-events.ts';
import {
  applied,
  type Change,
  isExplained,
  NOTHING_MAPPED,
  type PageHistory,
  type PageState,
  type Use,
} from '../../../../src/stress/oracles/page-history.ts';
import { PERM_EXEC, PERM_READ, PERM_WRITE } from '../../../../src/translation/descriptors.ts';

const RW = PERM_READ | PERM_WRITE;
const FRAME: PageState = { frame: 7, permissions: RW };

function change(kind: ChangeKind, invoked: number, returned: number, frame = -1): Change {
  return { cpu: 0, kind, frame, permissions: RW, invoked, returned };
}

function use(invoked: number, returned: number, frame: number, more: Partial<Use> = {}): Use {
  return { cpu: 1, invoked, returned, write: false, frame, refused: 'no', ...more };
}

function explained(history: Partial<PageHistory>): boolean {
  return isExplained({ initial: NOTHING_MAPPED, changes: [], uses: [], final: null, ...history });
}

describe('a page', () => {
  const unmap = change(ChangeKind.Unmap, 10, 20);

  it('may be seen through what was removed until the removal is over', () => {
    expect(explained({ initial: FRAME, changes: [unmap], uses: [use(19, 19, 7)] })).toBe(true);
    expect(explained({ initial: FRAME, changes: [unmap], uses: [use(19, 25, 7)] })).toBe(true);
    expect(explained({ initial: FRAME, changes: [unmap], uses: [use(21, 21, 7)] })).toBe(false);
  });

  it('is not seen before its change began', () => {
    const map = change(ChangeKind.Map, 10, 20, 7);
    expect(explained({ changes: [map], uses: [use(11, 11, 7)] })).toBe(true);
    expect(explained({ changes: [map], uses: [use(9, 9, 7)] })).toBe(false);
    expect(explained({ changes: [map], uses: [use(11, 11, 8)] })).toBe(false);
  });

  it('may be refused for ever by an entry that was more restrictive', () => {
    const initial = { frame: 7, permissions: PERM_READ };
    const changes = [change(ChangeKind.Allow, 10, 20)];
    const denied = use(30, 31, -1, { refused: 'denied', write: true });
    expect(explained({ initial, changes, uses: [denied] })).toBe(true);
    expect(explained({ initial: FRAME, uses: [denied] })).toBe(false);
  });

  it('may not be written when its protection is over', () => {
    const changes = [change(ChangeKind.Deny, 10, 20)];
    const write = { write: true };
    expect(explained({ initial: FRAME, changes, uses: [use(15, 15, 7, write)] })).toBe(true);
    expect(explained({ initial: FRAME, changes, uses: [use(25, 25, 7, write)] })).toBe(false);
  });

  it('may be missing while a change breaks it, and never when it is mapped', () => {
    const changes = [change(ChangeKind.Map, 10, 20, 8)];
    const missing = { refused: 'missing' } as const;
    expect(explained({ initial: FRAME, changes, uses: [use(12, 13, -1, missing)] })).toBe(true);
    expect(explained({ initial: FRAME, changes, uses: [use(22, 23, -1, missing)] })).toBe(false);
    expect(explained({ uses: [use(22, 23, -1, missing)] })).toBe(true);
  });

  it('is in the tables at the end as the last change left it', () => {
    const map = (from: number, to: number, frame: number) =>
      change(ChangeKind.Map, from, to, frame);
    const final = (frame: number): PageState => ({ frame, permissions: RW });
    expect(explained({ changes: [map(1, 4, 7)], final: NOTHING_MAPPED })).toBe(false);
    expect(explained({ changes: [map(1, 4, 7), map(2, 5, 8)], final: final(7) })).toBe(true);
    expect(explained({ changes: [map(1, 2, 7), map(3, 5, 8)], final: final(7) })).toBe(false);
  });

  it('needs one order for everything that was seen', () => {
    // Two maps at once: after both are over, one of the two stays, not each for another reader.
    const changes = [change(ChangeKind.Map, 1, 5, 7), change(ChangeKind.Map, 2, 6, 8)];
    expect(explained({ changes, uses: [use(8, 8, 7)] })).toBe(true);
    expect(explained({ changes, uses: [use(8, 8, 7), use(9, 9, 8)] })).toBe(false);
  });

  it('is judged in nearly linear time', () => {
    const changes = Array.from({ length: 3000 }, (_, i) =>
      change(ChangeKind.Map, i * 10, i * 10 + 12, i),
    );
    const uses = changes.map(({ frame }, i) => use(i * 10 + 13, i * 10 + 14, frame));
    const history = { initial: NOTHING_MAPPED, changes, uses, final: null };
    expect(isExplained(history)).toBe(true);
  });
});

// ---- against brute force ------------------------------------------------------------------------

/** Points per gap between two events, so that changes of one gap can come in any order. */
const POINTS = 3;

/** Every change at every point between its beginning and its end: does one choice explain all? */
function bruteForce(history: PageHistory): boolean {
  const { changes } = history;
  const points = new Array<number>(changes.length).fill(-1);
  const place = (index: number): boolean => {
    if (index === changes.length) return explainsAll(history, points);
    const { invoked, returned } = changes[index]!;
    for (let at = invoked * POINTS + 1; at < Math.min(returned, 12) * POINTS; at++) {
      if (points.slice(0, index).includes(at)) continue;
      points[index] = at;
      if (place(index + 1)) return true;
    }
    points[index] = Number.POSITIVE_INFINITY;
    return returned === Number.POSITIVE_INFINITY && place(index + 1);
  };
  return place(0);
}

function explainsAll({ initial, changes, uses, final }: PageHistory, points: number[]): boolean {
  const order = [...changes.keys()]
    .filter((index) => points[index] !== Number.POSITIVE_INFINITY)
    .sort((a, b) => points[a]! - points[b]!);
  const states: PageState[] = [initial];
  for (const index of order) states.push(applied(states.at(-1)!, changes[index]!));
  const last = states.at(-1)!;
  if (final !== null && (final.frame !== last.frame || final.permissions !== last.permissions)) {
    return false;
  }
  return uses.every(({ invoked, returned, frame, write }) =>
    states.some((state, number) => {
      const began = number === 0 ? -1 : points[order[number - 1]!]!;
      const needs = write ? PERM_WRITE : PERM_READ;
      if (began > returned * POINTS) return false;
      if (state.frame !== frame || (state.permissions & needs) === 0) return false;
      return order.slice(number).every((later) => changes[later]!.returned >= invoked);
    }),
  );
}

const TIMES = 11;

/** Distinct times for all beginnings and ends, as the order of events gives them. */
const histories = fc
  .record({
    initial: fc.constantFrom(NOTHING_MAPPED, FRAME, { frame: 8, permissions: PERM_READ }),
    times: fc.shuffledSubarray([...Array(TIMES).keys()], { minLength: 10, maxLength: 10 }),
    kinds: fc.array(
      fc.record({
        kind: fc.constantFrom(...Object.values(ChangeKind)),
        frame: fc.constantFrom(7, 8),
        permissions: fc.constantFrom(PERM_READ, PERM_WRITE, RW, RW | PERM_EXEC),
        isPending: fc.integer({ min: 0, max: 9 }).map((draw) => draw === 0),
      }),
      { maxLength: 3 },
    ),
    seen: fc.array(fc.record({ frame: fc.constantFrom(7, 8), write: fc.boolean() }), {
      maxLength: 2,
    }),
    final: fc.constantFrom(null, null, NOTHING_MAPPED, FRAME),
  })
  .map(({ initial, times, kinds, seen, final }): PageHistory => {
    const pair = (index: number): [number, number] => {
      const [a, b] = [times[index * 2]!, times[index * 2 + 1]!];
      return [Math.min(a, b), Math.max(a, b)];
    };
    const changes = kinds.map(({ kind, frame, permissions, isPending }, index): Change => {
      const [invoked, end] = pair(index);
      const returned = isPending ? Number.POSITIVE_INFINITY : end;
      return { cpu: 0, kind, frame, permissions, invoked, returned };
    });
    const uses = seen.map(({ frame, write }, index): Use => {
      const [invoked, returned] = pair(index + 3);
      return { cpu: 1, invoked, returned, write, frame, refused: 'no' };
    });
    const byStart = (a: { invoked: number }, b: { invoked: number }) => a.invoked - b.invoked;
    return { initial, changes: changes.sort(byStart), uses: uses.sort(byStart), final };
  });

describe('random histories', () => {
  it('are explained exactly when some choice of points explains them', () => {
    const verdicts = { yes: 0, no: 0 };
    fc.assert(
      fc.property(histories, (history) => {
        const expected = bruteForce(history);
        verdicts[expected ? 'yes' : 'no']++;
        expect(isExplained(history)).toBe(expected);
      }),
      { numRuns: 250, seed: 4 },
    );
    expect(Math.min(verdicts.yes, verdicts.no)).toBeGreaterThan(25);
  });
});
