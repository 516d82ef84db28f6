/**
 * The stress target of any lock: few CPUs, few rounds, and in each round one of the parts that the
 * lock has (write, read, try, two locks held together, an interrupt whose handler takes a lock).
 * Which part comes when depends on CPU and round alone, so that a schedule is its choices and
 * nothing else.
 *
 * Locks 0 and 1 are always taken in that order; lock 2 is for handlers, and programs that take it
 * too mask interrupts.
 */

import { assert } from '../../base/assert.ts';
import type { Cpu, Program } from '../../cpu/cpu.ts';
import { EventKind } from '../../cpu/operations.ts';
import type { BootMemory } from '../../memory/boot.ts';
import { type Address, toLinear } from '../../memory/physical-address.ts';
import type { Lock, ReadWriteLock } from '../../sync/lock.ts';
import type { LockBranch } from '../../sync/lock-events.ts';
import { CONTENDED, TWO_WAITERS } from '../oracles/contention.ts';
import type { HandOffWords } from '../oracles/hand-off.ts';
import { checkCount } from '../oracles/lost-update.ts';
import type { Reporter, StressImage, StressSize, StressTarget } from '../target.ts';
import { type Guarded, readSection, writeSection } from './critical-section.ts';
import { goalsOf } from './lock-goals.ts';
import { shapeOf } from './target-shape.ts';

export type LockPart =
  | 'write'
  | 'read'
  | 'try'
  | 'nested'
  | 'nested read'
  | 'upgrade'
  /** Lock 1 first: never right beside 'nested'. */
  | 'reversed'
  | 'interrupt';

/** A lock that can be asked without waiting; result in cpu.ret: 1 = taken. */
interface TriedLock extends Lock {
  tryAcquire(cpu: Cpu, hi: number, lo: number): Program;
}

export interface LockTargetOptions {
  readonly name: string;
  readonly description: string;
  make(): Lock;
  /** Round r of CPU c does part (r + c) modulo their number. Default: what the lock can. */
  readonly parts?: readonly LockPart[];
  readonly size?: StressSize;
  readonly bypasses?: number;
  readonly handOff?: HandOffWords;
  /** Branches of the lock that are goals of a stress run with its default parts. */
  readonly branches?: readonly LockBranch[];
  /** To the lock a CPU is a number and its own area, and nothing else (interchangeable). */
  readonly symmetric?: boolean;
  /** The lock that handlers take: 2, or one that is held with interrupts enabled. */
  readonly handlerLock?: number;
}

/** Parts that raise the count under lock 0, whatever happens. */
const WRITING: readonly LockPart[] = ['write', 'nested', 'reversed', 'upgrade', 'interrupt'];
const READING: readonly LockPart[] = ['read', 'nested read', 'upgrade'];

const LOCKS = 3;
const VECTOR = 5;
const ROOM_BYTES = 16384;

export function lockTarget(options: LockTargetOptions): StressTarget {
  const { make, name, description } = options;
  const parts = options.parts ?? partsOf(make());
  const handlerLock = options.handlerLock ?? 2;
  const own = goalsOf(options.branches ?? []);
  const usual = options.size ?? { cpus: Math.min(3, make().cpusMax ?? 3), operations: 2 };
  return {
    name,
    group: 'locks',
    description,
    smallest: { cpus: 2, operations: 1 },
    usual,
    goals: [
      { name: CONTENDED, leastCpus: 2, leastOperations: 1 },
      { name: TWO_WAITERS, leastCpus: 3, leastOperations: 1 },
      ...own.goals,
    ],
    branches: own.branches,
    ...shapeOf(usual.cpus, ROOM_BYTES),
    ...(options.bypasses === undefined ? {} : { bypasses: options.bypasses }),
    ...(options.handOff === undefined ? {} : { handOff: options.handOff }),
    ...(options.symmetric === true
      ? { interchangeable: (size: StressSize) => sameParts(parts, size) }
      : {}),
    boot: (memory) => bootLocks(memory, make()),
    program: (cpu, image, size, report) =>
      cpu.id < size.cpus ? lockRounds(cpu, image, size, report, parts, make(), handlerLock) : null,
    finish(memory, image, size, report) {
      const writes = writesOf(parts, size, handlerLock);
      for (let lock = 0; lock < LOCKS; lock++) {
        // A try may fail, an interrupt may come after the last section: the most is known only.
        if (writes.exact[lock] === false) continue;
        const count = image.addresses[`count${lock}`]!;
        checkCount(memory, count, writes.count[lock]!, `the count under lock ${lock}`, report);
      }
    },
  };
}

/** CPUs that do the same parts in the same order. Interrupts go round by number. */
function sameParts(parts: readonly LockPart[], { cpus }: StressSize): number[][] {
  if (parts.includes('interrupt')) return [];
  const byFirst = parts.map((_, first) =>
    Array.from({ length: cpus }, (_, cpu) => cpu).filter((cpu) => cpu % parts.length === first),
  );
  return byFirst.filter((group) => group.length > 1);
}

function partsOf(lock: Lock): readonly LockPart[] {
  const parts: LockPart[] = ['write', 'acquireRead' in lock ? 'read' : 'nested'];
  if ('tryAcquire' in lock) parts.push('try');
  return parts;
}

function bootLocks(memory: BootMemory, lock: Lock): StressImage {
  const { nodeCount } = memory.machine;
  const addresses: Record<string, Address> = {};
  for (let i = 0; i < LOCKS; i++) {
    const node = i % nodeCount;
    const physical = memory.allocateNamed(`lock${i}`, node, Math.max(lock.bytes, 4), 128);
    lock.init?.(memory, physical);
    addresses[`lock${i}`] = toLinear(physical);
    for (const word of ['owner', 'count', 'again']) {
      addresses[`${word}${i}`] = toLinear(memory.allocateNamed(`${word}${i}`, node, 64));
    }
  }
  return { addresses, numbers: {} };
}

