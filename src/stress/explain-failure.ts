/**
 * From a failing schedule to its story: the schedule made short, run once more with a trace, and
 * the string that replays it. Runs in a worker, because the target may be a user's lock.
 */

import { nameOfAddress, Space } from '../checkers/violation.ts';
import type { MemoryModel } from '../engine/explore/execution.ts';
import type { Explorer } from '../engine/explore/explorer.ts';
import { type TracedResult, traceSchedule } from '../engine/explore/replay-schedule.ts';
import type { ExploreFinding, TraceStep } from '../engine/explore/result.ts';
import { buildId } from '../run/build.ts';
import type { CampaignSetup, MinimiseTask } from './campaign-task.ts';
import { isEndless, TrialLaboratory } from './laboratory.ts';
import { type Minimised, minimise } from './minimise.ts';
import { resolveTarget } from './registry.ts';
import { encodeReplay } from './replay-string.ts';
import { signatureOf } from './run-schedules.ts';
import { costOf, type FailedSchedule } from './schedule-cost.ts';
import type { StressSize } from './target.ts';

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
  /** Switches away from a CPU that could have gone on. */
  readonly preemptions: number;
  readonly lateStores: number;
  /** sc: it fails without store buffers, too. */
  readonly model: MemoryModel;
  readonly isFixpoint: boolean;
  /** Schedules that were run to make it short. */
  readonly trials: number;
  readonly minimisedMs: number;
  readonly original: {
    readonly size: StressSize;
    readonly steps: number;
    readonly switches: number;
  };
  readonly replay: string;
}

/** Without an end: steps shown. */
const ENDLESS_STEPS = 60;
export const USER_HASH_LENGTH = 16;

export async function explainFailure(task: MinimiseTask): Promise<FailureStory> {
  const { setup, failure, limitMs } = task;
  const startMs = performance.now();
  const target = await resolveTarget(setup.target);
  const laboratory = new TrialLaboratory(target, task, startMs + limitMs);
  const whole = laboratory.first(failure);
  const first = laboratory.withoutBuffers(failure.signature) ?? whole;
  const short = shortest(first, target.smallest, laboratory);
  const { size, agents, values } = short.failure;
  const { explorer } = laboratory.opened(size);
  const traced = traceSchedule(explorer, agents, values);
  const told = { ...laboratory.setup, size, schedule: failure.schedule };
  return {
    ...tellStory(told, explorer, traced, agents.length),
    schedule: failure.schedule,
    strategy: failure.strategy,
    switches: short.switches,
    preemptions: short.preemptions,
    lateStores: short.lateStores,
    model: laboratory.setup.model,
    isFixpoint: short.isFixpoint,
    trials: laboratory.trials,
    minimisedMs: performance.now() - startMs,
    original: {
      size: setup.size,
      steps: failure.agents.length,
      switches: costOf({ ...whole, agents: failure.agents, size: setup.size }).switches,
    },
  };
}

function shortest(
  first: FailedSchedule,
  smallest: StressSize,
  laboratory: TrialLaboratory,
): Minimised {
  const short = minimise(first, smallest, laboratory);
  if (laboratory.setup.model === 'sc' || short.lateStores > 0) return short;
  const plain = laboratory.withoutDrains(short.failure);
  return plain === null ? short : minimise(plain, smallest, laboratory);
}

export type Told = Pick<
  FailureStory,
  'signature' | 'finding' | 'address' | 'size' | 'trace' | 'replay'
>;

/** What a traced failure says, and the string that replays it. */
export function tellStory(
  { target, model, seed, size, schedule }: CampaignSetup & { readonly schedule: number },
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
