/**
 * A short form of `npm run mutants`, which does this with all of them.
 *
 * Promise: of every seeded mistake that is found under sc or tso, `numalab stress` prints a short
 * schedule, with as many preemptions and late stores as the mistake is deep and two at most, after
 * a bounded number of trials; and its replay string fails the same way in a second process.
 *
 * Switches that are no preemptions follow from the program: whoever was at work had ended or waits.
 */

import { describe, expect, it } from 'vitest';
import { MUTANTS } from '../../src/stress/mutants/catalogue.ts';
import {
  isShortEnough,
  replayedElsewhere,
  shortenMutant,
} from '../../src/stress/mutants/shorten-mutant.ts';

/** One of each kind, and the longest. */
const IDS = 'M01 M08 M14 M16 M18 M19 M20 M31 M36 M44 M46 M52 M55 P05 P08 P12 P13 P17 P23'.split(
  ' ',
);
const SAMPLE = MUTANTS.filter(({ id }) => IDS.includes(id));
/** About 3 s; the largest takes 12,000. */
const TRIALS_MAX = 30_000;
/** More than depth + 2 switches, preempted or not: what has to happen takes so many turns. */
const FORCED: Readonly<Record<string, number>> = {
  // Owner, one that saw it, one pending, one queued; then the first three again.
  M16: 6,
  // Owner, pending, queued, and these in turn; then a fourth comes behind the one that leaves.
  M18: 7,
  M20: 7,
  // Handlers within handlers, five levels of each.
  M19: 22,
};

describe('the short schedule of a mutant', () => {
  const replays: string[] = [];
  const signatures: string[] = [];

  it.each(SAMPLE)('$id $name', async ({ id, depth, oracles }) => {
    const story = (await shortenMutant(MUTANTS.find((mutant) => mutant.id === id)!))!;
    replays.push(story.replay);
    signatures.push(story.signature);
    expect(oracles).toContain(story.finding.oracle);
    expect(story.isFixpoint).toBe(true);
    expect(story.trials).toBeLessThan(TRIALS_MAX);
    expect(isShortEnough(depth, story), `${story.preemptions} + ${story.lateStores}`).toBe(true);
    if (depth !== undefined) {
      expect(story.switches).toBeLessThanOrEqual(FORCED[id] ?? depth + 2);
    }
  });

  it('replays in a second process, each of them', () => {
    expect(replayedElsewhere(replays)).toEqual(signatures);
    expect(signatures.length).toBe(IDS.length);
  });
});
