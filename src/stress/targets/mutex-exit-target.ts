/**
 * A mutex among tasks that exit: on each CPU one task after the other takes the mutex, lets it go
 * and exits, and its structure is freed after a grace period of RCU (delayed_put_task_struct).
 * Spinners look at the structure of the owner (mutex_spin_on_owner), inside a read-side section and
 * only while the mutex still names that owner: so the structure is there as long as they look.
 *
 * A structure is a line: 1 in its first word when the task is off its CPU, and its rcu_head.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { EventKind, Order } from '../../cpu/operations.ts';
import { rcuExitIdle, rcuReadLock, rcuReadUnlock } from '../../kernel/base/rcu.ts';
import { bootRcu, Rcu, type RcuImage } from '../../kernel/base/rcu-callbacks.ts';
import { type Address, toLinear } from '../../memory/physical-address.ts';
import { type MutexTasks, makeMutex, mutexStepsOf } from '../../sync/mutex.ts';
import {
  MUTEX_BYTES,
  MUTEX_FLAGS,
  MutexField,
  mutexTask,
  ownerOf,
} from '../../sync/mutex-layout.ts';
import { checkCount } from '../oracles/lost-update.ts';
import type { Reporter, StressImage, StressSize, StressTarget } from '../target.ts';
import { raise } from './critical-section.ts';
import { shapeOf } from './target-shape.ts';

const ROOM_BYTES = 65536;
const TASK_BYTES = 64;
const HEAD = 16;
const LOOKED = 'a spinner looks at the owner';
const FREED = 'a task is freed';

export interface LookSteps {
  /** Around a look: no structure that is seen inside is freed before the end. */
  enter(cpu: Cpu): Program;
  leave(cpu: Cpu): Program;
  /** Between seeing that the owner is still the owner and looking at its structure. */
  before(cpu: Cpu): Program;
}

export const lookSteps: LookSteps = { enter: rcuReadLock, leave: rcuReadUnlock, *before() {} };

export function mutexExitTarget(steps: LookSteps = lookSteps, name = 'mutex-exit'): StressTarget {
  return {
    name,
    group: 'protocols',
    description: 'a mutex whose spinners look at owners, among tasks that exit',
    smallest: { cpus: 2, operations: 1 },
    usual: { cpus: 2, operations: 1 },
    goals: [
      { name: LOOKED, leastCpus: 2, leastOperations: 1 },
      { name: FREED, leastCpus: 2, leastOperations: 1 },
    ],
    ...shapeOf(2, ROOM_BYTES),
    boot(memory, size) {
      const cpus = Array.from({ length: size.cpus }, (_, cpu) => cpu);
      const rcu = bootRcu(memory, 0, cpus);
      const bytes = size.cpus * size.operations * TASK_BYTES;
      const addresses = {
        mutex: toLinear(memory.allocateNamed('mutex', 0, MUTEX_BYTES)),
        count: toLinear(memory.allocateNamed('count', 0, 64)),
        tasks: toLinear(memory.allocateNamed('tasks', 0, bytes)),
      };
      return { addresses, numbers: {}, parts: { rcu } };
    },
    program: (cpu, image, size, report) =>
      cpu.id < size.cpus ? new Tasks(cpu, image, size, report).program(steps) : null,
    finish(memory, image, size, report) {
      const expected = size.cpus * size.operations;
      checkCount(memory, image.addresses['count']!, expected, 'the count under the mutex', report);
    },
  };
}

/** One CPU's tasks. */
class Tasks {
  readonly #cpu: Cpu;
  readonly #image: StressImage;
  readonly #size: StressSize;
  readonly #report: Reporter;
  /** Which of the CPU's tasks runs: what sp_el0 holds, nobody else sees it. */
  #turn = 0;

  constructor(cpu: Cpu, image: StressImage, size: StressSize, report: Reporter) {
    this.#cpu = cpu;
    this.#image = image;
    this.#size = size;
    this.#report = report;
  }

  *program(steps: LookSteps): Program {
    const cpu = this.#cpu;
    const report = this.#report;
    const mutex = makeMutex(mutexStepsOf(this.#tasks(steps)));
    const { hi, lo } = this.#image.addresses['mutex']!;
    const rcu = new Rcu(this.#image.parts!['rcu'] as RcuImage, [
      function* freeTask(self, taskHi, taskLo) {
        report.reach(FREED);
        // Poison, by an atomic: no store of this CPU is on its way to what may be another's.
        while (!self.swap64(taskHi, taskLo, -1, 0, Order.Release)) yield;
        self.event(EventKind.ObjectFreed, taskHi, taskLo);
      },
    ]);
    while (!rcuExitIdle(cpu)) yield;
    for (this.#turn = 0; this.#turn < this.#size.operations; this.#turn++) {
      cpu.event(EventKind.LockAsked, hi, lo);
      yield mutex.acquire(cpu, hi, lo);
      yield* raise(cpu, this.#image.addresses['count']!);
      yield mutex.release(cpu, hi, lo);
      yield* this.#exit(rcu);
      cpu.mark();
    }
    yield* rcu.finish(cpu);
  }

  /** do_exit: off the CPU for good; who still looks keeps the structure. */
  *#exit(rcu: Rcu): Program {
    const cpu = this.#cpu;
    const { hi, lo } = this.#taskAt(cpu.id, this.#turn);
    while (!cpu.store32(hi, lo, 1, Order.Relaxed)) yield;
    cpu.event(EventKind.ObjectUnlinked, hi, lo);
    yield* rcu.call(cpu, hi, lo + HEAD, 0, hi, lo);
    yield* rcu.poll(cpu);
  }

  #tasks({ enter, leave, before }: LookSteps): MutexTasks {
    const report = this.#report;
    const taskAt = (cpu: number, turn: number): Address => this.#taskAt(cpu, turn);
    return {
      current: (cpu) => mutexTask(cpu.id, this.#turn),
      *ownerRuns(cpu, hi, lo, word) {
        const owner = ownerOf(word);
        if (owner === undefined) {
          cpu.ret = 1;
          return;
        }
        const task = taskAt(owner.cpu, owner.turn);
        let runs = true;
        yield* enter(cpu);
        while (!cpu.load32(hi, lo + MutexField.Owner, Order.Relaxed)) yield;
        if (((cpu.lo ^ word) & ~MUTEX_FLAGS) === 0) {
          report.reach(LOOKED);
          yield* before(cpu);
          while (!cpu.load32(task.hi, task.lo, Order.Relaxed)) yield;
          runs = cpu.lo === 0;
        }
        yield* leave(cpu);
        cpu.ret = runs ? 1 : 0;
      },
    };
  }

  #taskAt(cpu: number, turn: number): Address {
    const { hi, lo } = this.#image.addresses['tasks']!;
    return { hi, lo: lo + (cpu * this.#size.operations + turn) * TASK_BYTES };
  }
}
