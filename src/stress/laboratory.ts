/**
 * Where a failing schedule is made short: runs the plans of the minimiser and searches schedules of
 * other sizes. What it may do is counted in steps, never timed, so that the same failure comes out
 * the same on every machine; a clock only ends what is far beyond all measure (a user's own lock
 * may take any time per step).
 */

import type { MemoryModel } from '../engine/explore/execution.ts';
import { runSchedule } from '../engine/explore/run-schedule.ts';
import { Recorded } from '../engine/explore/strategies/recorded.ts';
import type { Strategy } from '../engine/explore/strategy.ts';
import { type CampaignSetup, type MinimiseTask, Shared } from './campaign-task.ts';
import type { Laboratory } from './cut-schedule.ts';
import { Block, Guide, type Plan, planOf } from './guide.ts';
import { openSized, signatureOf } from './run-schedules.ts';
import type { OpenTarget } from './run-target.ts';
import { type FailedSchedule, PreemptionNotes } from './schedule-cost.ts';
import { strategyFor, type Turns } from './strategies.ts';
import type { StressSize, StressTarget } from './target.ts';

/** Schedules of one search, and their steps. */
const SEARCH_SCHEDULES = 4000;
const SEARCH_STEPS = 150_000;
/** Of all trials: about 3 s; going back to boot counts as so many steps. */
const STEPS_MAX = 3_000_000;
const BOOT_STEPS = 50;
/** Without an end: steps after which a schedule counts as such, tries of its start. */
const ENDLESS_LIMIT = 3000;
const ENDLESS_STARTS = [0, 25, 50, 100, 200, 400, 800];

type Search = 'mix' | 'few preemptions';

export class TrialLaboratory implements Laboratory {
  readonly target: StressTarget;
  setup: CampaignSetup;
  trials = 0;
  steps = 0;
  readonly #deadlineMs: number;
  readonly #shared: Int32Array;
  readonly #heart: number;
  readonly #open = new Map<string, OpenTarget>();
  readonly #strategies = new Map<string, Turns>();
  #searched = 0;
  #others = 0;

  constructor(target: StressTarget, task: MinimiseTask, deadlineMs: number) {
    this.target = target;
    const { setup, failure } = task;
    this.setup = isEndless(failure) ? { ...setup, stepLimit: ENDLESS_LIMIT } : setup;
    this.#shared = new Int32Array(task.shared);
    this.#heart = Shared.Hearts + task.worker;
    this.#deadlineMs = deadlineMs;
  }

  expired(): boolean {
    if (this.steps > STEPS_MAX || performance.now() > this.#deadlineMs) return true;
    return Atomics.load(this.#shared, Shared.Stop) !== 0;
  }

  run(size: StressSize, plan: Plan): FailedSchedule | null {
    const guide = new Guide(plan);
    return this.#one(size, guide, 0, () => guide.fairFrom);
  }

  /** The schedule as it was found; of one without an end the shortest start that is enough. */
  first({ agents, values, signature }: MinimiseTask['failure']): FailedSchedule {
    const { size } = this.setup;
    const whole = { size, agents, values, signature, undrained: 0, preemptions: 0 };
    const again = isEndless(whole)
      ? this.#shortened(whole)
      : this.#one(size, new Recorded(agents, values), 0);
    return again?.signature === signature ? again : whole;
  }

  /** Of a schedule without an end the shortest start after which taking turns does not end it. */
  #shortened({ size, agents, values, signature }: FailedSchedule): FailedSchedule | null {
    const all = Array.from(agents);
    for (const steps of ENDLESS_STARTS) {
      const found = this.run(size, planOf(all.slice(0, steps), values, size.cpus));
      if (found?.signature === signature) return found;
    }
    return null;
  }

  /** A mistake that needs no store buffer is told without them. */
  withoutBuffers(signature: string): FailedSchedule | null {
    const { setup } = this;
    if (setup.model === 'sc') return null;
    this.#useModel('sc');
    const found = this.search(setup.size, signature);
    if (found === null) this.#useModel(setup.model);
    return found;
  }

  /** The same for a short schedule in which no store is late: its drains are left out. */
  withoutDrains({ size, agents, values, signature }: FailedSchedule): FailedSchedule | null {
    const { model } = this.setup;
    this.#useModel('sc');
    const plain = Array.from(agents).filter(
      (agent) => Math.floor(agent / size.cpus) !== Block.Drain,
    );
    const found = this.run(size, planOf(plain, values, size.cpus));
    if (found?.signature === signature) return found;
    this.#useModel(model);
    return null;
  }

  #useModel(model: MemoryModel): void {
    this.setup = { ...this.setup, model };
    this.#open.clear();
    this.#strategies.clear();
  }

  search(size: StressSize, signature: string): FailedSchedule | null {
    return this.#search(size, signature, 'mix');
  }

  another(size: StressSize, signature: string): FailedSchedule | null {
    // In turns: one is short in switches, the other may be in steps.
    return this.#search(size, signature, this.#others++ % 2 === 0 ? 'few preemptions' : 'mix');
  }

  #search(size: StressSize, signature: string, how: Search): FailedSchedule | null {
    const strategy = this.#strategyOf(size, how);
    const stepsMax = this.steps + SEARCH_STEPS;
    for (let i = 0; i < SEARCH_SCHEDULES && this.steps < stepsMax && !this.expired(); i++) {
      const found = this.#one(size, strategy, this.#searched++);
      if (found?.signature !== signature) continue;
      const short = isEndless(found) ? this.#shortened(found) : found;
      if (short !== null) return short;
    }
    return null;
  }

  #strategyOf(size: StressSize, how: Search): Turns {
    const key = `${how} ${keyOf(size)}`;
    const { explorer } = this.opened(size);
    const known = this.#strategies.get(key) ?? strategyFor(how, explorer, this.setup.seed);
    this.#strategies.set(key, known);
    return known;
  }

  /** `fairFrom`: in a schedule without an end agents take turns from there on: no part of it. */
  #one(
    size: StressSize,
    strategy: Strategy,
    schedule: number,
    fairFrom: () => number = () => Number.POSITIVE_INFINITY,
  ): FailedSchedule | null {
    const { explorer } = this.opened(size);
    Atomics.add(this.#shared, this.#heart, 1);
    const notes = new PreemptionNotes(strategy);
    const result = runSchedule(explorer, notes, schedule);
    this.trials++;
    this.steps += result.steps + BOOT_STEPS;
    if (result.outcome !== 'failed') return null;
    const signature = signatureOf(explorer, result);
    const { values } = result;
    const isCut = isEndless({ signature, agents: result.agents });
    const agents = isCut ? result.agents.slice(0, fairFrom()) : result.agents;
    const undrained = explorer.cpus.reduce((sum, { buffer }) => sum + buffer.count, 0);
    const preemptions = notes.within(agents.length);
    return { size, agents, values, preemptions, undrained, signature };
  }

  opened(size: StressSize): OpenTarget {
    const known = this.#open.get(keyOf(size)) ?? openSized(this.target, this.setup, size);
    this.#open.set(keyOf(size), known);
    return known;
  }
}

function keyOf({ cpus, operations }: StressSize): string {
  return `${cpus}x${operations}`;
}

/** Failed because it did not end; an oracle may know earlier that nobody gets anywhere. */
export function isEndless({
  signature,
  agents,
}: {
  readonly signature: string;
  readonly agents: ArrayLike<number>;
}): boolean {
  return signature === 'livelock' && agents.length >= ENDLESS_LIMIT;
}
