/**
 * Grace periods and callbacks of RCU (Linux kernel/rcu/tree.c: call_rcu, rcu_seq_snap, rcu_gp_init,
 * rcu_gp_fqs_loop, rcu_do_batch, synchronize_rcu, rcu_barrier; kernel/rcu/rcu_segcblist.c).
 *
 * One grace period at a time for the whole machine. It begins by noting every CPU's watching
 * counter and has ended when each was seen idle, or changed, since. A callback waits for the first
 * grace period that begins after it was queued, and runs on the CPU that queued it, at poll().
 *
 * Deviations: no grace-period kthread. A CPU that waits for a grace period drives it at its poll()
 * points, at most once per scan interval; Linux scans after 1 to 3 jiffies, later than the whole of
 * a short run. The list has two segments (waiting, newly queued); no tree of rcu_nodes, the
 * driver reads every CPU's counter.
 */

import { assert } from '../../base/assert.ts';
import { CheckError } from '../../base/errors.ts';
import { PS_PER_US } from '../../base/units.ts';
import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Condition, Fence, Order } from '../../cpu/operations.ts';
import { Cost } from '../../machine/costs.ts';
import type { BootMemory } from '../../memory/boot.ts';
import { toLinear } from '../../memory/physical-address.ts';
import { Counter, Metric } from '../../metrics/definition.ts';
import { rcuEnterIdle, rcuExitIdle, rcuIsWatching, rcuQuiescent, rcuReadDepth } from './rcu.ts';
import {
  fullPeriodAfter,
  isReached,
  isRunning,
  ownWord,
  RcuCpu,
  RcuGlobal,
  rcuStateBytes,
  wordOf,
} from './rcu-state.ts';

/** struct rcu_head, inside the object to free: next (8), function (4), unused, argument (8). */
export const RCU_HEAD_BYTES = 24;
const HeadField = { Next: 0, Function: 8, Argument: 16 } as const;

/** What a callback does; the table of handlers is the same on every CPU. */
export type RcuHandler = (cpu: Cpu, argumentHi: number, argumentLo: number) => Program;

/** Plain data, made by bootRcu. */
export interface RcuImage {
  /** Linear-map address of struct rcu_state. */
  readonly hi: number;
  readonly lo: number;
  /** CPUs that may hold read-side sections. */
  readonly cpus: readonly number[];
  readonly scanIntervalPs: number;
}

/** Estimate; Linux: jiffies_till_first_fqs, 1 to 3 jiffies. */
const SCAN_INTERVAL_PS = 20 * PS_PER_US;

export function bootRcu(
  boot: BootMemory,
  node: number,
  cpus: readonly number[],
  scanIntervalPs = SCAN_INTERVAL_PS,
): RcuImage {
  const physical = boot.allocateNamed('rcu_state', node, rcuStateBytes(boot.machine.cpuCount));
  const { hi, lo } = toLinear(physical);
  return { hi, lo, cpus, scanIntervalPs };
}

/** One per CPU; holds nothing that another CPU sees. */
export class Rcu {
  readonly #image: RcuImage;
  readonly #handlers: readonly RcuHandler[];
  /** Before this deadline the CPU doesn't scan again; null: it may. */
  #nextScan: number | null = null;
  #measures = false;

  constructor(image: RcuImage, handlers: readonly RcuHandler[]) {
    this.#image = image;
    this.#handlers = Object.freeze([...handlers]);
  }

