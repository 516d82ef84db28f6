/**
 * Tree RCU: CPUs report quiescent states to the leaf they belong to; the last one of a node reports
 * for all of it to the node above, so that the end of a grace period costs each line a few CPUs and
 * not all. Readers and the watching counter are those of rcu.ts.
 * Source: kernel/rcu/tree.c (rcu_gp_init, rcu_gp_fqs, force_qs_rnp, rcu_gp_cleanup,
 * note_gp_changes, rcu_check_quiescent_state, rcu_report_qs_rdp, rcu_report_qs_rnp,
 * synchronize_rcu).
 * Invariants: a bit of a node is cleared for the grace period in its gp_seq only, and only after
 * all below it have been quiescent since that began; gp_seq moves with a driver's word held.
 * Line transfers per grace period: 2 to 3 per CPU (leaf) and per node (its parent), log n deep.
 * Deviations: no kthread, the first who waits drives; the first scan follows the beginning at once;
 * no callbacks (rcu-callbacks.ts has them), no hotplug, no expedited grace periods.
 */

import { assert } from '../../base/assert.ts';
import { CheckError } from '../../base/errors.ts';
import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Condition, Fence, Order } from '../../cpu/operations.ts';
import { queuedSpinLock, queuedSpinUnlock } from '../../sync/qspinlock.ts';
import { rcuEnterIdle, rcuExitIdle, rcuIsWatching, rcuReadDepth } from './rcu.ts';
import { fullPeriodAfter, isReached, isRunning, ownWord, RcuCpu, wordOf } from './rcu-state.ts';
import { nodeLo, type RcuTreeImage, seenLo, TreeGlobal, TreeNode } from './rcu-tree-state.ts';

/** What a CPU owes to the grace period that it knows of (cpu_no_qs and core_needs_qs). */
const Needs = { Nothing: 0, QuiescentState: 1, Report: 2 } as const;

export interface RcuTreeSteps {
  /** With the node locked, when a grace period begins. */
  beginNode(cpu: Cpu, hi: number, node: number, sequence: number): Program;
  /** With the node locked; result in cpu.ret: 1 = the report is for this grace period. */
  isCurrent(cpu: Cpu, hi: number, node: number, sequence: number): Program;
  /** Result in cpu.ret: 1 = the CPU is, or has been since the first scan, outside sections. */
  hasBeenIdle(cpu: Cpu, image: RcuTreeImage, other: number, first: boolean): Program;
  /** The CPU learns of a grace period (note_gp_changes). */
  note(cpu: Cpu, hi: number, leaf: number): Program;
}

export const rcuTreeSteps: RcuTreeSteps = {
  *beginNode(cpu, hi, node, sequence) {
    while (!cpu.load32(hi, node + TreeNode.Members, Order.Relaxed)) yield;
    const members = cpu.lo;
    while (!cpu.store32(hi, node + TreeNode.Missing, members, Order.Relaxed)) yield;
    while (!cpu.store32(hi, node + TreeNode.Sequence, sequence, Order.Release)) yield;
  },

  *isCurrent(cpu, hi, node, sequence) {
    while (!cpu.load32(hi, node + TreeNode.Sequence, Order.Relaxed)) yield;
    cpu.ret = cpu.lo === sequence ? 1 : 0;
  },

  *hasBeenIdle(cpu, image, other, first) {
    const watching = wordOf(cpu, other, RcuCpu.Watching);
    while (!cpu.load32(cpu.perCpuHi(other), watching, Order.Acquire)) yield;
    const now = cpu.lo;
    let before = now;
    if (first) while (!cpu.store32(image.hi, seenLo(image, other), now, Order.Relaxed)) yield;
    else {
      while (!cpu.load32(image.hi, seenLo(image, other), Order.Relaxed)) yield;
      before = cpu.lo;
    }
    cpu.ret = (now & 1) === 0 || now !== before ? 1 : 0;
  },

  *note(cpu, hi, leaf) {
    while (!cpu.load32(hi, leaf + TreeNode.Sequence, Order.Acquire)) yield;
    const sequence = cpu.lo;
    const own = cpu.perCpuHi(cpu.id);
    while (!cpu.load32(own, ownWord(cpu, RcuCpu.TreeSequence), Order.Relaxed)) yield;
    if (cpu.lo === sequence) return;
    const needs = isRunning(sequence) ? Needs.QuiescentState : Needs.Nothing;
    while (!cpu.store32(own, ownWord(cpu, RcuCpu.TreeNeeds), needs, Order.Relaxed)) yield;
    while (!cpu.store32(own, ownWord(cpu, RcuCpu.TreeSequence), sequence, Order.Relaxed)) yield;
  },
};