/** What each lock's count is raised to. */
function writesOf(
  parts: readonly LockPart[],
  size: StressSize,
  handlerLock: number,
): { count: number[]; exact: boolean[] } {
  const count = [0, 0, 0];
  const exact = [true, true, true];
  for (let cpu = 0; cpu < size.cpus; cpu++) {
    for (let round = 0; round < size.operations; round++) {
      const part = parts[(round + cpu) % parts.length]!;
      if (part === 'try') exact[0] = false;
      if (part === 'interrupt' && size.cpus > 1) count[handlerLock]!++;
      if (WRITING.includes(part)) count[0]!++;
      if (part === 'nested' || part === 'reversed') count[1]!++;
    }
  }
  return { count, exact };
}

function lockRounds(
  cpu: Cpu,
  image: StressImage,
  size: StressSize,
  report: Reporter,
  parts: readonly LockPart[],
  lock: Lock,
  handlerLock: number,
): Program {
  const reads = parts.some((part) => READING.includes(part));
  const own = new LockRounds(cpu, image, lock, reads, report);
  // Before the program's first step: another CPU may be quicker.
  if (parts.includes('interrupt')) cpu.setInterrupt(VECTOR, () => own.handler(handlerLock));
  return allRounds(cpu, size, parts, own);
}

function* allRounds(
  cpu: Cpu,
  size: StressSize,
  parts: readonly LockPart[],
  own: LockRounds,
): Program {
  for (let round = 0; round < size.operations; round++) {
    const part = parts[(round + cpu.id) % parts.length]!;
    if (part === 'interrupt' && size.cpus > 1) {
      const target = (cpu.id + 1) % size.cpus;
      while (!cpu.ipi(target, VECTOR)) yield;
    }
    yield* own.round(part);
    cpu.mark();
  }
}

/** One CPU's rounds over the locks. */
class LockRounds {
  readonly #cpu: Cpu;
  readonly #image: StressImage;
  readonly #lock: Lock;
  readonly #reads: boolean;
  readonly #report: Reporter;

  constructor(cpu: Cpu, image: StressImage, lock: Lock, reads: boolean, report: Reporter) {
    this.#cpu = cpu;
    this.#image = image;
    this.#lock = lock;
    this.#reads = reads;
    this.#report = report;
  }

  *round(part: LockPart): Program {
    if (part === 'read') yield* this.#read(0, 1);
    else if (part === 'nested read') yield* this.#read(0, 2);
    else if (part === 'upgrade') yield* this.#read(0, 1, true);
    else if (part === 'try') yield* this.#tried();
    else if (part === 'nested') yield* this.#nested(0, 1);
    else if (part === 'reversed') yield* this.#nested(1, 0);
    else yield* this.#write(0);
  }

  *handler(index: number): Program {
    const { hi, lo } = this.#at('lock', index);
    this.#cpu.event(EventKind.InterruptEntered, hi, lo);
    yield* this.#write(index);
    this.#cpu.event(EventKind.InterruptLeft, hi, lo);
  }

  *#write(index: number): Program {
    yield* this.#acquire(index);
    yield* writeSection(this.#cpu, this.#guarded(index), this.#reads, this.#report);
    yield* this.#release(index);
  }

  /** Both locks together, released in the order of taking. */
  *#nested(first: number, second: number): Program {
    yield* this.#acquire(first);
    yield* this.#acquire(second);
    yield* writeSection(this.#cpu, this.#guarded(first), this.#reads, this.#report);
    yield* this.#release(first);
    yield* writeSection(this.#cpu, this.#guarded(second), this.#reads, this.#report);
    yield* this.#release(second);
  }

  /** Reads under locks `first` to `end` - 1; `upgrade`: then writes before it lets go. */
  *#read(first: number, end: number, upgrade = false): Program {
    const cpu = this.#cpu;
    const lock = this.#lock as ReadWriteLock;
    assert('acquireRead' in lock, `lock ${lock.name} has no readers`);
    const { hi, lo } = this.#at('lock', first);
    cpu.event(EventKind.LockAsked, hi, lo);
    yield lock.acquireRead(cpu, hi, lo);
    if (first + 1 < end) yield* this.#read(first + 1, end);
    yield* readSection(cpu, this.#guarded(first), this.#report);
    if (upgrade) yield* this.#write(first);
    yield lock.releaseRead(cpu, hi, lo);
  }

  *#tried(): Program {
    const cpu = this.#cpu;
    const lock = this.#lock as TriedLock;
    assert('tryAcquire' in lock, `lock ${lock.name} can't be tried`);
    const { hi, lo } = this.#at('lock', 0);
    yield lock.tryAcquire(cpu, hi, lo);
    if (cpu.ret !== 1) return;
    yield* writeSection(cpu, this.#guarded(0), this.#reads, this.#report);
    yield lock.release(cpu, hi, lo);
  }

  *#acquire(index: number): Program {
    const { hi, lo } = this.#at('lock', index);
    this.#cpu.event(EventKind.LockAsked, hi, lo);
    yield this.#lock.acquire(this.#cpu, hi, lo);
  }

  *#release(index: number): Program {
    const { hi, lo } = this.#at('lock', index);
    yield this.#lock.release(this.#cpu, hi, lo);
  }

  #at(word: string, index: number): Address {
    return this.#image.addresses[`${word}${index}`]!;
  }

  #guarded(index: number): Guarded {
    return {
      owner: this.#at('owner', index),
      count: this.#at('count', index),
      again: this.#at('again', index),
    };
  }
}
