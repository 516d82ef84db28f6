/**
 * Everything that `numalab stress` can be pointed at, by name: each lock of the house under the
 * target of all locks, and the protocols. A lock gets here with its line in src/sync/registry.ts.
 */

import { UserError } from '../base/errors.ts';
import { given } from '../base/parse-quantity.ts';
import { didYouMean } from '../base/suggest.ts';
import type { Program } from '../cpu/cpu.ts';
import { importUserLock } from '../run/user-lock-file.ts';
import type { Lock } from '../sync/lock.ts';
import { LOCKS } from '../sync/registry.ts';
import type { TargetReference } from './campaign-task.ts';
import { CONTROLS, MUTANTS } from './mutants/catalogue.ts';
import type { StressTarget } from './target.ts';
import {
  canonicalName,
  optionValues,
  splitTargetName,
  type TargetOption,
} from './target-options.ts';
import { TEXT_FAMILIES, TEXT_TARGETS } from './targets/kernel-text.ts';
import { HAND_OFFS } from './targets/lock-promises.ts';
import { lockTarget } from './targets/lock-target.ts';
import { PROTOCOLS } from './targets/protocols.ts';
import { SMALL_LOCKS } from './targets/small-locks.ts';

type Make = () => StressTarget;

/** 'none' is no lock, on purpose. */
const NOT_STRESSED = new Set(['none']);

function targets(): ReadonlyMap<string, Make> {
  const all = new Map<string, Make>();
  for (const [name, { facts, make }] of Object.entries(LOCKS)) {
    if (NOT_STRESSED.has(name)) continue;
    all.set(name, () => houseLockTarget(name, facts.description, make));
  }
  for (const [name, make] of Object.entries({ ...PROTOCOLS, ...TEXT_TARGETS })) all.set(name, make);
  for (const [name, { options, make }] of Object.entries(TEXT_FAMILIES)) {
    all.set(name, () => make(optionValues(name, options, [])));
  }
  return all;
}

/**
 * Locks that look at no CPU's number but to tell one from another and to find its area: no scan
 * over CPUs, no priority, node or table entry by number. Held by exhaustive-symmetry.test.ts.
 */
const SYMMETRIC: ReadonlySet<string> = new Set([
  'tas',
  'ttas',
  'ttas-backoff',
  'ticket',
  'mcs',
  'clh',
  'qspinlock',
  'seqlock',
  'anderson',
  'k42',
  'hemlock',
  'qrwlock',
  'simple-rwlock',
]);

/** A lock for two CPUs is stressed with two, and never with more. */
function houseLockTarget(name: string, description: string, usual: () => Lock): StressTarget {
  const make = SMALL_LOCKS[name] ?? usual;
  const { cpusMax, branches = [] } = make();
  const handOff = HAND_OFFS[name];
  const own = { branches, ...(handOff === undefined ? {} : { handOff }) };
  const symmetric = SYMMETRIC.has(name);
  if (cpusMax === undefined) return lockTarget({ name, description, make, symmetric, ...own });
  const size = { cpus: cpusMax, operations: 2 };
  const { resized: _, ...target } = lockTarget({ name, description, make, size, branches });
  return target;
}

/** Words that stand for several targets. */
export const GROUPS = ['all', 'locks', 'protocols', 'text'] as const;

export function targetNames(): readonly string[] {
  return [...targets().keys()];
}

/** What a target takes beside mutant=; none for most. */
export function targetOptions(name: string): readonly TargetOption[] {
  return TEXT_FAMILIES[name]?.options ?? [];
}

/** The name of a target with the options that the user gave. */
export function nameWithOptions(name: string, words: readonly string[]): string {
  const options = targetOptions(name);
  return canonicalName(name, options, optionValues(name, options, words));
}

/** The targets that a word stands for. */
export function targetsNamed(word: string): readonly string[] {
  const all = targets();
  if (word === 'all') return [...all.keys()];
  if (word === 'locks' || word === 'protocols' || word === 'text') {
    return [...all].filter(([, make]) => make().group === word).map(([name]) => name);
  }
  if (all.has(word)) return [word];
  const known = [...GROUPS, ...all.keys()];
  const near = didYouMean(word, known) || "; 'numalab list targets' lists them";
  throw new UserError(`there is no stress target ${given(word)}${near}`);
}

export async function resolveTarget(reference: TargetReference): Promise<StressTarget> {
  const { name, mutant, lock } = reference;
  if (lock !== null) {
    const imported = await importUserLock(lock);
    return userLockTarget(name, lock.file, () => imported);
  }
  if (mutant !== '') return mutantNamed(mutant).make();
  const { base, words } = splitTargetName(name);
  const family = TEXT_FAMILIES[base];
  if (family !== undefined) {
    const values = optionValues(base, family.options, words);
    return { ...family.make(values), name: canonicalName(base, family.options, values) };
  }
  const make = targets().get(name);
  if (make === undefined) throw new UserError(`there is no stress target ${given(name)}`);
  return make();
}

/**
 * `make` absent: for whoever only asks for sizes and goals, because a user's file may hang when it
 * is imported.
 */
export function userLockTarget(name: string, file: string, make?: () => Lock): StressTarget {
  const nothing: Lock = { name, bytes: 4, acquire: noProgram, release: noProgram };
  return lockTarget({
    name,
    description: `the lock of ${file}`,
    make: make ?? (() => nothing),
    // A CPU holds one lock of a user's at a time: its queue node is one.
    parts: ['write'],
  });
}

function* noProgram(): Program {}

export function mutantNamed(id: string): (typeof MUTANTS)[number] {
  const all = [...MUTANTS, ...CONTROLS];
  const found = all.find((mutant) => mutant.id.toLowerCase() === id.toLowerCase());
  if (found === undefined) {
    const near = didYouMean(
      id,
      all.map((mutant) => mutant.id),
    );
    throw new UserError(
      `mutant: there is no ${given(id)}${near || "; 'numalab list mutants' lists them"}`,
    );
  }
  if (found.notHere !== undefined) {
    throw new UserError(`mutant=${found.id} is listed and not run: ${found.notHere}`);
  }
  return found;
}
