/**
 * Cuts a failing schedule: fewer CPUs, fewer operations, fewer context switches, fewer late stores,
 * fewer chosen values, in this order and again until nothing gets smaller. A trial is one run of a
 * plan; it is kept if it fails with the same signature and costs less. Source: ddmin (Zeller,
 * Hildebrandt, IEEE TSE 2002) over context switches, then over the choices of the memory model.
 *
 * Deviation: dropping a CPU or an operation changes the programs, so when the cut plan does not
 * fail, some schedules of the smaller size are searched, too.
 */

import { Block, drainKey, type Plan, planOf, type Segment } from './guide.ts';
import { type Cost, compareCosts, costOf, type FailedSchedule } from './schedule-cost.ts';
import type { StressSize } from './target.ts';

/** Runs trials. */
export interface Laboratory {
  /** null: it did not fail. */
  run(size: StressSize, plan: Plan): FailedSchedule | null;
  /** Some schedules of this size, no two times the same: the first that fails so. */
  search(size: StressSize, signature: string): FailedSchedule | null;
  /** The same, of schedules with few preemptions. */
  another(size: StressSize, signature: string): FailedSchedule | null;
  /** No trials are left: the best so far is taken. */
  expired(): boolean;
}

export interface Best {
  readonly failure: FailedSchedule;
  readonly plan: Plan;
  readonly cost: Cost;
}

const ROUNDS_MAX = 20;
/** Segments of which any two are left out together. */
const PAIRS_OF = 24;

/** What has run, not what was asked for, is the plan. */
export function bestOf(failure: FailedSchedule, late: Plan['late']): Best {
  const plan = { ...planOf(failure.agents, failure.values, failure.size.cpus), late };
  return { failure, plan, cost: costOf(failure) };
}

export class Cutter {
  best: Best;
  readonly smallest: StressSize;
  /** Smaller sizes that were searched once; a second time the cut plan alone is tried. */
  readonly searched: Set<string>;
  readonly #laboratory: Laboratory;
  readonly #signature: string;
  isFixpoint = false;

  constructor(
    laboratory: Laboratory,
    smallest: StressSize,
    best: Best,
    searched = new Set<string>(),
  ) {
    this.#laboratory = laboratory;
    this.smallest = smallest;
    this.searched = searched;
    this.best = best;
    this.#signature = best.failure.signature;
  }

  toFixpoint(): void {
    this.isFixpoint = false;
    for (let round = 0; round < ROUNDS_MAX; round++) {
      const before = this.best;
      this.#dropCpus();
      this.#dropOperations();
      this.#dropTail();
      this.#reduceSwitches();
      this.#extendSegments();
      this.#reduceLateStores();
      this.#reduceValues();
      if (this.#laboratory.expired()) return;
      if (this.best !== before || this.#dropPairs()) continue;
      this.isFixpoint = !this.#laboratory.expired();
      return;
    }
  }

  /** What can't be left out alone may be, two at a time; or one when another goes on longer. */
  #dropPairs(): boolean {
    const { segments } = this.best.plan;
    if (segments.length > PAIRS_OF) return false;
    for (let one = 0; one < segments.length; one++) {
      for (let two = 0; two < segments.length; two++) {
        if (one === two) continue;
        const longer = segments.map((segment, at) =>
          at === two ? { ...segment, until: Number.POSITIVE_INFINITY } : segment,
        );
        const extended = longer.filter((_, at) => at !== one);
        if (this.#try({ ...this.best.plan, segments: extended })) return true;
        if (two < one) continue;
        const fewer = segments.filter((_, at) => at !== one && at !== two);
        if (this.#try({ ...this.best.plan, segments: fewer })) return true;
      }
    }
    return false;
  }

  #dropCpus(): void {
    for (let cpu = this.best.failure.size.cpus - 1; cpu >= 0; cpu--) {
      const { size } = this.best.failure;
      if (size.cpus <= this.smallest.cpus) return;
      this.#trySize({ ...size, cpus: size.cpus - 1 }, withoutCpu(this.best.plan, cpu), cpu === 0);
    }
  }

  #dropOperations(): void {
    for (;;) {
      const { size } = this.best.failure;
      if (size.operations <= this.smallest.operations) return;
      const fewer = { ...size, operations: size.operations - 1 };
      if (!this.#trySize(fewer, this.best.plan, true)) return;
    }
  }

  #trySize(size: StressSize, plan: Plan, searches: boolean): boolean {
    if (this.#laboratory.expired()) return false;
    let found = this.#laboratory.run(size, plan);
    if (found?.signature !== this.#signature) {
      const key = `${size.cpus}x${size.operations}`;
      found =
        searches && !this.searched.has(key) ? this.#laboratory.search(size, this.#signature) : null;
      this.searched.add(key);
    }
    if (found === null) return false;
    this.#accept(found, null);
    return true;
  }

  /** The shortest start of 0, 1, 2, 4, ... segments that is enough: a livelock has a long tail. */
  #dropTail(): void {
    const { segments } = this.best.plan;
    for (let kept = 0; kept < segments.length; kept = Math.max(1, 2 * kept)) {
      if (this.#try({ ...this.best.plan, segments: segments.slice(0, kept) })) return;
    }
  }

  #reduceSwitches(): void {
    const segments = (): readonly Segment[] => this.best.plan.segments;
    this.#ddmin(segments, (kept) => ({ ...this.best.plan, segments: kept }));
  }

  /** Runs a segment through to the agent's next one, or as far as it gets: later ones may go. */
  #extendSegments(): void {
    for (let i = 0; i < this.best.plan.segments.length; i++) {
      const { cpu, block } = this.best.plan.segments[i]!;
      const next = this.best.plan.segments.find(
        (other, index) => index > i && other.cpu === cpu && other.block === block,
      );
      if (next !== undefined && this.#tryUntil(i, next.until)) continue;
      this.#tryUntil(i, Number.POSITIVE_INFINITY);
    }
  }

  #tryUntil(index: number, until: number): boolean {
    const segments = this.best.plan.segments.map((segment, at) =>
      at === index ? { ...segment, until } : segment,
    );
    return this.#try({ ...this.best.plan, segments });
  }