  /**
   * call_rcu: runs handlers[functionId](argument) on this CPU after a grace period. The head is
   * RCU_HEAD_BYTES of emulated memory (linear map) that nobody else uses until then.
   */
  *call(
    cpu: Cpu,
    headHi: number,
    headLo: number,
    functionId: number,
    argumentHi: number,
    argumentLo: number,
  ): Program {
    assert(functionId in this.#handlers, `call_rcu() with function ${functionId}`);
    const own = cpu.perCpuHi(cpu.id);
    const argument = headLo + HeadField.Argument;
    while (!cpu.store64(headHi, headLo, 0, 0, Order.Relaxed)) yield;
    while (!cpu.store32(headHi, headLo + HeadField.Function, functionId, Order.Relaxed)) yield;
    while (!cpu.store64(headHi, argument, argumentHi, argumentLo, Order.Relaxed)) yield;
    const interrupts = cpu.interrupts(false);
    const last = ownWord(cpu, RcuCpu.NextLast);
    while (!cpu.load64(own, last, Order.Relaxed)) yield;
    const { hi: lastHi, lo: lastLo } = cpu;
    if (lastHi === 0) {
      while (!cpu.store64(own, ownWord(cpu, RcuCpu.NextFirst), headHi, headLo, Order.Relaxed))
        yield;
    } else {
      while (!cpu.store64(lastHi, lastLo, headHi, headLo, Order.Relaxed)) yield;
    }
    while (!cpu.store64(own, last, headHi, headLo, Order.Relaxed)) yield;
    const queued = ownWord(cpu, RcuCpu.Queued);
    while (!cpu.load32(own, queued, Order.Relaxed)) yield;
    const count = cpu.lo;
    if (count === 0) {
      this.#measures = true;
      cpu.begin(Metric.RcuGracePeriod);
    }
    while (!cpu.store32(own, queued, count + 1, Order.Relaxed)) yield;
    cpu.interrupts(interrupts);
  }

  /**
   * A quiescent point outside read-side sections; with callbacks queued it also drives the grace
   * period and runs what is due (rcu_core).
   */
  *poll(cpu: Cpu): Program {
    while (!rcuQuiescent(cpu)) yield;
    while (!cpu.load32(cpu.perCpuHi(cpu.id), ownWord(cpu, RcuCpu.Queued), Order.Relaxed)) yield;
    if (cpu.lo !== 0) yield this.#core(cpu, false);
  }

  /** synchronize_rcu: returns when every section that exists now has ended; idle meanwhile. */
  *synchronize(cpu: Cpu): Program {
    yield* this.#refuseInSection(cpu, 'synchronize_rcu()');
    while (!cpu.fence(Fence.DmbIsh)) yield;
    while (!cpu.load32(this.#image.hi, this.#image.lo, Order.Acquire)) yield;
    const wanted = fullPeriodAfter(cpu.lo);
    while (!rcuIsWatching(cpu)) yield;
    const wasWatching = cpu.ret === 1;
    if (wasWatching) while (!rcuEnterIdle(cpu)) yield;
    for (;;) {
      yield* this.#drive(cpu, wanted, true);
      if (cpu.ret === 1) break;
      yield* this.#waitForSequence(cpu, wanted);
    }
    if (wasWatching) while (!rcuExitIdle(cpu)) yield;
  }

  /** rcu_barrier for this CPU's own callbacks: returns when all have run. */
  *barrier(cpu: Cpu): Program {
    yield* this.#refuseInSection(cpu, 'rcu_barrier()');
    const own = cpu.perCpuHi(cpu.id);
    for (;;) {
      while (!cpu.load32(own, ownWord(cpu, RcuCpu.Queued), Order.Relaxed)) yield;
      if (cpu.lo === 0) return;
      yield this.#core(cpu, true);
      while (!cpu.load64(own, ownWord(cpu, RcuCpu.WaitFirst), Order.Relaxed)) yield;
      if (cpu.hi === 0) continue;
      while (!cpu.load32(own, ownWord(cpu, RcuCpu.WaitSequence), Order.Relaxed)) yield;
      const wanted = cpu.lo;
      while (!rcuIsWatching(cpu)) yield;
      const wasWatching = cpu.ret === 1;
      if (wasWatching) while (!rcuEnterIdle(cpu)) yield;
      yield* this.#waitForSequence(cpu, wanted);
      if (wasWatching) while (!rcuExitIdle(cpu)) yield;
    }
  }

  /** Last act of a CPU's program: no callback is left, the CPU is quiescent for good. */
  *finish(cpu: Cpu): Program {
    yield this.barrier(cpu);
    while (!rcuEnterIdle(cpu)) yield;
  }

  *#refuseInSection(cpu: Cpu, what: string): Program {
    while (!rcuReadDepth(cpu)) yield;
    if (cpu.ret === 0) return;
    throw new CheckError(`cpu ${cpu.id}: ${what} inside an RCU read-side section never returns`);
  }

  /** Until gp_seq reaches `wanted` or a scan is due. */
  *#waitForSequence(cpu: Cpu, wanted: number): Program {
    const { hi, lo, scanIntervalPs } = this.#image;
    const deadline = cpu.deadline(scanIntervalPs);
    const { AtLeastWrapping } = Condition;
    while (!cpu.cond32Until(hi, lo, AtLeastWrapping, -1, wanted, deadline, Order.Acquire)) yield;
  }

  /** Queues what is new behind a grace period, drives it, runs what has waited long enough. */
  *#core(cpu: Cpu, atOnce: boolean): Program {
    yield* this.#refuseInSection(cpu, 'running RCU callbacks');
    const own = cpu.perCpuHi(cpu.id);
    const waitFirst = ownWord(cpu, RcuCpu.WaitFirst);
    while (!cpu.load64(own, waitFirst, Order.Relaxed)) yield;
    if (cpu.hi === 0) yield* this.#accelerate(cpu);
    while (!cpu.load32(own, ownWord(cpu, RcuCpu.WaitSequence), Order.Relaxed)) yield;
    yield* this.#drive(cpu, cpu.lo, atOnce);
    if (cpu.ret === 1) yield this.#invoke(cpu);
  }

