/**
 * Coherence of the virtual engine under random programs, looked at from outside:
 * - at the end of every window a line has one owner and no other copy, or sharers only;
 * - with all accesses to a word put in order of the emulated time of their effect, every read sees
 *   the last write, and no write happens at the instant of another access (ER-T8, D4, D5);
 * - sums of atomic additions and counters behind locks are exact;
 * - after TLBI + DSB nobody reads the frame that was taken away.
 */

import { afterEach, describe, expect, it, vi } from 'vitest';
import { LineState } from '../../src/cache/line-state.ts';
import type { Cpu, Program } from '../../src/cpu/cpu.ts';
import { Order } from '../../src/cpu/operations.ts';
import { OrderWitness } from '../../src/engine/virtual/order-witness.ts';
import { Worker } from '../../src/engine/virtual/worker.ts';
import { type RandomCase, randomCase, stepsOf } from '../support/random-program.ts';
import { STEP_KINDS } from '../support/random-program-steps.ts';
import { linesOf, type Prepared, prepareHere } from '../support/virtual-inside.ts';

afterEach(() => {
  vi.restoreAllMocks();
});

/** Runs window by window; `look` sees the machine between two windows. */
function runWindows(prepared: Prepared, look: (worker: Worker) => void): Worker {
  const worker = new Worker(prepared.spec, 0);
  worker.start(prepared.program);
  const { gridPs } = prepared.spec.machine;
  for (let windows = 0; windows < 20_000; windows++) {
    const earliest = worker.earliest();
    if (earliest === Number.POSITIVE_INFINITY) return worker;
    worker.runWindow(Math.floor(earliest / gridPs), 0);
    look(worker);
  }
  throw new Error('the program does not end');
}

function expectOneOwner(worker: Worker, theCase: RandomCase): void {
  const holders = new Map<number, number[]>();
  for (const cpu of worker.cpus) {
    for (const [line, state] of linesOf(cpu)) {
      holders.set(line, [...(holders.get(line) ?? []), state]);
    }
  }
  for (const [line, states] of holders) {
    const owned = states.some((state) => state >= LineState.Exclusive);
    if (owned && states.length > 1) {
      const where = `seed ${theCase.seed}, line ${line.toString(16)}`;
      expect.fail(`${where}: an owner beside other copies (${states.join(', ')})`);
    }
  }
}

describe('at most one owner per line', () => {
  it('holds after every window of 60 random programs', () => {
    for (let seed = 1; seed <= 60; seed++) {
      const theCase = randomCase(seed, { steps: 12 });
      runWindows(prepareHere(theCase), (worker) => expectOneOwner(worker, theCase));
    }
  });

  it('can fail: two caches that both own a line are found', () => {
    const theCase = randomCase(1, { steps: 1, only: ['think'] });
    const worker = runWindows(prepareHere(theCase), () => {});
    const [a, b] = worker.cpus as unknown as { l2: { fill: (...x: number[]) => void } }[];
    for (const cpu of [a!, b!]) cpu.l2.fill(0, 0x7f000, LineState.Modified);
    expect(() => expectOneOwner(worker, theCase)).toThrow('an owner beside other copies');
  });
});

interface Access {
  readonly cpu: number;
  readonly word: number;
  readonly at: number;
  readonly write: boolean;
  readonly value: number;
}

/** Loads, stores and swaps of values that no other access writes. */
function* uniqueValues(
  cpu: Cpu,
  words: readonly { hi: number; lo: number }[],
  log: Access[],
  lastAt: () => number,
): Program {
  for (let i = 0; i < 60; i++) {
    const word = cpu.random(0) % words.length;
    const { hi, lo } = words[word]!;
    const value = (cpu.id << 16) | (i + 1);
    const kind = cpu.random(0) % 4;
    if (kind <= 1) {
      while (!cpu.load32(hi, lo, Order.Relaxed)) yield;
      log.push({ cpu: cpu.id, word, at: lastAt(), write: false, value: cpu.lo });
    } else if (kind === 2) {
      while (!cpu.store32(hi, lo, value, Order.Relaxed)) yield;
      log.push({ cpu: cpu.id, word, at: lastAt(), write: true, value });
    } else {
      while (!cpu.swap32(hi, lo, value, Order.Relaxed)) yield;
      log.push({ cpu: cpu.id, word, at: lastAt(), write: false, value: cpu.lo });
      log.push({ cpu: cpu.id, word, at: lastAt(), write: true, value });
    }
    cpu.compute(cpu.random(0) % 3 === 0 ? 0 : cpu.random(0) % 30_000);
  }
}

