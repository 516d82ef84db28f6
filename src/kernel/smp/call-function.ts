/**
 * Running a function on other CPUs by IPI (kernel/smp.c, v6.13: smp_call_function_many_cond,
 * __flush_smp_call_function_queue). Each CPU has a queue (llist) of requests; who adds the first
 * one sends the IPI; the receiver takes the whole list, runs each function and then unlocks its
 * request, for which the caller waits.
 *
 * A request (call_single_data) is a line per pair of CPUs in the caller's area, as in
 * `struct call_function_data`. Interrupts are never masked here while waiting: two callers that
 * wait for each other with interrupts off deadlock, on hardware and here.
 *
 * CPUs take part from `enter` to `leave`. Nobody may leave while others may still call, as a
 * request to a CPU that has gone would never be answered: leave waits for all.
 */

import { assert } from '../../base/assert.ts';
import { LINE_BYTES } from '../../base/units.ts';
import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Condition, Order } from '../../cpu/operations.ts';
import type { BootMemory } from '../../memory/boot.ts';
import { type Address, addBytes, toLinear } from '../../memory/physical-address.ts';

/** IPI_CALL_FUNC. */
export const CALL_FUNCTION_VECTOR = 1;

const Request = { Next: 0, Locked: 8, Function: 12, Info: 16 } as const;

/** Plain data; addresses are linear-map ones. */
export interface SmpImage {
  /** The CPUs that take part, ascending. */
  readonly cpus: readonly number[];
  /** By position in `cpus`. */
  readonly queues: readonly Address[];
  /** By position of the caller: a line for each position of a target. */
  readonly requests: readonly Address[];
  /** How many CPUs have nothing left to call. */
  readonly done: Address;
}

/** What runs on the other side; gets the address that the caller gave. Never sleeps. */
export type CallFunction = (cpu: Cpu, infoHi: number, infoLo: number) => Program;

/** Backed bytes per node at most. */
export function smpBytes(cpus: number): number {
  return cpus * (cpus + 1) * LINE_BYTES + LINE_BYTES;
}

export function bootSmp(boot: BootMemory, cpus: readonly number[]): SmpImage {
  const ascending = [...cpus].sort((a, b) => a - b);
  const nodeOf = (cpu: number): number => boot.machine.nodeOfCpu[cpu]!;
  const queues = ascending.map((cpu) =>
    toLinear(boot.allocateNamed(`call_single_queue@cpu${cpu}`, nodeOf(cpu), LINE_BYTES)),
  );
  const requests = ascending.map((cpu) => {
    const bytes = ascending.length * LINE_BYTES;
    return toLinear(boot.allocateNamed(`cfd_data@cpu${cpu}`, nodeOf(cpu), bytes));
  });
  const done = toLinear(boot.allocate(nodeOf(ascending[0]!), LINE_BYTES));
  return { cpus: ascending, queues, requests, done };
}

export class SmpCalls {
  readonly #image: SmpImage;
  readonly #functions: readonly CallFunction[];

  /** Functions are numbered; every CPU must be given the same ones in the same order. */
  constructor(image: SmpImage, functions: readonly CallFunction[]) {
    this.#image = image;
    this.#functions = functions;
  }

  /** The CPU answers calls from here on. Not an attempt: never refuses. */
  enter(cpu: Cpu): void {
    const queue = this.#image.queues[this.#position(cpu)]!;
    cpu.setInterrupt(CALL_FUNCTION_VECTOR, (at) => this.#answer(at, queue));
  }

  /** Returns when no CPU will call any more; answers calls until then. */
  *leave(cpu: Cpu): Program {
    const { done, cpus } = this.#image;
    const { hi, lo } = done;
    while (!cpu.add32(hi, lo, 1, Order.AcquireRelease)) yield;
    while (!cpu.cond32(hi, lo, Condition.Equal, -1, cpus.length, Order.Acquire)) yield;
  }

  /**
   * on_each_cpu without the caller's own part: runs function `number` on every other CPU and
   * returns when all have finished. Interrupts must be enabled.
   */
  *callOthers(cpu: Cpu, number: number, infoHi: number, infoLo: number): Program {
    assert(this.#functions[number] !== undefined, `call of function ${number}`);
    const { cpus, queues, requests } = this.#image;
    const own = this.#position(cpu);
    const row = requests[own]!;
    for (let target = 0; target < cpus.length; target++) {
      if (target === own) continue;
      const { hi, lo } = addBytes(row, target * LINE_BYTES);
      while (!cpu.store32(hi, lo + Request.Function, number, Order.Relaxed)) yield;
      while (!cpu.store64(hi, lo + Request.Info, infoHi, infoLo, Order.Relaxed)) yield;
      while (!cpu.store32(hi, lo + Request.Locked, 1, Order.Relaxed)) yield;
      yield* push(cpu, queues[target]!, hi, lo);
      if (!cpu.ok) continue;
      while (!cpu.ipi(cpus[target]!, CALL_FUNCTION_VECTOR)) yield;
    }
    for (let target = 0; target < cpus.length; target++) {
      if (target === own) continue;
      const { hi, lo } = addBytes(row, target * LINE_BYTES + Request.Locked);
      while (!cpu.cond32(hi, lo, Condition.Equal, -1, 0, Order.Acquire)) yield;
    }
  }

  *#answer(cpu: Cpu, queue: Address): Program {
    while (!cpu.swap64(queue.hi, queue.lo, 0, 0, Order.AcquireRelease)) yield;
    let { hi, lo } = cpu;
    while ((hi | lo) !== 0) {
      while (!cpu.load64(hi, lo + Request.Next, Order.Relaxed)) yield;
      const nextHi = cpu.hi;
      const nextLo = cpu.lo;
      while (!cpu.load32(hi, lo + Request.Function, Order.Relaxed)) yield;
      const run = this.#functions[cpu.lo]!;
      while (!cpu.load64(hi, lo + Request.Info, Order.Relaxed)) yield;
      yield* run(cpu, cpu.hi, cpu.lo);
      while (!cpu.store32(hi, lo + Request.Locked, 0, Order.Release)) yield;
      hi = nextHi;
      lo = nextLo;
    }
  }

  #position(cpu: Cpu): number {
    const position = this.#image.cpus.indexOf(cpu.id);
    assert(position >= 0, `cpu ${cpu.id} takes no part in function calls`);
    return position;
  }
}

/** llist_add: returns through cpu.ok whether the list was empty. */
function* push(cpu: Cpu, queue: Address, hi: number, lo: number): Program {
  for (;;) {
    while (!cpu.load64(queue.hi, queue.lo, Order.Relaxed)) yield;
    const headHi = cpu.hi;
    const headLo = cpu.lo;
    while (!cpu.store64(hi, lo + Request.Next, headHi, headLo, Order.Relaxed)) yield;
    while (!cpu.cas64(queue.hi, queue.lo, headHi, headLo, hi, lo, Order.AcquireRelease)) yield;
    if (cpu.ok) {
      cpu.ok = (headHi | headLo) === 0;
      return;
    }
  }
}
