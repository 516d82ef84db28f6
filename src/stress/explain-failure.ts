/**
 * From a failing schedule to its story: the schedule made short, run once more with a trace, and
 * the string that replays it. Runs in a worker, because the target may be a user's lock.
 */

import { nameOfAddress, Space } from '../checkers/violation.ts';
import type { MemoryModel } from '../engine/explore/execution.ts';
import type { Explorer } from '../engine/explore/explorer.ts';
import { type TracedResult, traceSchedule } from '../engine/explore/replay-schedule.ts';
import type { ExploreFinding, TraceStep } from '../engine/explore/result.ts';
import { runSchedule } from '../engine/explore/run-schedule.ts';
import { buildId } from '../run/build.ts';
import { type CampaignSetup, type MinimiseTask, Shared } from './campaign-task.ts';
import { Guide, type Plan, planOf } from './guide.ts';
import { costOf, type FailedSchedule, type Laboratory, minimise } from './minimise.ts';
import { resolveTarget } from './registry.ts';
import { encodeReplay } from './replay-string.ts';
import { openSized, signatureOf } from './run-schedules.ts';
import type { OpenTarget } from './run-target.ts';
import { strategyFor, type Turns } from './strategies.ts';
import type { StressSize, StressTarget } from './target.ts';

export interface FailureStory {
  /** Of the campaign; -1: of a replay. */
  readonly schedule: number;
  readonly strategy: string;
  readonly signature: string;
  /** Of the short schedule. */
  readonly finding: ExploreFinding;
  /** "0x1000 count0". */
  readonly address: string;
  readonly size: StressSize;
  readonly trace: readonly TraceStep[];
  readonly switches: number;
  readonly lateStores: number;
  /** sc: it fails without store buffers, too. */
  readonly model: MemoryModel;
  readonly isFixpoint: boolean;
  readonly minimisedMs: number;
  readonly original: {
    readonly size: StressSize;
    readonly steps: number;
    readonly switches: number;
  };
  readonly replay: string;
}

/** Schedules that are searched when a smaller size is tried. */
const SEARCH_SCHEDULES = 800;
/** Without an end: steps after which a schedule counts as such, tries of its start, steps shown. */
const ENDLESS_LIMIT = 3000;
const ENDLESS_STARTS = [0, 25, 50, 100, 200, 400, 800];
const ENDLESS_STEPS = 60;
export const USER_HASH_LENGTH = 16;

export async function explainFailure(task: MinimiseTask): Promise<FailureStory> {
  const { setup, failure, limitMs } = task;
  const startMs = performance.now();
  const bench = new Bench(await resolveTarget(setup.target), task, startMs + limitMs);
  const { size } = setup;
  const { agents, values, signature } = failure;
  const whole: FailedSchedule = { size, agents, values, signature, undrained: 0 };
  const again = bench.shortened(whole) ?? whole;
  const first = bench.withoutBuffers(signature) ?? again;
  const short = minimise(first, bench.target.smallest, bench);
  const minimisedMs = performance.now() - startMs;
  const steps = agents.length;
  return {
    ...bench.tell(short.failure),
    schedule: failure.schedule,
    strategy: failure.strategy,
    switches: short.switches,
    lateStores: short.lateStores,
    model: bench.setup.model,
    isFixpoint: short.isFixpoint,
    minimisedMs,
    original: { size, steps, switches: costOf(whole).switches },
  };
}

class Bench implements Laboratory {
  readonly target: StressTarget;
  setup: CampaignSetup;
  readonly #deadlineMs: number;
  readonly #schedule: number;
  readonly #shared: Int32Array;
  readonly #heart: number;
  readonly #open = new Map<string, OpenTarget>();
  #searched = 0;

  constructor(target: StressTarget, task: MinimiseTask, deadlineMs: number) {
    this.target = target;
    const { setup, failure } = task;
    this.setup = isEndless(failure) ? { ...setup, stepLimit: ENDLESS_LIMIT } : setup;
    this.#schedule = task.failure.schedule;
    this.#shared = new Int32Array(task.shared);
    this.#heart = Shared.Hearts + task.worker;
    this.#deadlineMs = deadlineMs;
  }

  expired(): boolean {
    return performance.now() > this.#deadlineMs || Atomics.load(this.#shared, Shared.Stop) !== 0;
  }

  run(size: StressSize, plan: Plan): FailedSchedule | null {
    const guide = new Guide(plan);
    const found = this.#one(size, guide, 0);
    if (found === null || !isEndless(found)) return found;
    // From there on agents take turns: that is no part of the schedule.
    return { ...found, agents: Array.from(found.agents).slice(0, guide.fairFrom) };
  }

