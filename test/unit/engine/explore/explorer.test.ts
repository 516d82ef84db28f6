/**
 * Promise: one scheduling point per shared operation, every interleaving can come, the same choices
 * give the same result; whoever waits is disabled; who can't go on is told with the reason.
 */

import { describe, expect, it } from 'vitest';
import type { Cpu, Program } from '../../../../src/cpu/cpu.ts';
import { Condition, EventKind, Order } from '../../../../src/cpu/operations.ts';
import { runSchedule } from '../../../../src/engine/explore/run-schedule.ts';
import { RandomWalk } from '../../../../src/engine/explore/strategies/random.ts';
import { scheduleDigest } from '../../../support/explore-digest.ts';
import {
  firstFailure,
  type OpenPrograms,
  openPrograms,
  runRandom,
  type Words,
} from '../../../support/explore-programs.ts';

function* increment(cpu: Cpu, { x }: Words): Program {
  while (!cpu.load32(x!.hi, x!.lo, Order.Relaxed)) yield;
  const next = cpu.lo + 1;
  while (!cpu.store32(x!.hi, x!.lo, next, Order.Relaxed)) yield;
}

function* awaitWord(cpu: Cpu, { hi, lo }: { hi: number; lo: number }, value: number): Program {
  while (!cpu.cond32(hi, lo, Condition.Equal, -1, value, Order.Acquire)) yield;
}

describe('a schedule', () => {
  it('takes one step per operation', () => {
    const open = openPrograms([increment, increment]);
    runRandom(open, 20, ({ steps, outcome }) => {
      expect(steps).toBe(4);
      expect(outcome).toBe('passed');
    });
  });

  it('loses an update in some schedules and keeps it in others', () => {
    const open = openPrograms([increment, increment]);
    const seen = new Set<number>();
    runRandom(open, 50, () => seen.add(open.value('x')));
    expect([...seen].sort()).toEqual([1, 2]);
  });

  it('is the same for the same seed and number, whatever ran before', () => {
    const digestsOf = (open: OpenPrograms, schedules: readonly number[]): Map<number, string> => {
      const strategy = new RandomWalk(9);
      return new Map(
        schedules.map((i) => {
          runSchedule(open.explorer, strategy, i);
          return [i, scheduleDigest(open.explorer)];
        }),
      );
    };
    const some = [increment, increment, increment];
    const forward = digestsOf(openPrograms(some), [0, 1, 2, 3, 4, 5]);
    const backward = digestsOf(openPrograms(some), [5, 4, 3, 2, 1, 0]);
    for (const [i, digest] of forward) expect(backward.get(i)).toBe(digest);
    expect(new Set(forward.values()).size).toBeGreaterThan(1);
  });

  it('calls programs that are yielded, and returns', () => {
    const open = openPrograms([
      function* (cpu, words) {
        yield increment(cpu, words);
        yield* increment(cpu, words);
      },
    ]);
    runRandom(open, 1, () => expect(open.value('x')).toBe(2));
  });
});

describe('waiting', () => {
  it('disables a program until its condition holds', () => {
    const open = openPrograms([
      (cpu, { x }) => awaitWord(cpu, x!, 1),
      function* (cpu, { x, y }) {
        for (let i = 0; i < 10; i++) while (!cpu.load32(y!.hi, y!.lo, Order.Relaxed)) yield;
        while (!cpu.store32(x!.hi, x!.lo, 1, Order.Release)) yield;
      },
    ]);
    runRandom(open, 20, ({ outcome, steps }) => {
      expect(outcome).toBe('passed');
      expect(steps).toBe(12);
    });
  });

  it('takes both ways of a deadline', () => {
    const open = openPrograms([
      function* (cpu, { x, y }) {
        const deadline = cpu.deadline(1_000);
        const { hi, lo } = x!;
        const order = Order.Relaxed;
        while (!cpu.cond32Until(hi, lo, Condition.Equal, -1, 1, deadline, order)) yield;
        if (!cpu.ok) expect(cpu.expired(deadline)).toBe(true);
        const held = cpu.ok ? 1 : 2;
        while (!cpu.store32(y!.hi, y!.lo, held, Order.Relaxed)) yield;
      },
      function* (cpu, { x }) {
        while (!cpu.store32(x!.hi, x!.lo, 1, Order.Relaxed)) yield;
      },
    ]);
    const seen = new Set<number>();
    runRandom(open, 100, () => seen.add(open.value('y')));
    expect([...seen].sort()).toEqual([1, 2]);
  });

  it('idles until a wake that may have come before', () => {
    const open = openPrograms([
      function* (cpu) {
        while (!cpu.idle()) yield;
      },
      function* (cpu) {
        while (!cpu.wake(0)) yield;
      },
    ]);
    runRandom(open, 20, ({ outcome }) => expect(outcome).toBe('passed'));
  });

  it('takes interrupts where they are enabled, and goes on after them', () => {
    const open = openPrograms([
      function* (cpu, words) {
        cpu.setInterrupt(3, (self) => increment(self, words));
        cpu.interrupts(false);
        yield* increment(cpu, words);
        cpu.interrupts(true);
        yield* awaitWord(cpu, words['x']!, 2);
      },
      function* (cpu) {
        while (!cpu.ipi(0, 3)) yield;
      },
    ]);
    runRandom(open, 50, ({ outcome }) => {
      expect(outcome).toBe('passed');
      expect(open.value('x')).toBe(2);
    });
  });
});