/** One per CPU; holds nothing that another CPU sees. */
export class RcuTree {
  readonly #image: RcuTreeImage;
  readonly #steps: RcuTreeSteps;

  constructor(image: RcuTreeImage, steps: RcuTreeSteps = rcuTreeSteps) {
    this.#image = image;
    this.#steps = steps;
  }

  /** Outside sections: a quiescent state, reported if a grace period waits for it. */
  *poll(cpu: Cpu): Program {
    yield* this.#steps.note(cpu, this.#image.hi, this.#ownLeaf(cpu));
    yield* this.quiescent(cpu);
    yield* this.report(cpu);
  }

  /** rcu_qs: outside sections; the report follows at the next occasion. */
  *quiescent(cpu: Cpu): Program {
    yield* refuseInSection(cpu, 'a quiescent state');
    const needs = ownWord(cpu, RcuCpu.TreeNeeds);
    while (!cpu.load32(cpu.perCpuHi(cpu.id), needs, Order.Relaxed)) yield;
    if (cpu.lo !== Needs.QuiescentState) return;
    while (!cpu.store32(cpu.perCpuHi(cpu.id), needs, Needs.Report, Order.Relaxed)) yield;
  }

  /** rcu_check_quiescent_state: anywhere, also in an interrupt of a read-side section. */
  *report(cpu: Cpu): Program {
    const own = cpu.perCpuHi(cpu.id);
    const needs = ownWord(cpu, RcuCpu.TreeNeeds);
    const interrupts = cpu.interrupts(false);
    yield* this.#steps.note(cpu, this.#image.hi, this.#ownLeaf(cpu));
    while (!cpu.load32(own, needs, Order.Relaxed)) yield;
    if (cpu.lo === Needs.Report) {
      while (!cpu.load32(own, ownWord(cpu, RcuCpu.TreeSequence), Order.Relaxed)) yield;
      const { fanout, levels } = this.#image;
      const leaf = Math.floor(cpu.id / fanout);
      yield* this.#reportUp(cpu, levels.length - 1, leaf, 1 << (cpu.id % fanout), cpu.lo);
      // Too late: this quiescent state is older than the grace period that runs now.
      const left = cpu.ret === 1 ? Needs.Nothing : Needs.QuiescentState;
      while (!cpu.store32(own, needs, left, Order.Relaxed)) yield;
    }
    cpu.interrupts(interrupts);
  }

  /** synchronize_rcu: returns when every section that exists now has ended; idle meanwhile. */
  *synchronize(cpu: Cpu): Program {
    const { hi, lo, scanIntervalPs } = this.#image;
    yield* refuseInSection(cpu, 'synchronize_rcu()');
    while (!cpu.fence(Fence.DmbIsh)) yield;
    while (!cpu.load32(hi, lo, Order.Acquire)) yield;
    const wanted = fullPeriodAfter(cpu.lo);
    while (!rcuIsWatching(cpu)) yield;
    const wasWatching = cpu.ret === 1;
    if (wasWatching) while (!rcuEnterIdle(cpu)) yield;
    for (;;) {
      while (!cpu.load32(hi, lo, Order.Acquire)) yield;
      if (isReached(cpu.lo, wanted)) break;
      while (!cpu.cas32(hi, lo + TreeGlobal.Driver, 0, 1, Order.Acquire)) yield;
      if (cpu.ok) {
        yield* this.#drive(cpu, wanted);
        while (!cpu.store32(hi, lo + TreeGlobal.Driver, 0, Order.Release)) yield;
        continue;
      }
      const deadline = cpu.deadline(scanIntervalPs);
      const kind = Condition.AtLeastWrapping;
      while (!cpu.cond32Until(hi, lo, kind, -1, wanted, deadline, Order.Acquire)) yield;
    }
    if (wasWatching) while (!rcuExitIdle(cpu)) yield;
  }