  /** Of a schedule without an end the shortest start after which taking turns does not end it. */
  shortened(failure: FailedSchedule): FailedSchedule | null {
    const { size, agents, values, signature } = failure;
    const all = Array.from(agents);
    for (const steps of isEndless(failure) ? ENDLESS_STARTS : [all.length]) {
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

  #useModel(model: MemoryModel): void {
    this.setup = { ...this.setup, model };
    this.#open.clear();
  }

  search(
    size: StressSize,
    signature: string,
    isShort: (failure: FailedSchedule) => boolean = () => true,
  ): FailedSchedule | null {
    const { explorer } = this.#opened(size);
    const strategy: Turns = strategyFor('mix', explorer, this.setup.seed);
    for (let i = 0; i < SEARCH_SCHEDULES && !this.expired(); i++) {
      // No two searches try the same.
      const found = this.#one(size, strategy, this.#searched++);
      if (found?.signature !== signature) continue;
      const short = isEndless(found) ? this.shortened(found) : found;
      if (short !== null && isShort(short)) return short;
    }
    return null;
  }

  #one(size: StressSize, strategy: Guide | Turns, schedule: number): FailedSchedule | null {
    const { explorer } = this.#opened(size);
    Atomics.add(this.#shared, this.#heart, 1);
    const result = runSchedule(explorer, strategy, schedule);
    if (result.outcome !== 'failed') return null;
    const { agents, values } = result;
    const undrained = explorer.cpus.reduce((sum, { buffer }) => sum + buffer.count, 0);
    return { size, agents, values, undrained, signature: signatureOf(explorer, result) };
  }

  #opened(size: StressSize): OpenTarget {
    const key = `${size.cpus}x${size.operations}`;
    const known = this.#open.get(key) ?? openSized(this.target, this.setup, size);
    this.#open.set(key, known);
    return known;
  }

  /** Once more, with a trace. */
  tell({ size, agents, values }: FailedSchedule): Told {
    const { explorer } = this.#opened(size);
    const traced = traceSchedule(explorer, agents, values);
    return tellStory(this.setup, size, this.#schedule, explorer, traced, agents.length);
  }
}

export type Told = Pick<
  FailureStory,
  'signature' | 'finding' | 'address' | 'size' | 'trace' | 'replay'
>;

/** What a traced failure says, and the string that replays it. */
export function tellStory(
  { target, model, seed }: CampaignSetup,
  size: StressSize,
  schedule: number,
  explorer: Explorer,
  traced: TracedResult,
  /** Steps of the schedule; agents take turns afterwards. */
  recorded: number,
): Told {
  const { trace, log } = traced;
  const finding = traced.finding!;
  const { hi, lo } = finding;
  const signature = signatureOf(explorer, traced);
  const endless = isEndless({ signature, agents: traced.agents });
  const kept = endless ? segmentsWithin(trace, recorded) : log.segments.length;
  const replay = encodeReplay({
    target: target.name,
    mutant: target.mutant,
    cpus: size.cpus,
    operations: size.operations,
    model,
    seed,
    schedule,
    build: buildId(),
    userHash: target.lock?.sha256.slice(0, USER_HASH_LENGTH) ?? '',
    signature,
    segments: log.segments.slice(0, kept),
    values: log.values,
  });
  return {
    signature,
    finding,
    address: `0x${hexOf(hi, lo)}${fieldOf(explorer, hi, lo)}`,
    size,
    trace: endless ? trace.slice(0, recorded + ENDLESS_STEPS) : trace,
    replay,
  };
}

/** Failed because it did not end; an oracle may know earlier that nobody gets anywhere. */
function isEndless({
  signature,
  agents,
}: {
  readonly signature: string;
  readonly agents: ArrayLike<number>;
}): boolean {
  return signature === 'livelock' && agents.length >= ENDLESS_LIMIT;
}

/** " lock0", or nothing. */
function fieldOf(explorer: Explorer, hi: number, lo: number): string {
  const name = nameOfAddress(Space.Physical, hi, lo, explorer.setup.symbols);
  return name === null ? '' : ` ${name}`;
}

/** Segments that end within so many steps. */
function segmentsWithin(trace: readonly TraceStep[], steps: number): number {
  let count = 0;
  for (let i = 0; i < Math.min(steps, trace.length); i++) {
    if (trace[i + 1]?.agent !== trace[i]!.agent) count++;
  }
  return count;
}

function hexOf(hi: number, lo: number): string {
  const digits = [hi & 0xffff, lo].map((word) => (word >>> 0).toString(16).padStart(8, '0'));
  return digits.join('').replace(/^0+(?=.)/, '');
}
