/** Effects by window against a plain list, in the order in which they were added. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Calendar } from '../../../../src/engine/virtual/calendar.ts';

function add(calendar: Calendar, window: number, tag: number): void {
  const entry = calendar.add(window);
  calendar.cpu[entry] = tag;
  calendar.time[entry] = tag / 2;
}

function take(calendar: Calendar, window: number): number[] {
  const tags: number[] = [];
  let entry = calendar.take(window);
  while (entry >= 0) {
    const next = calendar.next(entry);
    expect(calendar.time[entry]).toBe(calendar.cpu[entry]! / 2);
    tags.push(calendar.cpu[entry]!);
    calendar.release(entry);
    entry = next;
  }
  return tags;
}

describe('Calendar', () => {
  it('agrees with a list while windows pass, also beyond one turn of its ring', () => {
    const step = fc.record({ ahead: fc.nat(200), adds: fc.nat(3), skip: fc.nat(90) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const calendar = new Calendar();
        const model: { window: number; tag: number }[] = [];
        let now = 0;
        let tag = 0;
        for (const { ahead, adds, skip } of steps) {
          for (let i = 0; i < adds; i++) {
            add(calendar, now + ahead, ++tag);
            model.push({ window: now + ahead, tag });
          }
          const first = Math.min(...model.map(({ window }) => window));
          expect(calendar.first).toBe(first);
          expect(calendar.count).toBe(model.length);
          // No window that has an effect is passed over.
          now = Math.min(first, now + skip);
          const due = model.filter(({ window }) => window === now);
          expect(take(calendar, now)).toEqual(due.map((effect) => effect.tag));
          for (const effect of due) model.splice(model.indexOf(effect), 1);
        }
      }),
      { numRuns: 100 },
    );
  });

  it('keeps the order of effects that share a slot with a window taken before', () => {
    const calendar = new Calendar();
    add(calendar, 64, 1);
    add(calendar, 64, 2);
    add(calendar, 0, 3);
    add(calendar, 64, 4);
    expect(take(calendar, 0)).toEqual([3]);
    expect(take(calendar, 64)).toEqual([1, 2, 4]);
  });
});