  /** rcu_segcblist_advance and _accelerate: the new callbacks become the waiting ones. */
  *#accelerate(cpu: Cpu): Program {
    const own = cpu.perCpuHi(cpu.id);
    const interrupts = cpu.interrupts(false);
    while (!cpu.load64(own, ownWord(cpu, RcuCpu.NextFirst), Order.Relaxed)) yield;
    const { hi, lo } = cpu;
    assert(hi !== 0, `cpu ${cpu.id} has queued RCU callbacks and both lists are empty`);
    while (!cpu.store64(own, ownWord(cpu, RcuCpu.WaitFirst), hi, lo, Order.Relaxed)) yield;
    while (!cpu.store64(own, ownWord(cpu, RcuCpu.NextFirst), 0, 0, Order.Relaxed)) yield;
    while (!cpu.store64(own, ownWord(cpu, RcuCpu.NextLast), 0, 0, Order.Relaxed)) yield;
    // What was unlinked before call_rcu must be so for everybody before the sequence is read.
    while (!cpu.fence(Fence.DmbIsh)) yield;
    while (!cpu.load32(this.#image.hi, this.#image.lo, Order.Acquire)) yield;
    const wanted = fullPeriodAfter(cpu.lo);
    while (!cpu.store32(own, ownWord(cpu, RcuCpu.WaitSequence), wanted, Order.Relaxed)) yield;
    cpu.interrupts(interrupts);
  }

  /** rcu_do_batch. */
  *#invoke(cpu: Cpu): Program {
    const own = cpu.perCpuHi(cpu.id);
    while (!cpu.load64(own, ownWord(cpu, RcuCpu.WaitFirst), Order.Relaxed)) yield;
    let { hi, lo } = cpu;
    while (!cpu.store64(own, ownWord(cpu, RcuCpu.WaitFirst), 0, 0, Order.Relaxed)) yield;
    if (this.#measures) {
      this.#measures = false;
      cpu.end(Metric.RcuGracePeriod);
    }
    let count = 0;
    while (hi !== 0) {
      // The callback may free the memory that holds its head.
      while (!cpu.load32(hi, lo + HeadField.Function, Order.Relaxed)) yield;
      const handler = this.#handlers[cpu.lo]!;
      while (!cpu.load64(hi, lo + HeadField.Argument, Order.Relaxed)) yield;
      const { hi: argumentHi, lo: argumentLo } = cpu;
      while (!cpu.load64(hi, lo, Order.Relaxed)) yield;
      ({ hi, lo } = cpu);
      cpu.spend(Cost.RcuCallback);
      yield handler(cpu, argumentHi, argumentLo);
      count++;
    }
    cpu.count(Counter.RcuCallbacks, count);
    const interrupts = cpu.interrupts(false);
    const queued = ownWord(cpu, RcuCpu.Queued);
    while (!cpu.load32(own, queued, Order.Relaxed)) yield;
    const left = cpu.lo - count;
    assert(left >= 0, `cpu ${cpu.id} ran ${count} RCU callbacks of ${cpu.lo}`);
    while (!cpu.store32(own, queued, left, Order.Relaxed)) yield;
    cpu.interrupts(interrupts);
  }

