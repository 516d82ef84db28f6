/**
 * Makes a failing schedule short enough to be read. A fixpoint of cuts (cut-schedule.ts) may be far
 * from the shortest schedule, so other schedules of the same size that fail so are cut as well,
 * until several in turn come out no shorter; and what is still long is edited at random, because
 * two schedules may be one edit and several cuts apart. Nobody else minimises schedules; this is
 * delta debugging with restarts and a walk over plateaus.
 *
 * Trials are counted, not timed, and random numbers have a seed: a failure has one short schedule,
 * on every machine.
 */

import { RandomStream } from '../base/random.ts';
import { type Best, bestOf, Cutter, type Laboratory } from './cut-schedule.ts';
import type { Plan } from './guide.ts';
import { compareCosts, type FailedSchedule, lengthOf } from './schedule-cost.ts';
import type { StressSize } from './target.ts';

export interface Minimised {
  readonly failure: FailedSchedule;
  readonly plan: Plan;
  readonly switches: number;
  readonly preemptions: number;
  readonly lateStores: number;
  /** Nothing could be left out any more; false: trials ran out. */
  readonly isFixpoint: boolean;
}

/** So many other schedules in turn came out no shorter: enough. */
const MISSES_MAX = 3;
/** Random edits: so many, of so many steps together; how much longer they may make it. */
const SHAKES_MAX = 2000;
const SHAKE_STEPS = 250_000;
const SHAKE_SLACK = 1;
/** So many times in vain: enough. Switches that nobody minds. */
const SHAKES_MISSED = 2;
const SHORT = 4;

export function minimise(
  failure: FailedSchedule,
  smallest: StressSize,
  laboratory: Laboratory,
): Minimised {
  const first = new Cutter(laboratory, smallest, bestOf(failure, null));
  first.toFixpoint();
  const short = first.isFixpoint ? shortest(first, laboratory) : first;
  shake(short, laboratory);
  const { best, isFixpoint } = short;
  const { switches, preemptions, lateStores } = best.cost;
  return { failure: best.failure, plan: best.plan, switches, preemptions, lateStores, isFixpoint };
}

/** Cuts other failing schedules of the same size, too. */
function shortest(first: Cutter, laboratory: Laboratory): Cutter {
  let short = first;
  for (let misses = 0; misses < MISSES_MAX; misses++) {
    const { size, signature } = short.best.failure;
    const failure = laboratory.another(size, signature);
    if (failure === null) break;
    const other = new Cutter(laboratory, first.smallest, bestOf(failure, null), first.searched);
    other.toFixpoint();
    if (!isBetter(other.best, short.best)) continue;
    short = other;
    misses = -1;
  }
  return short;
}

/** A smaller size is always better. */
function isBetter(a: Best, b: Best): boolean {
  const [x, y] = [a.failure.size, b.failure.size];
  const bySize = x.cpus - y.cpus || x.operations - y.operations;
  return (bySize || compareCosts(a.cost, b.cost)) < 0;
}

/**
 * Random edits, of which those are kept that make it hardly longer: what no single cut reaches may
 * be reached by way of others.
 */
function shake(cutter: Cutter, laboratory: Laboratory): void {
  const before = cutter.best;
  for (let misses = 0, round = 0; misses < SHAKES_MISSED; misses++, round++) {
    if (lengthOf(cutter.best.cost) <= SHORT) break;
    const best = shaken(cutter.best, laboratory, round);
    if (lengthOf(best.cost) < lengthOf(cutter.best.cost)) misses = -1;
    cutter.best = best;
  }
  if (cutter.best !== before) cutter.toFixpoint();
}

function shaken(from: Best, laboratory: Laboratory, round: number): Best {
  const { size, signature } = from.failure;
  const random = new RandomStream(from.cost.steps, 'shake', round);
  const trials = Math.min(SHAKES_MAX, Math.floor(SHAKE_STEPS / (from.cost.steps + 1)));
  let best = from;
  let current = from;
  for (let trial = 0; trial < trials && !laboratory.expired(); trial++) {
    const plan = edited(current, random);
    const found = laboratory.run(size, plan);
    if (found?.signature !== signature) continue;
    const next = bestOf(found, plan.late);
    if (lengthOf(next.cost) > lengthOf(best.cost) + SHAKE_SLACK) continue;
    current = next;
    if (compareCosts(next.cost, best.cost) < 0) best = next;
  }
  return best;
}

/** One to three segments left out, extended, brought forward or in another order. */
function edited({ plan, failure }: Best, random: RandomStream): Plan {
  const { agents, size } = failure;
  const below = (bound: number): number => random.uint32() % bound;
  const segments = [...plan.segments];
  for (let edits = 1 + below(3); edits > 0 && segments.length > 1; edits--) {
    const at = below(segments.length);
    const segment = segments[at]!;
    switch (below(4)) {
      case 0:
        segments.splice(at, 1);
        break;
      case 1:
        segments[at] = { ...segment, until: Number.POSITIVE_INFINITY };
        break;
      case 2:
        segments.splice(at, 0, ...segments.splice(below(segments.length), 1));
        break;
      default: {
        const agent = agents[below(agents.length)]!;
        const [block, cpu] = [Math.floor(agent / size.cpus), agent % size.cpus];
        segments.splice(at, 0, {
          block,
          cpu,
          until: 1 + below(Math.ceil(agents.length / size.cpus)),
        });
      }
    }
  }
  return { ...plan, segments };
}
