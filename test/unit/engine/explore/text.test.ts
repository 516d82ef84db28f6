/**
 * Promise: a CPU may execute an old instruction until data is cleaned, the instruction side
 * invalidated and the CPU synchronised, each only where the machine needs it, and not after: in 300
 * random schedules each.
 */

import { describe, expect, it } from 'vitest';
import type { Cpu, Program } from '../../../../src/cpu/cpu.ts';
import { Condition, EventKind, Fence, Order, Scope, Tlbi } from '../../../../src/cpu/operations.ts';
import { observe } from '../../../../src/stress/oracles/all.ts';
import {
  type OpenPrograms,
  openPrograms,
  runRandom,
  type Words,
} from '../../../support/explore-programs.ts';

const { Relaxed, Release, Acquire } = Order;
type Part = 'clean' | 'dsb' | 'invalidate' | 'finish' | 'isb';
const ALL: readonly Part[] = ['clean', 'dsb', 'invalidate', 'finish', 'isb'];
const NEW = 0x14000001;

/** CPU 0 patches and says so, CPU 1 has executed before, hears of it and executes again. */
function open(parts: readonly Part[], dic: boolean, idc: boolean): OpenPrograms {
  const has = (part: Part): boolean => parts.includes(part);
  function* patch(cpu: Cpu, words: Words): Program {
    const [text, flag] = [words['text']!, words['flag']!];
    while (!cpu.store32(text.hi, text.lo, NEW, Relaxed)) yield;
    if (has('clean')) while (!cpu.cleanLineToPou(text.hi, text.lo)) yield;
    if (has('dsb')) while (!cpu.dsb(Scope.InnerShareable)) yield;
    if (has('invalidate')) while (!cpu.tlbi(Tlbi.IcIvau, text.hi, text.lo, 0)) yield;
    if (has('finish')) while (!cpu.dsb(Scope.InnerShareable)) yield;
    while (!cpu.store32(flag.hi, flag.lo, 1, Release)) yield;
  }
  function* execute(cpu: Cpu, words: Words): Program {
    const [text, flag, seen] = [words['text']!, words['flag']!, words['seen']!];
    while (!cpu.fetch(text.hi, text.lo)) yield;
    while (!cpu.cond32(flag.hi, flag.lo, Condition.Equal, -1, 1, Acquire)) yield;
    if (has('isb')) while (!cpu.fence(Fence.Isb)) yield;
    cpu.event(EventKind.TextPatched, text.hi, text.lo);
    while (!cpu.fetch(text.hi, text.lo)) yield;
    const word = cpu.lo;
    while (!cpu.store32(seen.hi, seen.lo, word, Relaxed)) yield;
  }
  const features = { dic, idc };
  return openPrograms([patch, execute], { words: ['flag', 'seen'], text: ['text'], features });
}

/** Does some schedule execute the old instruction at the end? */
function mayBeOld(parts: readonly Part[], dic: boolean, idc: boolean): boolean {
  const opened = open(parts, dic, idc);
  const seen = new Set<number>();
  runRandom(opened, 300, ({ outcome }) => {
    expect(outcome).toBe('passed');
    seen.add(opened.value('seen'));
  });
  expect(seen.has(NEW)).toBe(true);
  return seen.has(0);
}

function without(part: Part): readonly Part[] {
  return ALL.filter((other) => other !== part);
}

describe('an old instruction', () => {
  it('is never executed after all that Arm asks for', () => {
    for (const dic of [false, true]) {
      for (const idc of [false, true]) expect(mayBeOld(ALL, dic, idc)).toBe(false);
    }
  });

  it('may be executed if any of it is missing', () => {
    for (const part of ALL) expect(mayBeOld(without(part), false, false), part).toBe(true);
    expect(mayBeOld([], false, false)).toBe(true);
  });

  it('needs no clean with IDC, no invalidation with DIC, always the ISB', () => {
    expect(mayBeOld(without('clean'), false, true)).toBe(false);
    expect(mayBeOld(without('dsb'), false, true)).toBe(false);
    expect(mayBeOld(without('invalidate'), false, true)).toBe(true);
    expect(mayBeOld(['isb'], true, true)).toBe(false);
    expect(mayBeOld(['isb'], true, false)).toBe(true);
    expect(mayBeOld(without('isb'), true, true)).toBe(true);
  });
});

describe('the oracle of stale text', () => {
  function findings(parts: readonly Part[]): Set<string> {
    const opened = open(parts, false, false);
    const { explorer } = opened;
    explorer.observer = observe({
      cpuCount: 2,
      isBlocked: () => false,
      interrupts: () => true,
      newestText: (hi, lo) => explorer.newestText(hi, lo),
      fail: ({ oracle, cpus, text }) =>
        explorer.fail({ oracle, text, cpus } as Parameters<typeof explorer.fail>[0]),
      reach: () => {},
    });
    const found = new Set<string>();
    runRandom(opened, 300, ({ finding }) => {
      if (finding !== null) found.add(finding.oracle);
    });
    return found;
  }

  it('hears a missing ISB, DC CVAU or IC IVAU', () => {
    for (const part of ALL) expect([...findings(without(part))], part).toEqual(['stale-text']);
  });

  it('is silent when nothing is missing', () => {
    expect([...findings(ALL)]).toEqual([]);
  });
});

describe('memory that nobody declared as text', () => {
  it('is executed as it is', () => {
    const opened = openPrograms([
      function* program(cpu, words): Program {
        const [x, y] = [words['x']!, words['y']!];
        while (!cpu.store32(x.hi, x.lo, 7, Relaxed)) yield;
        while (!cpu.fetch(x.hi, x.lo)) yield;
        const word = cpu.lo;
        while (!cpu.store32(y.hi, y.lo, word, Relaxed)) yield;
      },
    ]);
    runRandom(opened, 20, () => expect(opened.value('y')).toBe(7));
  });
});
