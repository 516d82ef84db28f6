/**
 * `--like VERSION`: sets of stage-2 options that a kernel has really run, and the reverse: whether
 * some kernel has run the options that a user chose (if not, the run is a what-if and says so).
 *
 * Options that a VMM sets at run time (manualProtect, initiallySet, the eager chunk) and those that
 * describe the surroundings (notifier, cmo) are free under every version that has them.
 */

import { UserError } from '../base/errors.ts';
import type { Machine } from '../machine/machine.ts';
import { canDeferUnmapFlush, type Stage2Options } from './stage2/options.ts';

/** Values that a kernel can run, by option; the first is the preset's. */
type Runs = Readonly<Record<string, readonly string[]>>;

interface KernelVersion {
  readonly name: string;
  readonly description: string;
  readonly runs: Runs;
}

const COMMON: Runs = {
  mmapLock: ['rwsem'],
  writeProtect: ['locked'],
  zap: ['immediate'],
  promote: ['refault'],
  stage2Bbm: ['off'],
};

const VERSIONS: readonly KernelVersion[] = [
  {
    name: 'v5.17',
    description: 'mmu_lock is a spinlock, every fault takes it alone',
    runs: {
      ...COMMON,
      faults: ['exclusive'],
      mmuLock: ['spinlock'],
      relaxTlbi: ['broadcast'],
      split: ['lazy'],
      unmapFlush: ['per-pte'],
      prune: ['immediate'],
    },
  },
  {
    name: 'v6.0',
    description: 'rwlock; only write-permission faults at page granule share it',
    runs: {
      ...COMMON,
      faults: ['relax-shared'],
      mmuLock: ['qrwlock'],
      relaxTlbi: ['broadcast'],
      split: ['lazy'],
      unmapFlush: ['per-pte'],
      prune: ['immediate'],
    },
  },
  {
    name: 'v6.2',
    description: 'all faults share mmu_lock, tables are freed by RCU',
    runs: {
      ...COMMON,
      faults: ['parallel'],
      mmuLock: ['qrwlock'],
      relaxTlbi: ['broadcast'],
      split: ['lazy'],
      unmapFlush: ['per-pte'],
      prune: ['rcu-callback'],
    },
  },
  {
    name: 'v6.5',
    description: 'relaxing permissions flushes locally; eager splitting exists',
    runs: {
      ...COMMON,
      faults: ['parallel'],
      mmuLock: ['qrwlock'],
      relaxTlbi: ['local'],
      split: ['lazy', 'eager'],
      unmapFlush: ['per-pte'],
      prune: ['rcu-callback'],
    },
  },
  {
    name: 'v6.13',
    description: 'unmap flushes one range where the CPU has FEAT_TLBIRANGE and FWB',
    runs: {
      ...COMMON,
      faults: ['parallel'],
      mmuLock: ['qrwlock'],
      relaxTlbi: ['local'],
      split: ['lazy', 'eager'],
      unmapFlush: ['range'],
      prune: ['rcu-callback'],
    },
  },
];

export const LIKE_VERSIONS: readonly string[] = VERSIONS.map((version) => version.name);
export const LIKE_DEFAULT = 'v6.13';

/** Versions with their one-line description, for `list variants`. */
export const LIKE_DESCRIPTIONS: readonly { readonly name: string; readonly description: string }[] =
  VERSIONS.map(({ name, description }) => ({ name, description }));

/** Option values of a version on a machine, as a user would write them. */
export function likePreset(name: string, machine: Machine): Readonly<Record<string, string>> {
  const runs = runsOn(versionNamed(name), machine);
  return Object.fromEntries(Object.entries(runs).map(([option, values]) => [option, values[0]!]));
}

export interface WhatIf {
  /** `key=value` of the options that the nearest kernel does not have. */
  readonly options: readonly string[];
  /** The kernel that differs in the fewest options. */
  readonly nearest: string;
}

