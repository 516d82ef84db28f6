/**
 * Sleepable RCU (Linux kernel/rcu/srcutree.c: __srcu_read_lock, __srcu_read_unlock,
 * srcu_readers_active_idx_check, srcu_flip, synchronize_srcu): a domain of its own, with two pairs
 * of counters per CPU. A reader counts up on entry and on exit under the index of its time; the
 * updater waits until the old index has as many exits as entries, flips the index, and waits again,
 * so that readers who read the index just before a flip are waited for too.
 *
 * Deviations: waiting is per CPU, not on the sum over CPUs, as tasks don't migrate here; updaters
 * exclude each other by one word (srcu_gp_mutex) and no grace period is shared; no call_srcu, no
 * retry delay: the updater sleeps on the counter of a reader that is inside.
 *
 * Layout of a domain: srcu_idx on a line, the updaters' word on the next. Per CPU and domain a
 * line: entries for index 0 and 1, exits for index 0 and 1.
 */

import { assert } from '../../base/assert.ts';
import { CheckError } from '../../base/errors.ts';
import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Condition, Fence, Order } from '../../cpu/operations.ts';
import type { BootMemory } from '../../memory/boot.ts';
import { type Address, toLinear } from '../../memory/physical-address.ts';
import { rcuEnterIdle, rcuExitIdle, rcuIsWatching } from './rcu.ts';
import { RcuCpu, SRCU_DOMAINS_MAX, wordOf } from './rcu-state.ts';

/** Plain data, made by srcuAt or bootSrcu. */
export interface SrcuDomain {
  readonly name: string;
  /** Linear-map address of the domain. */
  readonly hi: number;
  readonly lo: number;
  /** Which line of the CPUs' areas is the domain's. */
  readonly slot: number;
  /** CPUs that may be readers. */
  readonly cpus: readonly number[];
}

const Domain = { Index: 0, Updater: 64 } as const;
/** Bytes of a domain, from a line border on. */
export const SRCU_BYTES = 128;
const ENTRIES = 0;
const EXITS = 8;

/**
 * A domain in SRCU_BYTES of zeroed memory at a linear-map address. `slot`: below SRCU_DOMAINS_MAX,
 * another one for each domain of the run.
 */
export function srcuAt(
  name: string,
  address: Address,
  slot: number,
  cpus: readonly number[],
): SrcuDomain {
  assert(slot >= 0 && slot < SRCU_DOMAINS_MAX, `SRCU domain ${slot} of ${SRCU_DOMAINS_MAX}`);
  return { name, hi: address.hi, lo: address.lo, slot, cpus };
}

/** A domain in memory of its own. */
export function bootSrcu(
  boot: BootMemory,
  name: string,
  node: number,
  slot: number,
  cpus: readonly number[],
): SrcuDomain {
  return srcuAt(name, toLinear(boot.allocateNamed(name, node, SRCU_BYTES)), slot, cpus);
}

export interface SrcuSteps {
  /** Counts this CPU in, before anything of its section. */
  countReader(cpu: Cpu, domain: SrcuDomain, index: number): Program;
  /** Before the flip: readers of an earlier time who came late are still under this index. */
  waitForLate(cpu: Cpu, domain: SrcuDomain, index: number): Program;
}

export const srcuSteps: SrcuSteps = {
  *countReader(cpu, domain, index) {
    while (!srcuCountReader(cpu, domain, index)) yield;
  },
  waitForLate: waitForReaders,
};

/** Where a CPU counts, for a domain: entries, then exits, by index. */
export function srcuCountersLo(cpu: Cpu, domain: SrcuDomain, owner: number): number {
  return wordOf(cpu, owner, RcuCpu.Srcu + domain.slot * 64);
}

/** srcu_read_lock: ret = the index that srcuReadUnlock wants back. */
export function* srcuReadLock(cpu: Cpu, domain: SrcuDomain, steps: SrcuSteps = srcuSteps): Program {
  while (!srcuReadIndex(cpu, domain)) yield;
  const index = cpu.ret;
  yield* steps.countReader(cpu, domain, index);
  cpu.ret = index;
}

/** The first access of srcuReadLock: ret = the index of this time. */
export function srcuReadIndex(cpu: Cpu, domain: SrcuDomain): boolean {
  if (!cpu.load32(domain.hi, domain.lo + Domain.Index, Order.Acquire)) return false;
  cpu.ret = cpu.lo & 1;
  return true;
}

