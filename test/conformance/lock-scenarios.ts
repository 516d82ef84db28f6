/**
 * Programs that go wrong visibly if a lock is wrong. Each checks itself through words of emulated
 * memory: the sum of violations is words[Word.Violations], and must stay 0.
 */

import type { Cpu, Program } from '../../src/cpu/cpu.ts';
import { Condition, Order } from '../../src/cpu/operations.ts';
import type { BootMemory } from '../../src/memory/boot.ts';
import { type Address, toLinear } from '../../src/memory/physical-address.ts';
import type { ReadWriteLock } from '../../src/sync/lock.ts';
import { lockOf, type Scenario, type ScenarioImage, type ScenarioParameters } from './engine.ts';

export const Word = {
  Violations: 0,
  /** CPU + 1 of the owner, swapped inside the critical section. */
  Owner: 1,
  /** Raised by load and store, so that an overlap loses an increment. */
  Count: 2,
  /** The same again, after Count: a reader must see both equal. */
  CountAgain: 3,
  /** Readers inside. */
  Readers: 4,
  /** Owner and count of the second lock. */
  SecondOwner: 5,
  SecondCount: 6,
  /** Who may go next. */
  Gate: 7,
  /** Order of acquisitions. */
  Turn: 8,
  /** CPUs that have started. */
  Start: 9,
} as const;
const WORDS = 10;

export function bootWords(boot: BootMemory, parameters: ScenarioParameters): ScenarioImage {
  const lock = lockOf(parameters);
  const { nodeCount } = boot.machine;
  const locks: Address[] = [];
  for (let i = 0; i < 2; i++) {
    const physical = boot.allocateNamed(`lock${i}`, i % nodeCount, Math.max(lock.bytes, 4), 128);
    lock.init?.(boot, physical);
    locks.push(toLinear(physical));
  }
  const words = Array.from({ length: WORDS }, (_, i) =>
    toLinear(boot.allocateNamed(`word${i}`, i % nodeCount, 64)),
  );
  return { locks, words };
}

/** Nobody goes on before everybody is here: real threads start at different times. */
export function* startTogether(
  cpu: Cpu,
  image: ScenarioImage,
  parameters: ScenarioParameters,
): Program {
  const { hi, lo } = image.words[Word.Start]!;
  const kind = Condition.AtLeastWrapping;
  while (!cpu.add32(hi, lo, 1, Order.Release)) yield;
  while (!cpu.cond32(hi, lo, kind, -1, parameters.cpuCount, Order.Acquire)) yield;
}

/** A pause of the CPU's own: other seeds, other overlaps, also where time decides who is first. */
function think(cpu: Cpu): void {
  cpu.compute((cpu.random(0) % 400) * 1000);
}

export function* violation(cpu: Cpu, image: ScenarioImage): Program {
  const { hi, lo } = image.words[Word.Violations]!;
  while (!cpu.add32(hi, lo, 1, Order.Relaxed)) yield;
}

/** Swaps the owner word; anything but `expected` in it is a violation. */
function* swapOwner(
  cpu: Cpu,
  image: ScenarioImage,
  word: number,
  owner: number,
  expected: number,
): Program {
  const { hi, lo } = image.words[word]!;
  while (!cpu.swap32(hi, lo, owner, Order.Relaxed)) yield;
  if (cpu.lo !== expected) yield* violation(cpu, image);
}

function* raise(cpu: Cpu, { hi, lo }: Address): Program {
  while (!cpu.load32(hi, lo, Order.Relaxed)) yield;
  const next = cpu.lo + 1;
  while (!cpu.store32(hi, lo, next, Order.Relaxed)) yield;
}

function* criticalSection(cpu: Cpu, image: ScenarioImage, owner: number, count: number): Program {
  yield* swapOwner(cpu, image, owner, cpu.id + 1, 0);
  yield* raise(cpu, image.words[count]!);
  yield* swapOwner(cpu, image, owner, 0, cpu.id + 1);
}

/** Everybody takes one lock. */
export const exclusion: Scenario = {
  boot: bootWords,
  *program(cpu, image, parameters) {
    const lock = lockOf(parameters);
    const { hi, lo } = image.locks[0]!;
    yield* startTogether(cpu, image, parameters);
    for (let i = 0; i < parameters.rounds; i++) {
      think(cpu);
      yield lock.acquire(cpu, hi, lo);
      yield* criticalSection(cpu, image, Word.Owner, Word.Count);
      yield lock.release(cpu, hi, lo);
      cpu.mark();
    }
  },
};

