/**
 * Promises: frames are conserved (none handed out twice, none freed twice), and no table page is
 * read after its grace period (I3): neither freed under an open read-side section, nor read while
 * it is free.
 */

import { describe, expect, it } from 'vitest';
import { Access } from '../../../src/checkers/table-reads.ts';
import { EventKind } from '../../../src/cpu/operations.ts';
import { judged, logsOf, type Read, type Step } from './synthetic-log.ts';

const {
  FrameAllocated,
  FrameFreed,
  RcuReadLock,
  RcuReadUnlock,
  TablePageAllocated,
  TablePageFreed,
  TablePageUnlinked,
} = EventKind;
const PAGE = 0x5000;

/** Steps about physical pages. */
function physical(...steps: [ns: number, cpu: number, kind: EventKind, lo: number][]): Step[] {
  return steps.map(([ns, cpu, kind, lo]) => [ns, cpu, kind, lo, 0]);
}

const frames = (...steps: Parameters<typeof physical>) =>
  judged(logsOf(physical(...steps))).violations('frames');

describe('frames', () => {
  it('are silent when handed out and given back, whole blocks too, on any CPU', () => {
    const verdict = judged(
      logsOf(
        physical(
          [1, 0, FrameAllocated, PAGE],
          [2, 1, FrameFreed, PAGE],
          [3, 1, FrameAllocated, PAGE],
          [4, 0, FrameAllocated, 0x200000 | 9],
          [5, 1, FrameFreed, 0x200000 | 9],
          [6, 1, FrameAllocated, 0x201000],
        ),
      ),
    );
    expect(verdict.violations('frames')).toEqual([]);
    expect(verdict.summary('frames')).toBe(
      '4 frames handed out, 2 given back, none twice; 2 pages more are in use than at the start',
    );
  });

  it('may be freed once if boot code had handed them out', () => {
    expect(frames([1, 0, FrameFreed, PAGE])).toEqual([]);
    expect(frames([1, 0, FrameFreed, PAGE], [2, 1, FrameFreed, PAGE])).toEqual([
      'CPU 1 at 2 ns: frees a frame that is free already (physical 0x5000; with CPU 0)',
    ]);
  });

  it('are caught when handed out twice, or freed twice', () => {
    expect(frames([1, 0, FrameAllocated, PAGE], [2, 1, FrameAllocated, PAGE])[0]).toMatch(
      /^CPU 1 at 2 ns: is handed a frame that is in use .*with CPU 0\)$/,
    );
    expect(
      frames([1, 0, FrameAllocated, PAGE], [2, 0, FrameFreed, PAGE], [3, 0, FrameFreed, PAGE]),
    ).toHaveLength(1);
  });

  it('are caught when a block and a page of it are in use, in either order', () => {
    const block = 0x200000 | 9;
    const page = 0x203000;
    expect(frames([1, 0, FrameAllocated, block], [2, 1, FrameAllocated, page])).toHaveLength(1);
    expect(frames([1, 0, FrameAllocated, page], [2, 1, FrameAllocated, block])).toHaveLength(1);
  });

  it('are caught when they come back in another size', () => {
    const [text] = frames([1, 0, FrameAllocated, 0x200000 | 9], [2, 0, FrameFreed, 0x200000]);
    expect(text).toContain('frees 2^0 pages of a block of 2^9');
  });
});

describe('table pages', () => {
  const life = physical(
    [1, 0, TablePageAllocated, PAGE],
    [5, 0, TablePageUnlinked, PAGE],
    [9, 0, TablePageFreed, PAGE],
    [20, 0, FrameAllocated, PAGE],
  );
  const read = (firstNs: number, lastNs = firstNs, access: number = Access.Walk): Read => ({
    cpu: 1,
    access,
    lo: PAGE,
    firstNs,
    lastNs,
  });
  const tables = (steps: Step[], reads: Read[] = []) =>
    judged(logsOf(steps, reads)).violations('table-pages');

  it('may be read until they are freed, and when they are handed out again', () => {
    expect(tables(life, [read(2, 8), read(21, 30), read(6, 25)])).toEqual([]);
  });

  it('are caught when read while free', () => {
    expect(tables(life, [read(2, 10)])).toEqual([
      'CPU 1 at 10 ns: walks through a table page that was freed (physical 0x5000; with CPU 0)',
    ]);
    expect(tables(life, [read(12, 30, Access.Write)])[0]).toContain('writes to a table page');
  });

  it('are caught when freed twice', () => {
    const again = physical([10, 1, TablePageFreed, PAGE]);
    expect(tables([...life.slice(0, 3), ...again])[0]).toContain('frees a table page twice');
  });

  const section = (from: number, to: number): Step[] => [
    [from, 1, RcuReadLock],
    [to, 1, RcuReadUnlock],
  ];

  it('are freed after the sections that were open when they were unlinked', () => {
    expect(tables([...life, ...section(4, 8)])).toEqual([]);
    expect(tables([...life, ...section(6, 30)])).toEqual([]);
    expect(tables([...life, ...section(4, 10)])[0]).toMatch(
      /^CPU 0 at 9 ns: frees a table page before the grace period is over: .* open since 4 ns/,
    );
  });

  it('need no grace period if they were not unlinked by RCU', () => {
    const atOnce = physical([1, 0, TablePageAllocated, PAGE], [9, 0, TablePageFreed, PAGE]);
    expect(tables([...atOnce, ...section(4, 10)])).toEqual([]);
  });
});
