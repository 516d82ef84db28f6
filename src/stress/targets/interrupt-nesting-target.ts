/**
 * A spinlock taken in every context of one CPU at once: its task waits for lock 0, a softirq on top
 * of it for lock 1, an interrupt for lock 2, an NMI for lock 3, a system error for lock 4. The
 * kernel's queued spinlock has nodes for four (kernel/locking/qspinlock.c: MAX_NODES); the fifth
 * spins without.
 *
 * CPU 0 holds all locks, lets them go one by one and sends the interrupts; CPU 1 takes them in the
 * same order and keeps them, so that CPU 2, which is interrupted, finds each lock held and wanted,
 * and has to queue. The others want lock 0. Programs mask interrupts, as users of locks that
 * handlers take must; CPU 2's task takes only lock 0, which no handler takes.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { EventKind, type InterruptLevel, Order } from '../../cpu/operations.ts';
import { type Address, toLinear } from '../../memory/physical-address.ts';
import type { Lock } from '../../sync/lock.ts';
import { makeQueuedSpinlock, type QueuedSteps, queuedSteps } from '../../sync/qspinlock.ts';
import { checkCount } from '../oracles/lost-update.ts';
import type { Reporter, StressImage, StressSize, StressTarget } from '../target.ts';
import { raise } from './critical-section.ts';
import { shapeOf } from './target-shape.ts';

/** Locks 0 ... 4, lock n for the context of level n. */
const CONTEXTS = 5;
const INTERRUPTED = 2;
const ROOM_BYTES = 8192;
/** Bits of a queued spinlock: somebody wants it; somebody waits with a node. */
const WANTED = 0xffffff00 | 0;
const QUEUE = 0xffff0000 | 0;
const LOOKS_MAX = 12;
const NESTED = 'four handlers on one task';
const QUEUED = 'four nodes of one CPU in use';

export function qspinlockNestedTarget(
  steps: QueuedSteps = queuedSteps,
  name = 'qspinlock-nested',
): StressTarget {
  return {
    name,
    group: 'protocols',
    description: 'queued spinlocks wanted by task, softirq, interrupt, NMI, system error at once',
    smallest: { cpus: 3, operations: 1 },
    usual: { cpus: 4, operations: 1 },
    goals: [
      { name: NESTED, leastCpus: 3, leastOperations: 1 },
      { name: QUEUED, leastCpus: 4, leastOperations: 1 },
    ],
    ...shapeOf(4, ROOM_BYTES),
    boot(memory) {
      const addresses: Record<string, Address> = {};
      for (let i = 0; i < CONTEXTS; i++) {
        addresses[`lock${i}`] = toLinear(memory.allocateNamed(`lock${i}`, 0, 64));
        addresses[`count${i}`] = toLinear(memory.allocateNamed(`count${i}`, 0, 64));
      }
      return { addresses, numbers: {} };
    },
    program(cpu, image, size, report) {
      if (cpu.id >= size.cpus) return null;
      const lock = makeQueuedSpinlock(reporting(steps, report));
      return new Contexts(cpu, image, lock, report).program(size);
    },
    finish(memory, image, size, report) {
      for (let i = 0; i < CONTEXTS; i++) {
        const users = i === 0 ? size.cpus : 3;
        const what = `the count under lock ${i}`;
        checkCount(memory, image.addresses[`count${i}`]!, users * size.operations, what, report);
      }
    },
  };
}

function reporting(steps: QueuedSteps, report: Reporter): QueuedSteps {
  return {
    ...steps,
    nodeIndex(depth) {
      if (depth === CONTEXTS - 1) report.reach(QUEUED);
      return steps.nodeIndex(depth);
    },
  };
}

class Contexts {
  readonly #cpu: Cpu;
  readonly #image: StressImage;
  readonly #lock: Lock;
  readonly #report: Reporter;
  #depth = 0;

  constructor(cpu: Cpu, image: StressImage, lock: Lock, report: Reporter) {
    this.#cpu = cpu;
    this.#image = image;
    this.#lock = lock;
    this.#report = report;
  }

  program({ operations }: StressSize): Program {
    const cpu = this.#cpu;
    if (cpu.id === INTERRUPTED) {
      // Before the program's first step: another CPU may be quicker. Vector n is of level n.
      for (let level = 1; level < CONTEXTS; level++) {
        cpu.setInterrupt(level, () => this.#handler(level), level as InterruptLevel);
      }
    }
    const part = [() => this.#letGo(), () => this.#keep()][cpu.id] ?? (() => this.#take(0));
    return repeated(cpu, operations, part);
  }

  *#handler(level: number): Program {
    const { hi, lo } = this.#at('lock', level);
    this.#cpu.event(EventKind.InterruptEntered, hi, lo);
    if (++this.#depth === CONTEXTS - 1) this.#report.reach(NESTED);
    yield* this.#take(level);
    this.#depth--;
    this.#cpu.event(EventKind.InterruptLeft, hi, lo);
  }

  /** CPU 0: holds all locks, then lets the interrupted CPU find one after the other. */
  *#letGo(): Program {
    const cpu = this.#cpu;
    cpu.interrupts(false);
    for (let i = 0; i < CONTEXTS; i++) yield* this.#acquire(i);
    for (let i = 0; i < CONTEXTS; i++) {
      yield* raise(cpu, this.#at('count', i));
      yield* this.#look(i, WANTED);
      if (i > 0) while (!cpu.ipi(INTERRUPTED, i)) yield;
      yield* this.#look(i, QUEUE);
      yield* this.#release(i);
    }
    cpu.interrupts(true);
  }

  /** Gives others the time to come so far; not for ever, they may have gone. */
  *#look(index: number, mask: number): Program {
    const { hi, lo } = this.#at('lock', index);
    for (let looks = 0; looks < LOOKS_MAX; looks++) {
      while (!this.#cpu.load32(hi, lo, Order.Relaxed)) yield;
      if ((this.#cpu.lo & mask) !== 0) return;
    }
  }

  /** CPU 1: takes all locks, and then lets go of them. */
  *#keep(): Program {
    const cpu = this.#cpu;
    cpu.interrupts(false);
    for (let i = 0; i < CONTEXTS; i++) yield* this.#acquire(i);
    for (let i = 0; i < CONTEXTS; i++) {
      yield* raise(cpu, this.#at('count', i));
      yield* this.#release(i);
    }
    cpu.interrupts(true);
  }

  *#take(index: number): Program {
    yield* this.#acquire(index);
    yield* raise(this.#cpu, this.#at('count', index));
    yield* this.#release(index);
  }

  *#acquire(index: number): Program {
    const { hi, lo } = this.#at('lock', index);
    this.#cpu.event(EventKind.LockAsked, hi, lo);
    yield* this.#lock.acquire(this.#cpu, hi, lo);
  }

  *#release(index: number): Program {
    const { hi, lo } = this.#at('lock', index);
    yield* this.#lock.release(this.#cpu, hi, lo);
  }

  #at(word: string, index: number): Address {
    return this.#image.addresses[`${word}${index}`]!;
  }
}

function* repeated(cpu: Cpu, times: number, part: () => Program): Program {
  for (let i = 0; i < times; i++) {
    yield* part();
    cpu.mark();
  }
}
