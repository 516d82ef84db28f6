/**
 * Promise: a lock from a user's file runs as one of the house does, and each way to break the
 * contract is one line that names the file and the export.
 */

import { describe, expect, it } from 'vitest';
import { UserError } from '../../../src/base/errors.ts';
import type { Program } from '../../../src/cpu/cpu.ts';
import { Order } from '../../../src/cpu/operations.ts';
import { TrialCpu } from '../../../src/run/user-lock-trial.ts';
import type { UserCpu } from '../../../src/sync/user-cpu.ts';
import { userLockOf } from '../../../src/sync/user-lock.ts';

type Acquire = (cpu: UserCpu, hi: number, lo: number) => unknown;

const GOOD = {
  name: 'mine',
  wordBytes: 4,
  *acquire(cpu: UserCpu, hi: number, lo: number): Program {
    while (!cpu.swap32(hi, lo, 1, cpu.api.Order.Acquire)) yield;
  },
  *release(cpu: UserCpu, hi: number, lo: number): Program {
    while (!cpu.store32(hi, lo, 0, cpu.api.Order.Release)) yield;
  },
};

function runAll(program: Program): void {
  const stack = [program];
  while (stack.length > 0) {
    const { done, value } = stack.at(-1)!.next();
    if (done === true) stack.pop();
    else if (value !== undefined) stack.push(value);
  }
}

function acquireWith(acquire: Acquire): () => void {
  const lock = userLockOf('./my.mjs', { ...GOOD, acquire });
  return () => runAll(lock.acquire(new TrialCpu().asCpu(), 0, 0x1000));
}

describe('a lock from a file', () => {
  it('is taken and released', () => {
    const lock = userLockOf('./my.mjs', GOOD);
    const cpu = new TrialCpu();
    runAll(lock.acquire(cpu.asCpu(), 0, 0x1000));
    while (!cpu.load32(0, 0x1000));
    expect(cpu.lo).toBe(1);
    runAll(lock.release(cpu.asCpu(), 0, 0x1000));
    while (!cpu.load32(0, 0x1000));
    expect(cpu.lo).toBe(0);
    expect([lock.name, lock.bytes]).toEqual(['mine', 4]);
  });

  it('may call programs of its own and write its queue nodes', () => {
    function* node(cpu: UserCpu): Program {
      while (!cpu.store32(cpu.nodeHi(0), cpu.nodeLo(0) + 508, 1, Order.Relaxed)) yield;
    }
    expect(
      acquireWith(function* acquire(cpu) {
        yield node(cpu);
        yield* node(cpu);
      }),
    ).not.toThrow();
  });

  it.each<[object, RegExp]>([
    [{ name: undefined }, /name is undefined/],
    [{ name: 'a b' }, /name is 'a b'/],
    [{ wordBytes: 6 }, /wordBytes is 6; export a multiple of 4/],
    [{ wordBytes: '4' }, /wordBytes is '4'/],
    [{ release: {} }, /release is an object; export function\* release/],
  ])('exports %o: refused', (more, message) => {
    expect(() => userLockOf('./my.mjs', { ...GOOD, ...more })).toThrow(message);
    expect(() => userLockOf('./my.mjs', { ...GOOD, ...more })).toThrow(/^\.\/my\.mjs: /);
  });

  it('without an export is refused', () => {
    expect(() => userLockOf('./my.mjs', { name: 'x' })).toThrow('./my.mjs: exports no wordBytes');
  });
});

const MISUSES: readonly (readonly [string, Acquire, RegExp])[] = [
  ['no generator', () => 3, /returned 3 instead of a generator/],
  ['a promise', async () => {}, /returned a promise/],
  [
    'throws',
    function* acquire() {
      yield* [];
      throw new TypeError('oops\nmore');
    },
    /threw TypeError: oops$/,
  ],
  [
    'no yield',
    function* acquire(cpu, hi, lo) {
      while (!cpu.swap32(hi, lo, 1, Order.Acquire));
      yield;
    },
    /repeats swap32 without yielding/,
  ],
  [
    'never yields',
    function* acquire(cpu) {
      while (cpu.expired(0));
      yield;
    },
    /never yields: 100000 calls/,
  ],
  [
    'yields a number',
    function* acquire() {
      yield 7;
    },
    /yields 7; yield nothing, or a generator/,
  ],
  [
    'yields for ever',
    function* acquire() {
      for (;;) yield;
    },
    /yields for ever without an attempt/,
  ],
  [
    'another operand',
    function* acquire(cpu, hi, lo) {
      for (let i = 0; !cpu.swap32(hi, lo, i, Order.Acquire); i++) yield;
    },
    /changes an attempt after a refusal: swap32\(0, 4096, 0, 1\)/,
  ],
  [
    'another operation',
    function* acquire(cpu, hi, lo) {
      cpu.load32(hi, lo, Order.Relaxed);
      yield;
      cpu.fence(0);
    },
    /then came fence\(0\)/,
  ],
  [
    'leaves an attempt',
    function* acquire(cpu, hi, lo) {
      yield* [];
      cpu.load32(hi, lo, Order.Relaxed);
    },
    /returns although load32 was refused/,
  ],
  [
    'writes elsewhere',
    function* acquire(cpu, hi, lo) {
      while (!cpu.store32(hi, lo + 4, 1, Order.Relaxed)) yield;
    },
    /writes with store32 to 0x0_00001004, which it does not own/,
  ],
  [
    'an operand that is none',
    function* acquire(cpu, hi, lo) {
      while (!cpu.swap32(hi, lo, Number.NaN, Order.Relaxed)) yield;
    },
    /calls swap32\(0, 4096, NaN, 0\): each operand is a whole number/,
  ],
];

describe('misuse', () => {
  it.each(MISUSES)('%s', (_what, acquire, message) => {
    expect(acquireWith(acquire)).toThrow(UserError);
    expect(acquireWith(acquire)).toThrow(message);
    expect(acquireWith(acquire)).toThrow(/^\.\/my\.mjs: acquire /);
  });
});
