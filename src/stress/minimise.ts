/**
 * Makes a failing schedule short enough to be read: fewer CPUs, fewer operations, fewer context
 * switches, fewer late stores, fewer chosen values, in this order and again until nothing gets
 * smaller. A trial is one run of a plan; it is kept if it fails with the same signature and costs
 * less. Source: ddmin (Zeller, Hildebrandt, IEEE TSE 2002) over context switches, then over the
 * choices of the memory model.
 *
 * Deviations: dropping a CPU or an operation changes the programs, so when the cut plan does not
 * fail, some schedules of the smaller size are searched, too. A fixpoint of cuts may be far from
 * the shortest schedule, so then others of the same size are tried that cost less, and cut again.
 */

import { Block, drainKey, type Plan, planOf, type Segment } from './guide.ts';
import type { StressSize } from './target.ts';

/** A schedule that failed. */
export interface FailedSchedule {
  readonly size: StressSize;
  /** In the order of steps, up to the failure. */
  readonly agents: ArrayLike<number>;
  readonly values: ArrayLike<number>;
  /** Stores that were still in a buffer at the failure. */
  readonly undrained: number;
  /** Oracle and field: two failures with one signature are the same failure. */
  readonly signature: string;
}

/** Runs trials. */
export interface Laboratory {
  /** null: it did not fail. */
  run(size: StressSize, plan: Plan): FailedSchedule | null;
  /** Some schedules of this size; the first that fails so and is as short as is asked for. */
  search(
    size: StressSize,
    signature: string,
    isShort?: (failure: FailedSchedule) => boolean,
  ): FailedSchedule | null;
  /** No time is left: the best so far is taken. */
  expired(): boolean;
}

export interface Minimised {
  readonly failure: FailedSchedule;
  readonly plan: Plan;
  readonly switches: number;
  readonly lateStores: number;
  /** Nothing could be left out any more; false: time ran out. */
  readonly isFixpoint: boolean;
}

interface Cost {
  readonly switches: number;
  readonly lateStores: number;
  readonly values: number;
  readonly steps: number;
}

interface Best {
  readonly failure: FailedSchedule;
  readonly plan: Plan;
  readonly cost: Cost;
}

const ROUNDS_MAX = 20;

export function minimise(
  failure: FailedSchedule,
  smallest: StressSize,
  laboratory: Laboratory,
): Minimised {
  const plan = planOf(failure.agents, failure.values, failure.size.cpus);
  const search = new Minimiser(laboratory, smallest, { failure, plan, cost: costOf(failure) });
  const isFixpoint = search.toFixpoint();
  const { best } = search;
  const { switches, lateStores } = best.cost;
  return { failure: best.failure, plan: best.plan, switches, lateStores, isFixpoint };
}

class Minimiser {
  best: Best;
  readonly #laboratory: Laboratory;
  readonly #smallest: StressSize;
  readonly #signature: string;
  /** Smaller sizes that were searched once; a second time the cut plan alone is tried. */
  readonly #searched = new Set<string>();

  constructor(laboratory: Laboratory, smallest: StressSize, best: Best) {
    this.#laboratory = laboratory;
    this.#smallest = smallest;
    this.best = best;
    this.#signature = best.failure.signature;
  }

  toFixpoint(): boolean {
    for (let round = 0; round < ROUNDS_MAX; round++) {
      const before = this.best;
      this.#dropCpus();
      this.#dropOperations();
      this.#reduceSwitches();
      this.#extendSegments();
      this.#reduceLateStores();
      this.#reduceValues();
      if (this.#laboratory.expired()) return false;
      if (this.best === before && !this.#findShorter()) return true;
    }
    return false;
  }

  #findShorter(): boolean {
    const { failure, cost } = this.best;
    const isShort = (other: FailedSchedule): boolean => compareCosts(costOf(other), cost) < 0;
    const found = this.#laboratory.search(failure.size, this.#signature, isShort);
    if (found !== null) this.#accept(found, null);
    return found !== null;
  }

  #dropCpus(): void {
    for (let cpu = this.best.failure.size.cpus - 1; cpu >= 0; cpu--) {
      const { size } = this.best.failure;
      if (size.cpus <= this.#smallest.cpus) return;
      this.#trySize({ ...size, cpus: size.cpus - 1 }, withoutCpu(this.best.plan, cpu), cpu === 0);
    }
  }

  #dropOperations(): void {
    for (;;) {
      const { size } = this.best.failure;
      if (size.operations <= this.#smallest.operations) return;
      const fewer = { ...size, operations: size.operations - 1 };
      if (!this.#trySize(fewer, this.best.plan, true)) return;
    }
  }

  /** A smaller size is always better. */
  #trySize(size: StressSize, plan: Plan, searches: boolean): boolean {
    if (this.#laboratory.expired()) return false;
    let found = this.#laboratory.run(size, plan);
    if (found?.signature !== this.#signature) {
      const key = `${size.cpus}x${size.operations}`;
      found =
        searches && !this.#searched.has(key)
          ? this.#laboratory.search(size, this.#signature)
          : null;
      this.#searched.add(key);
    }
    if (found === null) return false;
    this.#accept(found, null);
    return true;
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
    const plan = { ...planOf(failure.agents, failure.values, failure.size.cpus), late };
    this.best = { failure, plan, cost: costOf(failure) };
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

/**
 * A switch is a change of the CPU at work. Drains and deliveries happen beside the CPUs: a drain
 * that does not follow a step of its CPU at once is a late store.
 */
export function costOf({ agents, values, size, undrained }: FailedSchedule): Cost {
  const { cpus } = size;
  let switches = 0;
  let lateStores = undrained;
  let atWork = -1;
  let lastCpu = -1;
  for (let i = 0; i < agents.length; i++) {
    const block = Math.floor(agents[i]! / cpus);
    const cpu = agents[i]! % cpus;
    if (block === Block.Drain) {
      if (cpu !== lastCpu) lateStores++;
    } else if (block !== Block.Delivery) {
      if (atWork >= 0 && cpu !== atWork) switches++;
      atWork = cpu;
    }
    lastCpu = cpu;
  }
  let chosen = 0;
  for (let i = 0; i < values.length; i++) if (values[i] !== 0) chosen++;
  return { switches, lateStores, values: chosen, steps: agents.length };
}

function compareCosts(a: Cost, b: Cost): number {
  return (
    a.switches + a.lateStores - (b.switches + b.lateStores) ||
    a.lateStores - b.lateStores ||
    a.values - b.values ||
    a.steps - b.steps
  );
}