  /** rcu_gp_kthread, until gp_seq reaches `wanted`. */
  *#drive(cpu: Cpu, wanted: number): Program {
    const { hi, lo, scanIntervalPs } = this.#image;
    const root = nodeLo(this.#image, 0, 0) + TreeNode.Missing;
    while (!cpu.load32(hi, lo, Order.Relaxed)) yield;
    let sequence = cpu.lo;
    while (!isReached(sequence, wanted)) {
      assert(!isRunning(sequence), 'a grace period runs that nobody drives');
      sequence = (sequence + 1) | 0;
      while (!cpu.store32(hi, lo, sequence, Order.SequentiallyConsistent)) yield;
      while (!cpu.fence(Fence.DmbIsh)) yield;
      yield* this.#eachNode(cpu, (node) => this.#steps.beginNode(cpu, hi, node, sequence));
      yield* this.#scan(cpu, sequence, true);
      for (;;) {
        const deadline = cpu.deadline(scanIntervalPs);
        const kind = Condition.Equal;
        while (!cpu.cond32Until(hi, root, kind, -1, 0, deadline, Order.Acquire)) yield;
        if (cpu.ok) break;
        yield* this.#scan(cpu, sequence, false);
      }
      sequence = (sequence + 1) | 0;
      yield* this.#eachNode(cpu, function* (node) {
        while (!cpu.store32(hi, node + TreeNode.Sequence, sequence, Order.Release)) yield;
      });
      while (!cpu.store32(hi, lo, sequence, Order.SequentiallyConsistent)) yield;
    }
  }

  /** Root first, each node locked. */
  *#eachNode(cpu: Cpu, change: (node: number) => Program): Program {
    const { hi, levels } = this.#image;
    for (let level = 0; level < levels.length; level++) {
      for (let index = 0; index < levels[level]!; index++) {
        const node = nodeLo(this.#image, level, index);
        const interrupts = cpu.interrupts(false);
        yield* queuedSpinLock(cpu, hi, node + TreeNode.Lock);
        yield* change(node);
        while (!queuedSpinUnlock(cpu, hi, node + TreeNode.Lock)) yield;
        cpu.interrupts(interrupts);
      }
    }
  }

  /** force_qs_rnp: reports for CPUs that are, or were, outside sections without saying so. */
  *#scan(cpu: Cpu, sequence: number, first: boolean): Program {
    const { hi, fanout, levels } = this.#image;
    const leafLevel = levels.length - 1;
    for (let leaf = 0; leaf < levels[leafLevel]!; leaf++) {
      const missing = nodeLo(this.#image, leafLevel, leaf) + TreeNode.Missing;
      while (!cpu.load32(hi, missing, Order.Relaxed)) yield;
      const mask = cpu.lo;
      let idle = 0;
      for (let bit = 0; bit < fanout; bit++) {
        if ((mask & (1 << bit)) === 0) continue;
        yield* this.#steps.hasBeenIdle(cpu, this.#image, leaf * fanout + bit, first);
        if (cpu.ret === 1) idle |= 1 << bit;
      }
      if (idle !== 0) yield* this.#reportUp(cpu, leafLevel, leaf, idle, sequence);
    }
  }

  /** rcu_report_qs_rnp; result in cpu.ret: 0 = the leaf is in another grace period already. */
  *#reportUp(cpu: Cpu, leafLevel: number, leaf: number, bits: number, sequence: number): Program {
    const { hi, fanout } = this.#image;
    let index = leaf;
    let clears = bits;
    while (!cpu.fence(Fence.DmbIsh)) yield;
    for (let level = leafLevel; level >= 0; level--) {
      const node = nodeLo(this.#image, level, index);
      const interrupts = cpu.interrupts(false);
      yield* queuedSpinLock(cpu, hi, node + TreeNode.Lock);
      yield* this.#steps.isCurrent(cpu, hi, node, sequence);
      const isCurrent = cpu.ret === 1;
      while (!cpu.load32(hi, node + TreeNode.Missing, Order.Relaxed)) yield;
      const before = cpu.lo;
      const missing = isCurrent ? before & ~clears : before;
      if (missing !== before) {
        while (!cpu.store32(hi, node + TreeNode.Missing, missing, Order.Relaxed)) yield;
      }
      while (!queuedSpinUnlock(cpu, hi, node + TreeNode.Lock)) yield;
      cpu.interrupts(interrupts);
      cpu.ret = isCurrent || level < leafLevel ? 1 : 0;
      if (missing !== 0 || missing === before) return;
      clears = 1 << (index % fanout);
      index = Math.floor(index / fanout);
    }
  }

  #ownLeaf(cpu: Cpu): number {
    const { fanout, levels } = this.#image;
    return nodeLo(this.#image, levels.length - 1, Math.floor(cpu.id / fanout));
  }
}

function* refuseInSection(cpu: Cpu, what: string): Program {
  while (!rcuReadDepth(cpu)) yield;
  if (cpu.ret === 0) return;
  throw new CheckError(`cpu ${cpu.id}: ${what} inside an RCU read-side section`);
}
