/**
 * `--like VERSION`: sets of kernel options that a kernel has really run, over all families that a
 * workload reads, and the reverse: whether some kernel has run the options that a user chose (if
 * not, the run is a what-if and says so).
 *
 * A posted series is a version too: the tree that it was posted against with the series on top.
 */

import { UserError } from '../base/errors.ts';
import type { Parameters } from '../base/parameters.ts';
import { didYouMean } from '../base/suggest.ts';
import type { Machine } from '../machine/machine.ts';
import { EXECMEM_FAMILY } from './execmem/options.ts';
import type { FamilyName, KernelFamily, Runs } from './family.ts';
import { MM_FAMILY } from './mm/options.ts';
import { STAGE2_FAMILY } from './stage2/family.ts';
import { TEXT_FAMILY } from './text/options.ts';

interface KernelVersion {
  readonly name: string;
  readonly description: string;
  /** The version that a posted series was written against. */
  readonly base?: string;
}

const VERSIONS: readonly KernelVersion[] = [
  {
    name: 'v5.17',
    description: 'mmu_lock is a spinlock, every fault takes it alone; pages for each BPF program',
  },
  {
    name: 'v6.0',
    description: 'rwlock; only write-permission faults at page granule share it; bpf_prog_pack',
  },
  {
    name: 'v6.2',
    description: 'all faults share mmu_lock, tables are freed by RCU',
  },
  {
    name: 'v6.5',
    description: 'relaxing permissions flushes locally; eager splitting exists',
  },
  {
    name: 'v6.13',
    description: 'unmap flushes one range where the CPU has FEAT_TLBIRANGE and FWB; execmem caches',
  },
  {
    name: 'posted:execmem-v2',
    description: 'bpf-next v2 0/5 execmem_alloc (S. Liu, 2022-11-07) on a kernel like v6.0',
    base: 'v6.0',
  },
  {
    name: 'posted:ktext-v2',
    description: 'arm64 kernel text replication v2 00/17 (R. King, 2023-07-27) on one like v6.5',
    base: 'v6.5',
  },
];

export const LIKE_VERSIONS: readonly string[] = VERSIONS.map((version) => version.name);
export const LIKE_DEFAULT = 'v6.13';

/** Versions with their one-line description, for `list variants`. */
export const LIKE_DESCRIPTIONS: readonly { readonly name: string; readonly description: string }[] =
  VERSIONS.map(({ name, description }) => ({ name, description }));

export const FAMILIES: Readonly<Record<FamilyName, KernelFamily>> = {
  stage2: STAGE2_FAMILY,
  mm: MM_FAMILY,
  text: TEXT_FAMILY,
  execmem: EXECMEM_FAMILY,
};

/** Option values of a version on a machine, as a user would write them. */
export function likePreset(
  families: readonly KernelFamily[],
  name: string,
  machine: Machine,
): Readonly<Record<string, string>> {
  const runs = runsOf(families, versionNamed(name), machine);
  return Object.fromEntries(Object.entries(runs).map(([option, values]) => [option, values[0]!]));
}

export interface WhatIf {
  /** `key=value` of the options that the nearest kernel does not have. */
  readonly options: readonly string[];
  /** The kernel that differs in the fewest options. */
  readonly nearest: string;
}

/** Null: some kernel runs these options on such a machine. Options are decided ones. */
export function whatIfOf(
  families: readonly KernelFamily[],
  options: Parameters,
  machine: Machine,
): WhatIf | null {
  let best: WhatIf | null = null;
  for (const version of VERSIONS) {
    const different = differences(families, version, options, machine);
    if (different.length === 0) return null;
    const isNearer =
      best === null ||
      different.length < best.options.length ||
      (different.length === best.options.length && version.base === undefined);
    if (isNearer) best = { options: different, nearest: version.name };
  }
  return best;
}

/**
 * The version that runs these options: the default if it does, else the newest, a posted series
 * only if no release does; null: none.
 */
export function versionOf(
  families: readonly KernelFamily[],
  options: Parameters,
  machine: Machine,
): string | null {
  const fitting = VERSIONS.filter(
    (version) => differences(families, version, options, machine).length === 0,
  );
  if (fitting.some(({ name }) => name === LIKE_DEFAULT)) return LIKE_DEFAULT;
  const released = fitting.filter(({ base }) => base === undefined);
  return (released.at(-1) ?? fitting.at(-1))?.name ?? null;
}

/** The header's label: "what-if: mmapLock=none (nearest kernel: v6.13)". */
export function whatIfLabel(whatIf: WhatIf): string {
  return `what-if: ${whatIf.options.join(', ')} (nearest kernel: ${whatIf.nearest})`;
}

/** With --like the options must be those of that kernel. */
export function checkLike(
  families: readonly KernelFamily[],
  name: string,
  options: Parameters,
  machine: Machine,
): void {
  const version = versionNamed(name);
  const different = differences(families, version, options, machine);
  if (different.length === 0) return;
  throw new UserError(
    `--like ${name} does not have ${different.join(', ')}; leave out --like to run a what-if, ` +
      `or use ${likeWords(families, version, different, machine)}`,
  );
}

export function refuseUnknownLike(name: string): void {
  versionNamed(name);
}

function versionNamed(name: string): KernelVersion {
  const version = VERSIONS.find((candidate) => candidate.name === name);
  if (version !== undefined) return version;
  const near = didYouMean(name, LIKE_VERSIONS);
  throw new UserError(
    `--like: '${name}' is no kernel that is known; known are ${LIKE_VERSIONS.join(', ')}${near}`,
  );
}

/** What the version runs on this machine. */
function runsOf(families: readonly KernelFamily[], version: KernelVersion, machine: Machine): Runs {
  const all = families.map((family) => {
    const own = family.versions[version.name] ?? family.versions[version.base ?? ''] ?? {};
    return family.onMachine?.(own, machine) ?? own;
  });
  return Object.assign({}, ...all) as Runs;
}

function differences(
  families: readonly KernelFamily[],
  version: KernelVersion,
  options: Parameters,
  machine: Machine,
): string[] {
  return Object.entries(runsOf(families, version, machine))
    .filter(([option, values]) => !values.includes(wordOf(options[option])))
    .map(([option]) => `${option}=${wordOf(options[option])}`);
}

function likeWords(
  families: readonly KernelFamily[],
  version: KernelVersion,
  different: readonly string[],
  machine: Machine,
): string {
  const runs = runsOf(families, version, machine);
  return different
    .map((word) => word.slice(0, word.indexOf('=')))
    .map((option) => `${option}=${runs[option]!.join('|')}`)
    .join(', ');
}

function wordOf(value: string | number | boolean | undefined): string {
  if (typeof value === 'boolean') return value ? 'on' : 'off';
  return String(value ?? '');
}
