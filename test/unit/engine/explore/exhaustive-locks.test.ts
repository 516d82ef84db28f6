/**
 * Exhaustive search over real locks. Correct ones lose nothing by store buffers: as many traces
 * under tso as under sc. Without a lock the search ends with a schedule that replays.
 */

import { describe, expect, it } from 'vitest';
import {
  type ExhaustiveResult,
  runExhaustive,
} from '../../../../src/engine/explore/exhaustive/run-exhaustive.ts';
import { traceSchedule } from '../../../../src/engine/explore/replay-schedule.ts';
import type { OpenTarget } from '../../../../src/stress/run-target.ts';
import { openLock } from '../../../support/open-lock.ts';

function explore(opened: OpenTarget): ExhaustiveResult {
  return runExhaustive(opened.explorer, { executionLimit: 5000 });
}

describe('locks, exhaustively', () => {
  it.each(['ticket', 'mcs', 'clh', 'qspinlock', 'qrwlock'])('%s', (name) => {
    for (const [cpus, operations] of [
      [2, 2],
      [3, 1],
    ] as const) {
      const sc = explore(openLock(name, 'sc', cpus, operations));
      const tso = explore(openLock(name, 'tso', cpus, operations));
      expect(sc.failure).toBeNull();
      expect(sc.search.outcome).toBe('complete');
      expect(sc.search.completed).toBeGreaterThan(cpus);
      expect(tso.failure).toBeNull();
      expect(tso.search.outcome).toBe('complete');
      // Its trylock may read the word before or after the CPU's own release has left the buffer.
      if (name === 'ticket' && cpus === 2) expect(tso.search.completed).toBe(165);
      else expect(tso.search.completed).toBe(sc.search.completed);
    }
  });

  it('a loop of atomics may go on for ever, and the bound is named', () => {
    const { search, failure } = explore(openLock('tas', 'tso', 2, 1));
    expect(failure).toBeNull();
    expect(search.outcome).toBe('steps');
    expect(search.completed).toBeGreaterThan(100);
  });

  it('no lock at all is found out, and the schedule replays', () => {
    const opened = openLock('none', 'sc', 2, 1);
    const { search, failure } = explore(opened);
    expect(search.outcome).toBe('failed');
    const again = traceSchedule(opened.explorer, failure!.agents, failure!.values);
    expect(again.finding).toEqual(failure!.finding);
  });
});
