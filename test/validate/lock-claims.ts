/**
 * What the registry of locks claims, as bounds on what is measured. The claims are read from the
 * words of LockFacts, so that the table that users see is what is held against the emulation.
 * Bounds that the words leave out are said here: what fair and bounded mean.
 */

import type { LockFacts } from '../../src/sync/lock.ts';

export interface Claim {
  readonly least: number;
  readonly most: number;
}

/** Counts of lines and acquisitions may be off by this much, shares by the same. */
export const LOCK_TOLERANCE = 0.1;

/** A claim of exactly 0 allows this much. */
const NOTHING = 0.01;

const JAIN_OF_FAIR = 0.95;

/** Of O(1) and O(n), with four times as many CPUs. */
const GROWTH_CONSTANT_MOST = 1.25;
const GROWTH_LINEAR_LEAST = 2;

export function fits(value: number, { least, most }: Claim): boolean {
  return value >= least * (1 - LOCK_TOLERANCE) && value <= most * (1 + LOCK_TOLERANCE) + NOTHING;
}

/**
 * Lines per hand-over with `cpuCount` CPUs; of reader-writer locks, between writers. The last
 * clause that starts with a number is about the most CPUs or the longest waits. Null: no bound.
 */
export function linesClaim({ transfers }: LockFacts, cpuCount: number): Claim | null {
  const clause = transfers
    .split(/[;,] /)
    .findLast((text) => /^(up to )?\d/.test(text) && !text.includes('read'));
  const found = /^(up to )?(\d+)(n?)(?: to (\d+)(n?))?/.exec(clause ?? '');
  if (clause === undefined || found === null) return null;
  const [, upTo, low, lowPerCpu, high, highPerCpu] = found;
  const first = Number(low) * (lowPerCpu === 'n' ? cpuCount : 1);
  const last = high === undefined ? first : Number(high) * (highPerCpu === 'n' ? cpuCount : 1);
  const open = /(?<!CPUs) and more|and a wake-up/.test(clause);
  return { least: upTo === undefined ? first : 0, most: open ? Number.POSITIVE_INFINITY : last };
}

/** Lines with the most CPUs over those with the fewest. */
export function growthClaim(facts: LockFacts): Claim | null {
  if (/^up to \d+n|^unbounded/.test(facts.transfers)) {
    return { least: GROWTH_LINEAR_LEAST, most: Number.POSITIVE_INFINITY };
  }
  const few = linesClaim(facts, 8);
  const many = linesClaim(facts, 32);
  if (few === null || few.most === Number.POSITIVE_INFINITY || few.most !== many?.most) return null;
  return { least: 0, most: GROWTH_CONSTANT_MOST };
}

/** Hand-overs inside a node before one leaves it. */
function localPasses({ transfers }: LockFacts): number | null {
  const found = /inside the node but 1 in (\d+)/.exec(transfers);
  return found === null ? null : Number(found[1]);
}

/** Part of the hand-overs that leaves the node. With nothing done for it, half of them or less. */
export function betweenNodesClaim(facts: LockFacts): Claim | null {
  if (!facts.numaAware) return null;
  const passes = localPasses(facts);
  return { least: 0, most: passes === null ? 1 / 2 : 1 / passes };
}

export function jainClaim({ fair }: LockFacts): Claim | null {
  return fair ? { least: JAIN_OF_FAIR, most: 1 } : null;
}

/**
 * Fair: nobody else comes in more than twice. Bounded: the other node has its passes, then the own
 * node's queue is served.
 */
export function bypassClaim(facts: LockFacts, cpuCount: number): Claim | null {
  if (facts.fair) return { least: 0, most: 2 * (cpuCount - 1) };
  const passes = localPasses(facts);
  return passes === null ? null : { least: 0, most: passes + cpuCount };
}

export function readClaim({ transfers }: LockFacts): Claim | null {
  const found = /(\d+) per (?:biased )?read/.exec(transfers);
  return found === null ? null : { least: Number(found[1]), most: Number(found[1]) };
}

const TIMES: Readonly<Record<string, number>> = { '': 1, ' twice': 2, ' three times': 3 };

/** A write after reads, `machineCpus` being all CPUs: those that don't take part have words too. */
export function writeClaim({ transfers }: LockFacts, machineCpus: number): Claim | null {
  const times = /all CPUs( \w+(?: times)?)? per write/.exec(transfers);
  if (times === null) return null;
  const lines = machineCpus * TIMES[times[1] ?? '']!;
  return { least: lines, most: lines };
}
