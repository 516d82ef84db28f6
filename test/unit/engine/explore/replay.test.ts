/**
 * Promise: a failure replays exactly, step by step with its source lines; its choice log names
 * events and not positions, so that an access added elsewhere changes nothing; what can't be
 * matched ends the replay.
 */

import { describe, expect, it } from 'vitest';
import type { Cpu, Program } from '../../../../src/cpu/cpu.ts';
import { Condition, Order } from '../../../../src/cpu/operations.ts';
import type { MemoryModel } from '../../../../src/engine/explore/execution.ts';
import { replayLog, traceSchedule } from '../../../../src/engine/explore/replay-schedule.ts';
import {
  firstFailure,
  type OpenPrograms,
  openPrograms,
  type Words,
} from '../../../support/explore-programs.ts';

interface Variant {
  /** An access to another word before the load. */
  readonly extra?: boolean;
  /** The store goes by an atomic. */
  readonly swapped?: boolean;
  readonly model?: MemoryModel;
}

function* increment(cpu: Cpu, { x, y }: Words, { extra, swapped }: Variant): Program {
  if (extra === true) while (!cpu.load32(y!.hi, y!.lo, Order.Relaxed)) yield;
  while (!cpu.load32(x!.hi, x!.lo, Order.Relaxed)) yield;
  const next = cpu.lo + 1;
  if (swapped === true) while (!cpu.swap32(x!.hi, x!.lo, next, Order.Relaxed)) yield;
  else while (!cpu.store32(x!.hi, x!.lo, next, Order.Relaxed)) yield;
}

/** Two increments of each CPU; the last CPU waits for all and fails if one is lost. */
function open(variant: Variant = {}): OpenPrograms {
  const twice = function* (cpu: Cpu, words: Words): Program {
    const { hi, lo } = words['z']!;
    yield* increment(cpu, words, variant);
    yield increment(cpu, words, variant);
    while (!cpu.add32(hi, lo, 1, Order.Release)) yield;
  };
  return openPrograms(
    [
      twice,
      twice,
      function* (cpu, { x, z }) {
        while (!cpu.cond32(z!.hi, z!.lo, Condition.Equal, -1, 2, Order.Acquire)) yield;
        while (!cpu.load32(x!.hi, x!.lo, Order.Relaxed)) yield;
        if (cpu.lo !== 4) throw new Error(`lost ${4 - cpu.lo}`);
      },
    ],
    { model: variant.model ?? 'sc' },
  );
}

describe.each(['sc', 'tso'] as const)('a replay under %s', (model) => {
  it('is exact, and says what each step was', () => {
    const programs = open({ model });
    const failed = firstFailure(programs, 200)!;
    const traced = traceSchedule(programs.explorer, failed.agents, failed.values);
    expect(traced.finding).toEqual(failed.finding);
    expect(traced.trace.map(({ agent }) => agent)).toEqual([...failed.agents]);
    const [first] = traced.trace;
    expect(first!.event).toMatchObject({ program: 'increment', operation: 'load32', field: 'x' });
    expect(first!.place).toMatch(/^test\/unit\/engine\/explore\/replay\.test\.ts:\d+$/);
    expect(traced.trace.at(-1)!.event).toMatchObject({ cpu: 2, operation: 'load32', nth: 1 });
    const again = replayLog(open({ model }).explorer, traced.log);
    expect(again.finding).toEqual(failed.finding);
    expect([...again.agents]).toEqual([...failed.agents]);
  });

  it('survives an access added elsewhere', () => {
    const programs = open({ model });
    const failed = firstFailure(programs, 200)!;
    const { log } = traceSchedule(programs.explorer, failed.agents, failed.values);
    const again = replayLog(open({ model, extra: true }).explorer, log);
    expect(again.outcome).toBe('failed');
    expect(again.finding!.text).toBe(failed.finding!.text);
    expect(again.steps).toBe(failed.steps + 4);
  });

  it('ends where an event is no more', () => {
    const programs = open({ model });
    const failed = firstFailure(programs, 200)!;
    const { log } = traceSchedule(programs.explorer, failed.agents, failed.values);
    const again = replayLog(open({ model, swapped: true }).explorer, log);
    expect(again.outcome).toBe('diverged');
    expect(again.finding).toBeNull();
    expect(again.divergedAt).toMatch(/^CPU \d \w+: \w+ x \(no\. \d\), segment \d+ of \d+: /);
  });
});

describe('a choice of a value', () => {
  it('is replayed from the log', () => {
    const program = function* (cpu: Cpu, { x }: Words): Program {
      const deadline = cpu.deadline(5);
      let rounds = 0;
      while (!cpu.expired(deadline)) {
        while (!cpu.load32(x!.hi, x!.lo, Order.Relaxed)) yield;
        rounds++;
      }
      if (rounds > 3) throw new Error(`${rounds} rounds`);
    };
    const programs = openPrograms([program]);
    const failed = firstFailure(programs, 100)!;
    const traced = traceSchedule(programs.explorer, failed.agents, failed.values);
    const again = replayLog(openPrograms([program]).explorer, traced.log);
    expect(again.finding).toEqual(failed.finding);
  });
});