  /**
   * Moves the grace period on if nobody else is at it: ends the running one if all CPUs were
   * quiescent, begins one if `wanted` needs it. ret = 1 if gp_seq has reached `wanted`.
   */
  *#drive(cpu: Cpu, wanted: number, atOnce: boolean): Program {
    const { hi, lo, scanIntervalPs } = this.#image;
    while (!cpu.load32(hi, lo, Order.Acquire)) yield;
    let sequence = cpu.lo;
    cpu.ret = isReached(sequence, wanted) ? 1 : 0;
    if (cpu.ret === 1) return;
    if (!atOnce && this.#nextScan !== null && !cpu.expired(this.#nextScan)) return;
    this.#nextScan = cpu.deadline(scanIntervalPs);
    // raw_spin_trylock(&rnp->fqslock): one driver at a time, the others go on with their work.
    while (!cpu.cas32(hi, lo + RcuGlobal.Lock, 0, 1, Order.Acquire)) yield;
    cpu.ret = 0;
    if (!cpu.ok) return;
    while (!cpu.load32(hi, lo, Order.Relaxed)) yield;
    sequence = cpu.lo;
    if (isRunning(sequence)) {
      yield* this.#scan(cpu);
      sequence = yield* this.#endIfQuiescent(cpu, sequence);
    }
    while (!isRunning(sequence) && !isReached(sequence, wanted)) {
      yield* this.#start(cpu, sequence);
      sequence = yield* this.#endIfQuiescent(cpu, sequence + 1);
    }
    while (!cpu.store32(hi, lo + RcuGlobal.Lock, 0, Order.Release)) yield;
    cpu.ret = isReached(sequence, wanted) ? 1 : 0;
  }

  /** rcu_gp_init: gp_seq becomes odd, then every CPU's counter is noted. */
  *#start(cpu: Cpu, sequence: number): Program {
    const { hi, lo, cpus } = this.#image;
    while (!cpu.store32(hi, lo, (sequence + 1) | 0, Order.SequentiallyConsistent)) yield;
    while (!cpu.fence(Fence.DmbIsh)) yield;
    let missing = 0;
    for (const other of cpus) {
      let seen = 0;
      // The driver itself is outside sections.
      if (other !== cpu.id) {
        const watching = wordOf(cpu, other, RcuCpu.Watching);
        while (!cpu.load32(cpu.perCpuHi(other), watching, Order.Acquire)) yield;
        if ((cpu.lo & 1) !== 0) {
          seen = cpu.lo;
          missing++;
        }
      }
      while (!cpu.store32(hi, lo + RcuGlobal.Seen + other * 4, seen, Order.Relaxed)) yield;
    }
    while (!cpu.store32(hi, lo + RcuGlobal.Missing, missing, Order.Relaxed)) yield;
  }

  /** rcu_implicit_dynticks_qs for each CPU that has not been quiescent yet. */
  *#scan(cpu: Cpu): Program {
    const { hi, lo, cpus } = this.#image;
    let missing = 0;
    for (const other of cpus) {
      const slot = lo + RcuGlobal.Seen + other * 4;
      while (!cpu.load32(hi, slot, Order.Relaxed)) yield;
      const seen = cpu.lo;
      if (seen === 0) continue;
      const watching = wordOf(cpu, other, RcuCpu.Watching);
      while (!cpu.load32(cpu.perCpuHi(other), watching, Order.Acquire)) yield;
      if (cpu.lo === seen && other !== cpu.id) {
        missing++;
        continue;
      }
      while (!cpu.store32(hi, slot, 0, Order.Relaxed)) yield;
    }
    while (!cpu.store32(hi, lo + RcuGlobal.Missing, missing, Order.Relaxed)) yield;
  }

  /** rcu_gp_cleanup; returns gp_seq. */
  *#endIfQuiescent(cpu: Cpu, sequence: number): Generator<Program | undefined, number, undefined> {
    const { hi, lo } = this.#image;
    while (!cpu.load32(hi, lo + RcuGlobal.Missing, Order.Relaxed)) yield;
    if (cpu.lo !== 0) return sequence | 0;
    const ended = (sequence + 1) | 0;
    while (!cpu.store32(hi, lo, ended, Order.SequentiallyConsistent)) yield;
    return ended;
  }
}