  #reduceLateStores(): void {
    if (this.best.cost.lateStores === 0) return;
    if (this.#try({ ...this.best.plan, late: new Set() })) return;
    const late = (): readonly number[] => [...(this.best.plan.late ?? drainsOf(this.best.failure))];
    this.#ddmin(late, (kept) => ({ ...this.best.plan, late: new Set(kept) }));
  }

  #reduceValues(): void {
    const chosen = (): readonly number[] =>
      this.best.plan.values.flatMap((value, index) => (value === 0 ? [] : [index]));
    this.#ddmin(chosen, (kept) => {
      const values = this.best.plan.values.map((value, index) =>
        kept.includes(index) ? value : 0,
      );
      return { ...this.best.plan, values };
    });
  }

  /** Leaves out parts, large ones first. `items` is asked again after each success. */
  #ddmin<Item>(items: () => readonly Item[], planWith: (kept: readonly Item[]) => Plan): void {
    let size = Math.ceil(items().length / 2);
    while (size >= 1 && items().length > 0) {
      let removed = false;
      for (let from = 0; from < items().length; ) {
        if (this.#laboratory.expired()) return;
        const all = items();
        const kept = [...all.slice(0, from), ...all.slice(from + size)];
        if (this.#try(planWith(kept))) removed = true;
        else from += size;
      }
      if (size === 1 && !removed) return;
      size = Math.max(1, Math.floor(size / 2));
    }
  }

  #try(plan: Plan): boolean {
    if (this.#laboratory.expired()) return false;
    const { failure, cost } = this.best;
    const found = this.#laboratory.run(failure.size, plan);
    if (found?.signature !== this.#signature) return false;
    if (compareCosts(costOf(found), cost) >= 0) return false;
    this.#accept(found, plan.late);
    return true;
  }

  /** What has run, not what was asked for, is the new plan. */
  #accept(failure: FailedSchedule, late: Plan['late']): void {
    this.best = bestOf(failure, late);
  }
}

/** The others move up. */
function withoutCpu(plan: Plan, cpu: number): Plan {
  const segments = plan.segments.flatMap((segment) => {
    if (segment.cpu === cpu) return [];
    return [segment.cpu < cpu ? segment : { ...segment, cpu: segment.cpu - 1 }];
  });
  return { segments, values: plan.values, late: null };
}

function drainsOf({ agents, size }: FailedSchedule): number[] {
  const taken = new Uint32Array(size.cpus);
  const keys: number[] = [];
  for (let i = 0; i < agents.length; i++) {
    const agent = agents[i]!;
    if (Math.floor(agent / size.cpus) !== Block.Drain) continue;
    const cpu = agent % size.cpus;
    keys.push(drainKey(cpu, taken[cpu]!++));
  }
  return keys;
}