describe('nobody can go on', () => {
  function* takeBoth(cpu: Cpu, first: string, second: string, words: Words): Program {
    for (const name of [first, second]) {
      const { hi, lo } = words[name]!;
      do {
        while (!cpu.cond32(hi, lo, Condition.Equal, -1, 0, Order.Relaxed)) yield;
        while (!cpu.cas32(hi, lo, 0, 1, Order.Acquire)) yield;
      } while (!cpu.ok);
      cpu.event(EventKind.LockAcquired, hi, lo);
    }
    for (const name of [first, second]) {
      const { hi, lo } = words[name]!;
      cpu.event(EventKind.LockReleased, hi, lo);
      while (!cpu.store32(hi, lo, 0, Order.Release)) yield;
    }
  }

  it('is a deadlock with its cycle', () => {
    const open = openPrograms([
      (cpu, words) => takeBoth(cpu, 'x', 'y', words),
      (cpu, words) => takeBoth(cpu, 'y', 'x', words),
    ]);
    const { finding } = firstFailure(open, 200)!;
    expect(finding!.oracle).toBe('deadlock');
    expect(finding!.text).toBe(
      'nobody can go on: CPU 0 waits for y to be 0, it is 1 (y is held by CPU 1) and holds x; ' +
        'CPU 1 waits for x to be 0, it is 1 (x is held by CPU 0) and holds y; ' +
        'cycle: CPU 0 -> CPU 1 -> CPU 0',
    );
  });

  it('is a livelock if steps go on and nothing gets done', () => {
    const open = openPrograms([
      function* (cpu, { x }) {
        do while (!cpu.load32(x!.hi, x!.lo, Order.Relaxed)) yield;
        while (cpu.lo === 0);
      },
    ]);
    const { finding } = firstFailure(open, 1)!;
    expect(finding!.oracle).toBe('livelock');
  });

  it('is no finding while marks are made', () => {
    const open = openPrograms([
      function* (cpu, { x }) {
        for (;;) {
          while (!cpu.load32(x!.hi, x!.lo, Order.Relaxed)) yield;
          cpu.mark();
        }
      },
    ]);
    expect(firstFailure(open, 1)!.outcome).toBe('step-limit');
  });
});

describe('a program that breaks the rules', () => {
  const findingOf = (program: (cpu: Cpu, words: Words) => Program): string => {
    const { finding } = firstFailure(openPrograms([program]), 1)!;
    expect(finding!.cpus).toEqual([0]);
    return `${finding!.oracle}: ${finding!.text}`;
  };

  it('throws', () => {
    const text = findingOf(function* (cpu, { x }) {
      while (!cpu.load32(x!.hi, x!.lo, Order.Relaxed)) yield;
      throw new TypeError('no such thing');
    });
    expect(text).toBe(
      'program: the program of CPU 0 throws after load32: TypeError: no such thing',
    );
  });

  it('yields something else', () => {
    const text = findingOf(function* () {
      yield 7 as unknown as undefined;
    });
    expect(text).toBe(
      'program: the program of CPU 0 yields number 7: a program yields nothing or a generator',
    );
  });

  it('yields an object that is no generator', () => {
    const text = findingOf(function* () {
      yield { next: () => ({ done: true }) } as unknown as Program;
    });
    expect(text).toBe(
      'program: the program of CPU 0 yields an object: a program yields nothing or a generator',
    );
  });

  it('changes an attempt after a refusal', () => {
    const text = findingOf(function* (cpu, { x }) {
      let value = 1;
      while (!cpu.store32(x!.hi, x!.lo, value++, Order.Relaxed)) yield;
    });
    expect(text).toContain('changes the operands of store32 after a refusal');
  });

  it('makes another one', () => {
    const text = findingOf(function* (cpu, { x }) {
      if (!cpu.load32(x!.hi, x!.lo, Order.Relaxed)) yield;
      while (!cpu.swap32(x!.hi, x!.lo, 1, Order.Relaxed)) yield;
      if (!cpu.load32(x!.hi, x!.lo, Order.Relaxed)) yield;
      while (!cpu.add32(x!.hi, x!.lo, 1, Order.Relaxed)) yield;
    });
    expect(text).toContain('makes swap32 of load32 after a refusal');
  });

  it('repeats one without yielding', () => {
    const text = findingOf(function* (cpu, { x }) {
      while (!cpu.load32(x!.hi, x!.lo, Order.Relaxed));
      yield;
    });
    expect(text).toContain('repeats load32 without yielding');
  });

  it('ends with a refused attempt', () => {
    const text = findingOf(function* (cpu, { x }) {
      cpu.load32(x!.hi, x!.lo, Order.Relaxed);
      if (x === undefined) yield;
    });
    expect(text).toContain('ends with a refused attempt');
  });

  it('accesses a misaligned word', () => {
    const text = findingOf(function* (cpu, { x }) {
      while (!cpu.load32(x!.hi, x!.lo + 2, Order.Relaxed)) yield;
    });
    expect(text).toContain('misaligned load32');
  });
});
