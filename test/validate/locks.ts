/**
 * The locks: what the registry claims of each beside what the virtual engine counts, on the
 * default machine of lock_contention with CPUs of two nodes. Every CPU asks again and again; the
 * lock is always contended.
 */

import { loadMachine } from '../../src/machine/catalog.ts';
import type { Machine } from '../../src/machine/machine.ts';
import { cpuOrder } from '../../src/run/placement.ts';
import { LOCK_NAMES, LOCKS } from '../../src/sync/registry.ts';
import { lockContention } from '../../workloads/lock_contention.ts';
import {
  handOverFigures,
  linesOfWriteAfterReads,
  transfersPerRead,
} from '../support/lock-transfers.ts';
import type { ScenarioPlace } from '../support/virtual-scenario.ts';
import {
  betweenNodesClaim,
  bypassClaim,
  type Claim,
  fits,
  growthClaim,
  jainClaim,
  linesClaim,
  readClaim,
  writeClaim,
} from './lock-claims.ts';

export const CPU_COUNTS = [8, 16, 32] as const;
/** Over all CPUs; several turns of both nodes also for the locks that stay inside a node. */
const HAND_OVERS = 4096;
const READS_EACH = 100;
const PLAIN = { witness: false, shuffle: 0, translations: false, repeats: false };

export interface LockFigure {
  /** Unique; the key in `--json`. */
  readonly name: string;
  readonly unit: string;
  readonly value: number;
  /** Null: nothing is claimed. */
  readonly claim: Claim | null;
  readonly machineHash: string;
}

/** A lock with so many CPUs. */
export interface LockRow {
  readonly lock: string;
  /** The words of the registry. */
  readonly claimed: string;
  readonly cpuCount: number;
  readonly figures: Readonly<Record<string, LockFigure>>;
}

export interface LockValidation {
  readonly machine: string;
  readonly machineHash: string;
  readonly rows: readonly LockRow[];
}

export function fitsClaim({ value, claim }: LockFigure): boolean | null {
  return claim === null ? null : fits(value, claim);
}

export function lockFigures({ rows }: LockValidation): LockFigure[] {
  return rows.flatMap(({ figures }) => Object.values(figures));
}

export function validateLocks(): LockValidation {
  const machine = loadMachine(lockContention.defaultMachine);
  const rows = LOCK_NAMES.filter((lock) => lock !== 'none').flatMap((lock) => {
    process.stderr.write(`validate: ${lock}\n`);
    return rowsOfLock(lock, machine);
  });
  return { machine: machine.name, machineHash: machine.hash, rows };
}

function rowsOfLock(lock: string, machine: Machine): LockRow[] {
  const { cpusMax } = LOCKS[lock]!.make();
  const counts = cpusMax === undefined ? CPU_COUNTS : [cpusMax];
  const order = cpuOrder(machine, 'spread');
  const rows: LockRow[] = [];
  for (const cpuCount of counts) {
    const place = { machine, cpus: order.slice(0, cpuCount), debug: PLAIN };
    rows.push(rowOf(lock, place, rows[0]?.figures['lines']?.value ?? null));
  }
  return rows;
}

/** `fewest`: lines per hand-over with the fewest CPUs; null: these are they. */
function rowOf(lock: string, place: ScenarioPlace, fewest: number | null): LockRow {
  const { facts, kind } = LOCKS[lock]!;
  const { machine, cpus } = place;
  const cpuCount = cpus.length;
  const figures: Record<string, LockFigure> = {};
  const add = (figure: string, unit: string, value: number, claim: Claim | null): void => {
    const name = `locks.${lock}.${cpuCount}.${figure}`;
    figures[figure] = { name, unit, value, claim, machineHash: machine.hash };
  };
  const found = handOverFigures(lock, HAND_OVERS / cpuCount, place);
  add('lines', 'lines per hand-over', found.lines, linesClaim(facts, cpuCount));
  add('remoteLines', 'lines per hand-over', found.remoteLines, null);
  add('betweenNodes', 'share of hand-overs', found.betweenNodes, betweenNodesClaim(facts));
  add('jain', 'index', found.jain, jainClaim(facts));
  add('bypass', 'acquisitions', found.longestBypass, bypassClaim(facts, cpuCount));
  if (fewest !== null && cpuCount === CPU_COUNTS.at(-1)) {
    add('growth', 'ratio', found.lines / fewest, growthClaim(facts));
  }
  if (kind === 'read-write') {
    add('read', 'lines per read', transfersPerRead(lock, READS_EACH, place), readClaim(facts));
    const lines = linesOfWriteAfterReads(lock, READS_EACH, place);
    add('write', 'lines per write', lines, writeClaim(facts, machine.cpuCount));
  }
  return { lock, claimed: facts.transfers, cpuCount, figures };
}
