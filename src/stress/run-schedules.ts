/**
 * A campaign's worker: runs schedules of one target, chunk by chunk, and keeps of each chunk what
 * can be added to the others in any order. A schedule is a function of the setup and its number.
 */

import { assert } from '../base/assert.ts';
import { hash32, mix32 } from '../base/random.ts';
import { nameOfAddress, Space } from '../checkers/violation.ts';
import type { Explorer } from '../engine/explore/explorer.ts';
import type { ScheduleResult } from '../engine/explore/result.ts';
import { runSchedule } from '../engine/explore/run-schedule.ts';
import type { Strategy } from '../engine/explore/strategy.ts';
import {
  type CampaignSetup,
  type ChunkResult,
  type ScheduleFailure,
  type ScheduleTask,
  Shared,
} from './campaign-task.ts';
import { observeExplorer } from './oracles/all.ts';
import { resolveTarget } from './registry.ts';
import { type OpenTarget, openTarget } from './run-target.ts';
import { strategyFor } from './strategies.ts';
import type { StressSize, StressTarget } from './target.ts';

const DIGEST_WORDS = 4;
/** Distinct failures that one chunk reports. */
const FAILURES_MAX = 20;

export async function openSetup(
  setup: CampaignSetup,
  size: StressSize = setup.size,
): Promise<OpenTarget> {
  return openSized(await resolveTarget(setup.target), setup, size);
}

export function openSized(
  target: StressTarget,
  setup: CampaignSetup,
  size: StressSize,
): OpenTarget {
  const sized = target.resized === undefined ? target : { ...target, ...target.resized(size.cpus) };
  return openTarget(sized, size, {
    model: setup.model,
    seed: setup.seed,
    stepLimit: setup.stepLimit,
    observe: (explorer) => observeExplorer(explorer, sized),
  });
}

export async function runSchedules(task: ScheduleTask): Promise<readonly ChunkResult[]> {
  const { setup, count, chunk: chunkSize } = task;
  const shared = new Int32Array(task.shared);
  const heart = Shared.Hearts + task.worker;
  const open = await openSetup(setup);
  assert(setup.strategy !== 'exhaustive', 'exhaustive search has no chunks');
  const strategy = strategyFor(setup.strategy, open.explorer, setup.seed);
  const results: ChunkResult[] = [];
  const known = new Set<string>();
  while (Atomics.load(shared, Shared.Stop) === 0) {
    const chunk = Atomics.add(shared, Shared.NextChunk, 1);
    const first = chunk * chunkSize;
    if (first >= count) break;
    if (!task.keepGoing && first > Atomics.load(shared, Shared.LowestFailure)) break;
    const run = new Chunk(task, open.explorer, strategy, shared, known);
    run.all(first, Math.min(count, first + chunkSize), heart);
    results.push(run.result(chunk));
  }
  return results;
}

class Chunk {
  readonly #task: ScheduleTask;
  readonly #explorer: Explorer;
  readonly #strategy: Strategy;
  readonly #shared: Int32Array;
  /** Signatures that this worker has reported. */
  readonly #known: Set<string>;
  readonly #failures: ScheduleFailure[] = [];
  readonly #digest = new Int32Array(DIGEST_WORDS);
  readonly #byStrategy: Record<string, number> = {};
  #schedules = 0;
  #steps = 0;
  #stepsMax = 0;
  #limited = 0;
  #failed = 0;

  constructor(
    task: ScheduleTask,
    explorer: Explorer,
    strategy: Strategy,
    shared: Int32Array,
    known: Set<string>,
  ) {
    this.#task = task;
    this.#explorer = explorer;
    this.#strategy = strategy;
    this.#shared = shared;
    this.#known = known;
    explorer.reached.clear();
  }

  all(from: number, to: number, heart: number): void {
    const shared = this.#shared;
    for (let schedule = from; schedule < to; schedule++) {
      if (Atomics.load(shared, Shared.Stop) !== 0) return;
      if (!this.#task.keepGoing && schedule > Atomics.load(shared, Shared.LowestFailure)) return;
      this.#one(schedule);
      Atomics.add(shared, heart, 1);
      Atomics.add(shared, Shared.Done, 1);
      if (this.#failed > 0 && !this.#task.keepGoing) return;
    }
  }

  #one(schedule: number): void {
    const result = runSchedule(this.#explorer, this.#strategy, schedule);
    this.#schedules++;
    this.#steps += result.steps;
    this.#stepsMax = Math.max(this.#stepsMax, result.steps);
    const { name } = this.#strategy;
    this.#byStrategy[name] = (this.#byStrategy[name] ?? 0) + 1;
    this.#addDigest(schedule, result);
    if (result.outcome === 'step-limit') this.#limited++;
    if (result.outcome === 'failed') this.#addFailure(schedule, name, result);
  }

  #addFailure(schedule: number, strategy: string, result: ScheduleResult): void {
    const finding = result.finding!;
    const { oracles } = this.#task.setup;
    if (oracles.length > 0 && !oracles.includes(finding.oracle)) return;
    this.#failed++;
    if (!this.#task.keepGoing) lower(this.#shared, Shared.LowestFailure, schedule);
    const signature = signatureOf(this.#explorer, result);
    if (this.#known.has(signature) || this.#failures.length >= FAILURES_MAX) return;
    this.#known.add(signature);
    const { agents, values } = result;
    this.#failures.push({ schedule, strategy, finding, signature, agents, values });
  }

  /** Which agents took which steps, and how it ended. */
  #addDigest(schedule: number, { steps, outcome }: ScheduleResult): void {
    const { agents } = this.#explorer;
    let h = mix32(schedule ^ (outcome.length << 24));
    for (let i = 0; i < steps; i++) h = (Math.imul(h, 31) + agents[i]!) | 0;
    for (let lane = 0; lane < DIGEST_WORDS; lane++) {
      this.#digest[lane]! += hash32(h, schedule, steps, lane);
    }
  }

  result(chunk: number): ChunkResult {
    return {
      chunk,
      schedules: this.#schedules,
      steps: this.#steps,
      stepsMax: this.#stepsMax,
      limited: this.#limited,
      reached: [...this.#explorer.reached],
      failures: this.#failures,
      failed: this.#failed,
      digest: [...this.#digest],
      byStrategy: this.#byStrategy,
    };
  }
}

function lower(shared: Int32Array, word: number, value: number): void {
  for (;;) {
    const old = Atomics.load(shared, word);
    if (value >= old || Atomics.compareExchange(shared, word, old, value) === old) return;
  }
}

/** Two failures are the same if the same oracle speaks about the same field. */
export function signatureOf(explorer: Explorer, { finding }: ScheduleResult): string {
  const { oracle, hi, lo } = finding!;
  // Who is where when the step limit ends it says nothing.
  if (oracle === 'livelock') return oracle;
  const field = nameOfAddress(Space.Physical, hi, lo, explorer.setup.symbols) ?? 'memory';
  // A word in a CPU's own area is the same word whichever CPU it is.
  return `${oracle}@${field.replace(/^cpu\d+/, 'cpu')}`;
}