/** Two locks held together, released in the order of acquisition. */
export const overlapping: Scenario = {
  boot: bootWords,
  *program(cpu, image, parameters) {
    const lock = lockOf(parameters);
    const first = image.locks[0]!;
    const second = image.locks[1]!;
    yield* startTogether(cpu, image, parameters);
    for (let i = 0; i < parameters.rounds; i++) {
      think(cpu);
      yield lock.acquire(cpu, first.hi, first.lo);
      yield* criticalSection(cpu, image, Word.Owner, Word.Count);
      yield lock.acquire(cpu, second.hi, second.lo);
      yield* swapOwner(cpu, image, Word.Owner, cpu.id + 1, 0);
      yield* swapOwner(cpu, image, Word.Owner, 0, cpu.id + 1);
      yield lock.release(cpu, first.hi, first.lo);
      yield* criticalSection(cpu, image, Word.SecondOwner, Word.SecondCount);
      yield lock.release(cpu, second.hi, second.lo);
      cpu.mark();
    }
  },
};

/** Odd CPUs write, even ones read, and write every fourth time. */
export const readersAndWriters: Scenario = {
  boot: bootWords,
  *program(cpu, image, parameters) {
    const lock = lockOf(parameters) as ReadWriteLock;
    const { hi, lo } = image.locks[0]!;
    yield* startTogether(cpu, image, parameters);
    for (let i = 0; i < parameters.rounds; i++) {
      think(cpu);
      if (cpu.id % 2 === 1 || i % 4 === 3) {
        yield lock.acquire(cpu, hi, lo);
        yield* writeBoth(cpu, image);
        yield lock.release(cpu, hi, lo);
      } else {
        yield lock.acquireRead(cpu, hi, lo);
        yield* readBoth(cpu, image);
        yield lock.releaseRead(cpu, hi, lo);
      }
      cpu.mark();
    }
  },
};

/** Writers of `readersAndWriters` per CPU, for the expected count. */
export function writesOf(cpuId: number, rounds: number): number {
  return cpuId % 2 === 1 ? rounds : Math.floor(rounds / 4);
}

function* writeBoth(cpu: Cpu, image: ScenarioImage): Program {
  yield* swapOwner(cpu, image, Word.Owner, cpu.id + 1, 0);
  const readers = image.words[Word.Readers]!;
  while (!cpu.load32(readers.hi, readers.lo, Order.Relaxed)) yield;
  if (cpu.lo !== 0) yield* violation(cpu, image);
  yield* raise(cpu, image.words[Word.Count]!);
  yield* raise(cpu, image.words[Word.CountAgain]!);
  yield* swapOwner(cpu, image, Word.Owner, 0, cpu.id + 1);
}

function* readBoth(cpu: Cpu, image: ScenarioImage): Program {
  const readers = image.words[Word.Readers]!;
  const owner = image.words[Word.Owner]!;
  const count = image.words[Word.Count]!;
  const again = image.words[Word.CountAgain]!;
  while (!cpu.add32(readers.hi, readers.lo, 1, Order.Relaxed)) yield;
  while (!cpu.load32(owner.hi, owner.lo, Order.Relaxed)) yield;
  if (cpu.lo !== 0) yield* violation(cpu, image);
  while (!cpu.load32(count.hi, count.lo, Order.Relaxed)) yield;
  const seen = cpu.lo;
  while (!cpu.load32(again.hi, again.lo, Order.Relaxed)) yield;
  if (cpu.lo !== seen) yield* violation(cpu, image);
  while (!cpu.add32(readers.hi, readers.lo, -1, Order.Relaxed)) yield;
}

/** Nothing but reading, by everybody: what a read costs when nobody writes. */
export const onlyReaders: Scenario = {
  boot: bootWords,
  *program(cpu, image, parameters) {
    const lock = lockOf(parameters) as ReadWriteLock;
    const { hi, lo } = image.locks[0]!;
    yield* startTogether(cpu, image, parameters);
    for (let i = 0; i < parameters.rounds; i++) {
      think(cpu);
      yield lock.acquireRead(cpu, hi, lo);
      cpu.compute(100_000);
      yield lock.releaseRead(cpu, hi, lo);
      cpu.mark();
    }
  },
};