/** The second one: counts this CPU in. */
export function srcuCountReader(cpu: Cpu, domain: SrcuDomain, index: number): boolean {
  const own = cpu.perCpuHi(cpu.id);
  const entries = srcuCountersLo(cpu, domain, cpu.id) + ENTRIES + index * 4;
  return cpu.add32(own, entries, 1, Order.SequentiallyConsistent);
}

/** srcu_read_unlock. */
export function srcuReadUnlock(cpu: Cpu, domain: SrcuDomain, index: number): boolean {
  const own = cpu.perCpuHi(cpu.id);
  const exits = srcuCountersLo(cpu, domain, cpu.id) + EXITS + index * 4;
  return cpu.add32(own, exits, 1, Order.SequentiallyConsistent);
}

/** synchronize_srcu: returns when every section that exists now has ended; RCU-idle meanwhile. */
export function* synchronizeSrcu(
  cpu: Cpu,
  domain: SrcuDomain,
  steps: SrcuSteps = srcuSteps,
): Program {
  yield* refuseInSection(cpu, domain);
  while (!rcuIsWatching(cpu)) yield;
  const wasWatching = cpu.ret === 1;
  if (wasWatching) while (!rcuEnterIdle(cpu)) yield;
  yield* lockUpdaters(cpu, domain);
  while (!cpu.load32(domain.hi, domain.lo + Domain.Index, Order.Relaxed)) yield;
  const index = cpu.lo & 1;
  yield* steps.waitForLate(cpu, domain, index ^ 1);
  yield* flip(cpu, domain, index ^ 1);
  yield* waitForReaders(cpu, domain, index);
  while (!cpu.store32(domain.hi, domain.lo + Domain.Updater, 0, Order.Release)) yield;
  if (wasWatching) while (!rcuExitIdle(cpu)) yield;
}

function* refuseInSection(cpu: Cpu, domain: SrcuDomain): Program {
  const own = cpu.perCpuHi(cpu.id);
  const counters = srcuCountersLo(cpu, domain, cpu.id);
  for (let index = 0; index < 2; index++) {
    while (!cpu.load32(own, counters + ENTRIES + index * 4, Order.Relaxed)) yield;
    const entries = cpu.lo;
    while (!cpu.load32(own, counters + EXITS + index * 4, Order.Relaxed)) yield;
    if (cpu.lo !== entries) {
      throw new CheckError(
        `cpu ${cpu.id}: synchronize_srcu(${domain.name}) inside a section of it never returns`,
      );
    }
  }
}

/** mutex_lock(&ssp->srcu_gp_mutex). */
function* lockUpdaters(cpu: Cpu, domain: SrcuDomain): Program {
  const at = domain.lo + Domain.Updater;
  for (;;) {
    while (!cpu.swap32(domain.hi, at, 1, Order.Acquire)) yield;
    if (cpu.lo === 0) return;
    while (!cpu.cond32(domain.hi, at, Condition.Equal, -1, 0, Order.Relaxed)) yield;
  }
}

/** srcu_flip: later readers count under `index`. */
function* flip(cpu: Cpu, domain: SrcuDomain, index: number): Program {
  while (!cpu.fence(Fence.DmbIsh)) yield;
  while (!cpu.store32(domain.hi, domain.lo + Domain.Index, index, Order.SequentiallyConsistent)) {
    yield;
  }
  while (!cpu.fence(Fence.DmbIsh)) yield;
}

/** Until every CPU has as many exits as entries under the index (try_check_zero). */
function* waitForReaders(cpu: Cpu, domain: SrcuDomain, index: number): Program {
  for (const other of domain.cpus) {
    const hi = cpu.perCpuHi(other);
    const counters = srcuCountersLo(cpu, domain, other);
    const exits = counters + EXITS + index * 4;
    for (;;) {
      // Exits first: an exit seen late can only make the two look equal if they are.
      while (!cpu.load32(hi, exits, Order.Acquire)) yield;
      const left = cpu.lo;
      while (!cpu.fence(Fence.DmbIsh)) yield;
      while (!cpu.load32(hi, counters + ENTRIES + index * 4, Order.Acquire)) yield;
      if (cpu.lo === left) break;
      while (!cpu.cond32(hi, exits, Condition.NotEqual, -1, left, Order.Acquire)) yield;
    }
  }
}