function expectLastWriteSeen(log: readonly Access[], where: string): void {
  const words = new Set(log.map(({ word }) => word));
  for (const word of words) {
    // A swap reads before it writes: the log keeps that order at one instant.
    const accesses = log.filter((access) => access.word === word).toSorted((a, b) => a.at - b.at);
    let last = 0;
    let writtenAt = -1;
    for (const [i, { at, write, value, cpu }] of accesses.entries()) {
      const before = accesses[i - 1];
      const ofSwap = before?.cpu === cpu && before.at === at;
      if (i > 0 && !ofSwap) {
        const tied = at === writtenAt || (write && at === before!.at);
        expect(tied, `${where}: a write at the instant of another access, ${at} ps`).toBe(false);
      }
      if (write) {
        last = value;
        writtenAt = at;
      } else {
        expect(value, `${where}: CPU ${cpu} reads word ${word} at ${at} ps`).toBe(last);
      }
    }
  }
}

describe('data seen is the last write', () => {
  it('for 40 machines, words on shared lines, unique values', () => {
    // The witness hears the emulated time at which each access takes effect.
    let heard = 0;
    const original = OrderWitness.prototype.access;
    vi.spyOn(OrderWitness.prototype, 'access').mockImplementation(function (
      this: OrderWitness,
      cpu,
      hi,
      lo,
      write,
      at,
    ) {
      heard = at;
      original.call(this, cpu, hi, lo, write, at);
    });
    for (let seed = 1; seed <= 40; seed++) {
      const prepared = prepareHere(randomCase(seed, { steps: 0 }), { witness: true });
      const log: Access[] = [];
      const words = prepared.image.words.slice(0, 3);
      const more = words.map(({ hi, lo }) => ({ hi, lo: lo + 4 }));
      const program = (cpu: Cpu) => uniqueValues(cpu, [...words, ...more], log, () => heard);
      runWindows({ ...prepared, program }, () => {});
      expect(log.length).toBeGreaterThan(100);
      expectLastWriteSeen(log, `seed ${seed}`);
    }
  });

  it('can fail: a stale value and a tie are found', () => {
    const write = { cpu: 0, word: 0, at: 10, write: true, value: 1 };
    const stale = { cpu: 1, word: 0, at: 11, write: false, value: 0 };
    expect(() => expectLastWriteSeen([write, stale], '')).toThrow('reads word 0');
    const tied = { cpu: 1, word: 0, at: 10, write: false, value: 1 };
    expect(() => expectLastWriteSeen([write, tied], '')).toThrow('instant');
  });
});

describe('sums are exact', () => {
  it('counters behind ticket and MCS locks count every acquisition', () => {
    for (let seed = 1; seed <= 30; seed++) {
      const theCase = randomCase(seed, { steps: 15, only: ['locked', 'think', 'ipi', 'storm'] });
      const prepared = prepareHere(theCase);
      runWindows(prepared, () => {});
      const acquisitions = prepared.spec.activeCpus
        .flatMap((cpu) => stepsOf(theCase, cpu))
        .filter(({ kind }) => kind === 'locked').length;
      const sum = prepared.image.counters.reduce((total, at) => total + prepared.peek(at), 0);
      expect(sum, `seed ${seed}`).toBe(acquisitions);
      expect(prepared.peek(prepared.image.doneCount)).toBe(prepared.spec.activeCpus.length);
    }
  });
});

describe('no translation survives TLBI and DSB', () => {
  it('pages remapped under readers, waiters, handlers and walks; the old frame is poisoned', () => {
    // Steps that read the window assert what they see.
    const only = STEP_KINDS.filter((kind) =>
      ['readWindow', 'remap', 'protect', 'ipi', 'think', 'maintain'].includes(kind),
    );
    for (let seed = 1; seed <= 60; seed++) {
      const theCase = randomCase(seed, { steps: 20, only });
      runWindows(prepareHere(theCase, { translations: true }), () => {});
    }
  });
});