/** Nothing but the lock, always asked for: what a hand-over costs. */
export const handOvers: Scenario = {
  boot: bootWords,
  *program(cpu, image, parameters) {
    const lock = lockOf(parameters);
    const { hi, lo } = image.locks[0]!;
    yield* startTogether(cpu, image, parameters);
    for (let i = 0; i < parameters.rounds; i++) {
      think(cpu);
      yield lock.acquire(cpu, hi, lo);
      parameters.entered?.(cpu.id);
      cpu.compute(500_000);
      yield lock.release(cpu, hi, lo);
      cpu.mark();
    }
  },
};

/** All readers meet inside: ends only if readers don't exclude each other. */
export const readersMeet: Scenario = {
  boot: bootWords,
  *program(cpu, image, parameters) {
    const lock = lockOf(parameters) as ReadWriteLock;
    const { hi, lo } = image.locks[0]!;
    const readers = image.words[Word.Readers]!;
    yield lock.acquireRead(cpu, hi, lo);
    while (!cpu.add32(readers.hi, readers.lo, 1, Order.Relaxed)) yield;
    const all = parameters.cpuCount;
    const kind = Condition.AtLeastWrapping;
    while (!cpu.cond32(readers.hi, readers.lo, kind, -1, all, Order.Relaxed)) yield;
    yield lock.releaseRead(cpu, hi, lo);
  },
};

/** Steps that the last CPU takes between letting one waiter and the next one go. */
const FIFO_PATIENCE = 400;

/**
 * The last CPU holds the lock and lets the others ask for it one after the other, with time
 * between; they must get it in that order.
 */
export const firstComeFirstServed: Scenario = {
  boot: bootWords,
  *program(cpu, image, parameters) {
    const lock = lockOf(parameters);
    const { hi, lo } = image.locks[0]!;
    const gate = image.words[Word.Gate]!;
    const turn = image.words[Word.Turn]!;
    if (cpu.id < parameters.cpuCount - 1) {
      const mine = cpu.id + 1;
      const kind = Condition.AtLeastWrapping;
      while (!cpu.cond32(gate.hi, gate.lo, kind, -1, mine, Order.Acquire)) yield;
      yield lock.acquire(cpu, hi, lo);
      while (!cpu.add32(turn.hi, turn.lo, 1, Order.Relaxed)) yield;
      if (cpu.lo !== cpu.id) yield* violation(cpu, image);
      yield lock.release(cpu, hi, lo);
      return;
    }
    yield lock.acquire(cpu, hi, lo);
    for (let next = 1; next < parameters.cpuCount; next++) {
      while (!cpu.store32(gate.hi, gate.lo, next, Order.Release)) yield;
      cpu.compute(10_000_000);
      for (let i = 0; i < FIFO_PATIENCE; i++) {
        while (!cpu.load32(turn.hi, turn.lo, Order.Relaxed)) yield;
      }
    }
    yield lock.release(cpu, hi, lo);
  },
};

const VECTOR = 5;

/**
 * CPU 0 interrupts the others, whose handler takes the second lock, wherever they are in taking the
 * first one. Handlers that were sent = second count.
 */
export const interrupted: Scenario = {
  boot: bootWords,
  *program(cpu, image, parameters) {
    const lock = lockOf(parameters);
    const { hi, lo } = image.locks[0]!;
    cpu.setInterrupt(VECTOR, function* (self: Cpu): Program {
      const second = image.locks[1]!;
      yield lock.acquire(self, second.hi, second.lo);
      yield* criticalSection(self, image, Word.SecondOwner, Word.SecondCount);
      yield lock.release(self, second.hi, second.lo);
    });
    yield* startTogether(cpu, image, parameters);
    for (let i = 0; i < parameters.rounds; i++) {
      think(cpu);
      if (cpu.id === 0) {
        const target = 1 + (i % (parameters.cpuCount - 1));
        while (!cpu.ipi(target, VECTOR)) yield;
      }
      yield lock.acquire(cpu, hi, lo);
      yield* criticalSection(cpu, image, Word.Owner, Word.Count);
      yield lock.release(cpu, hi, lo);
      cpu.mark();
    }
  },
};
