/**
 * Promise: a timeline fits the width that it is given, with a column per CPU, every operation and
 * value, and where it stands in the source; what repeats is folded.
 */

import { describe, expect, it } from 'vitest';
import { StepKind } from '../../../src/engine/explore/execution.ts';
import type { TraceStep } from '../../../src/engine/explore/result.ts';
import { stepText, timeline } from '../../../src/stress/timeline.ts';

const LOOK = { color: false, width: 100 } as Parameters<typeof timeline>[2];

function step(agent: number, field: string, value: number, line: number): TraceStep {
  const event = { cpu: agent, program: 'waitForTurn', operation: 'store32', field, nth: 1 };
  const place = `src/sync/qspinlock.ts:${line}`;
  const where = { hi: 0, lo: 0, bytes: 4, place };
  return { agent, kind: StepKind.Write, ...where, event, value, values: [] };
}

describe('a timeline', () => {
  it.each([2, 3, 4, 6])('of %i CPUs fits 100 columns, values and places too', (cpus) => {
    const trace = Array.from({ length: 30 }, (_, i) => step((i * 5) % cpus, 'lock0+2', 1 << i, i));
    const lines = timeline(trace, cpus, LOOK);
    expect(lines.length).toBe(31);
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(100);
    expect(lines[0]).toMatch(/^ step {2}CPU 0 +CPU 1 .*where$/);
    expect(lines[30]).toMatch(/store32 lock0\+2 = 0x20000000 +waitForTurn .*qspinlock\.ts:29$/);
  });

  it('cuts a name that is too long, never the value', () => {
    const trace = [step(0, 'a name that goes on and on '.repeat(5), 7, 1), step(1, 'b', 1, 2)];
    const [, first] = timeline(trace, 2, LOOK);
    expect(first!.length).toBeLessThanOrEqual(100);
    expect(first).toMatch(/store32 a name .*~ = 7 +waitForTurn qspinlock\.ts:1$/);
  });

  it('folds what repeats, and shows of long turns where they start and end', () => {
    const spin = Array.from({ length: 50 }, () => step(1, 'lock0', 1, 9));
    const folded = timeline([step(0, 'lock0', 1, 1), ...spin], 2, LOOK);
    expect(folded.map((line) => line.trim().split(/ {2,}/)[0])).toEqual([
      'step',
      '1',
      '2',
      '... 48 more like it',
      '51',
    ]);
    const turn = Array.from({ length: 200 }, (_, i) => step(0, 'lock0', i, i));
    const lines = timeline([...turn, step(1, 'lock0', 1, 9)], 2, LOOK);
    expect(lines.length).toBe(1 + 6 + 1 + 14 + 1);
  });

  it('tells a store that is in a buffer only', () => {
    const buffered = { ...step(0, 'lock0', 257, 1), kind: StepKind.Buffer };
    expect(stepText(buffered)).toBe('store32 lock0 = 0x101*');
    expect(timeline([buffered], 1, LOOK).at(-1)).toMatch(/^\* in the store buffer/);
  });
});
