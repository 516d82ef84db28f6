/**
 * Promise: of every seeded mistake that is found under sc or tso, `numalab stress` prints a short
 * schedule, with as many preemptions and late stores as the mistake is deep and two at most, after
 * a bounded number of trials; and its replay string fails the same way in a second process.
 *
 * Switches that are no preemptions follow from the program: whoever was at work had ended or waits.
 */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { MUTANTS } from '../../src/stress/mutants/catalogue.ts';
import { isShortEnough, shortenMutant } from '../../src/stress/mutants/shorten-mutant.ts';
import { fixture } from './numalab.ts';

const FOUND = MUTANTS.filter(({ notHere, oracles }) => notHere === undefined && oracles.length > 0);
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

const folder = mkdtempSync(join(tmpdir(), 'numalab-replay-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('the short schedule of a mutant', () => {
  const replays: string[] = [];
  const signatures: string[] = [];

  it.each(FOUND)('$id $name', async ({ id, depth, oracles }) => {
    const story = (await shortenMutant(MUTANTS.find((mutant) => mutant.id === id)!))!;
    replays.push(story.replay);
    signatures.push(story.signature);
    expect(oracles).toContain(story.finding.oracle);
    expect(story.isFixpoint).toBe(true);
    expect(story.trials).toBeLessThan(TRIALS_MAX);
    expect(isShortEnough(depth, story), `${story.preemptions} + ${story.lateStores}`).toBe(true);
    if (depth !== undefined) {
      expect(story.switches).toBeLessThanOrEqual(FORCED[id] ?? depth + 2);
    } else {
      // Starvation: each time that somebody is overtaken is a hand-over.
      expect(story.finding.oracle).toBe('starvation');
    }
  });

  it('replays in a second process, each of them', () => {
    const file = join(folder, 'replays');
    writeFileSync(file, `${replays.join('\n')}\n`);
    const output = execFileSync(process.execPath, [fixture('replay-strings'), file]);
    expect(output.toString().trim().split('\n')).toEqual(signatures);
    expect(signatures.length).toBe(FOUND.length);
  });
});