/** Null: some kernel runs these options on such a machine. */
export function whatIfOf(options: Stage2Options, machine: Machine): WhatIf | null {
  let best: WhatIf | null = null;
  for (const version of VERSIONS) {
    const different = differences(version, options, machine);
    if (different.length === 0) return null;
    if (best === null || different.length <= best.options.length) {
      best = { options: different, nearest: version.name };
    }
  }
  return best;
}

/** The header's label: "what-if: mmapLock=none (nearest kernel: v6.13)". */
export function whatIfLabel(whatIf: WhatIf): string {
  return `what-if: ${whatIf.options.join(', ')} (nearest kernel: ${whatIf.nearest})`;
}

/** With --like the options must be those of that kernel. */
export function checkLike(name: string, options: Stage2Options, machine: Machine): void {
  const version = versionNamed(name);
  const different = differences(version, options, machine);
  if (different.length === 0) return;
  throw new UserError(
    `--like ${name} does not have ${different.join(', ')}; leave out --like to run a what-if, ` +
      `or use ${likeWords(version, different, machine)}`,
  );
}

/** Refuses what the architecture, the KVM interface or memory safety makes impossible. */
export function checkStage2Options(options: Stage2Options, machine: Machine): void {
  const { features } = machine;
  if (options.unmapFlush === 'range' && !canDeferUnmapFlush(features)) {
    const missing = [features.tlbirange ? '' : 'FEAT_TLBIRANGE', features.fwb ? '' : 'FEAT_S2FWB'];
    throw new UserError(
      `unmapFlush=range: ${machine.name} lacks ${missing.filter(Boolean).join(' and ')}; ` +
        'use unmapFlush=per-pte, or a machine with both (graviton4_2p)',
    );
  }
  if (options.stage2Bbm && features.bbm !== '2-noabort') {
    throw new UserError(
      `stage2Bbm=on: ${machine.name} has cpu.bbm=${features.bbm}, which may raise TLB conflict ` +
        'aborts; use stage2Bbm=off, or a machine with cpu.bbm=2-noabort (ampereone_192c_1p)',
    );
  }
  if (options.initiallySet && !options.manualProtect) {
    throw new UserError(
      'initiallySet=on: KVM refuses KVM_DIRTY_LOG_INITIALLY_SET without manual protection ' +
        '(-EINVAL); use manualProtect=on too',
    );
  }
  if (options.prune === 'immediate' && options.faults === 'parallel') {
    throw new UserError(
      'prune=immediate: with faults=parallel other walkers may still read the freed table; ' +
        'use prune=rcu-callback or prune=lock-descendants',
    );
  }
  if (options.prune === 'immediate' && options.writeProtect === 'lockless') {
    throw new UserError(
      'prune=immediate: with writeProtect=lockless walkers without any lock may still read the ' +
        'freed table; use prune=rcu-callback',
    );
  }
}

function versionNamed(name: string): KernelVersion {
  const version = VERSIONS.find((candidate) => candidate.name === name);
  if (version === undefined) {
    throw new UserError(`--like: unknown kernel '${name}'; known are ${LIKE_VERSIONS.join(', ')}`);
  }
  return version;
}

/** What the version runs on this machine: its unmap flush depends on CPU features. */
function runsOn(version: KernelVersion, machine: Machine): Runs {
  if (canDeferUnmapFlush(machine.features)) return version.runs;
  return { ...version.runs, unmapFlush: ['per-pte'] };
}

function differences(version: KernelVersion, options: Stage2Options, machine: Machine): string[] {
  const chosen = asText(options);
  return Object.entries(runsOn(version, machine))
    .filter(([option, values]) => !values.includes(chosen[option]!))
    .map(([option]) => `${option}=${chosen[option]}`);
}

function likeWords(version: KernelVersion, different: readonly string[], machine: Machine): string {
  const runs = runsOn(version, machine);
  return different
    .map((word) => word.slice(0, word.indexOf('=')))
    .map((option) => `${option}=${runs[option]!.join('|')}`)
    .join(', ');
}

function asText(options: Stage2Options): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(options).map(([name, value]) => [
      name,
      typeof value === 'boolean' ? (value ? 'on' : 'off') : String(value),
    ]),
  );
}
