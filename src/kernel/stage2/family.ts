/**
 * Which stage-2 options each kernel version has run, and what is impossible.
 *
 * Options that a VMM sets at run time (manualProtect, initiallySet, the eager chunk) and those that
 * describe the surroundings (notifier, cmo) are free under every version that has them.
 */

import { UserError } from '../../base/errors.ts';
import type { Parameters } from '../../base/parameters.ts';
import type { Machine } from '../../machine/machine.ts';
import type { KernelFamily, Runs } from '../family.ts';
import {
  canDeferUnmapFlush,
  resolveStage2Options,
  STAGE2_PARAMETERS,
  type Stage2Options,
} from './options.ts';

const COMMON: Runs = {
  mmapLock: ['rwsem'],
  writeProtect: ['locked'],
  zap: ['immediate'],
  promote: ['refault'],
  stage2Bbm: ['off'],
};

const VERSIONS: Readonly<Record<string, Runs>> = {
  'v5.17': {
    ...COMMON,
    faults: ['exclusive'],
    mmuLock: ['spinlock'],
    relaxTlbi: ['broadcast'],
    split: ['lazy'],
    unmapFlush: ['per-pte'],
    prune: ['immediate'],
  },
  'v6.0': {
    ...COMMON,
    faults: ['relax-shared'],
    mmuLock: ['qrwlock'],
    relaxTlbi: ['broadcast'],
    split: ['lazy'],
    unmapFlush: ['per-pte'],
    prune: ['immediate'],
  },
  'v6.2': {
    ...COMMON,
    faults: ['parallel'],
    mmuLock: ['qrwlock'],
    relaxTlbi: ['broadcast'],
    split: ['lazy'],
    unmapFlush: ['per-pte'],
    prune: ['rcu-callback'],
  },
  'v6.5': {
    ...COMMON,
    faults: ['parallel'],
    mmuLock: ['qrwlock'],
    relaxTlbi: ['local'],
    split: ['lazy', 'eager'],
    unmapFlush: ['per-pte'],
    prune: ['rcu-callback'],
  },
  'v6.13': {
    ...COMMON,
    faults: ['parallel'],
    mmuLock: ['qrwlock'],
    relaxTlbi: ['local'],
    split: ['lazy', 'eager'],
    unmapFlush: ['range'],
    prune: ['rcu-callback'],
  },
};

export const STAGE2_FAMILY: KernelFamily = {
  name: 'stage2',
  parameters: STAGE2_PARAMETERS,
  versions: VERSIONS,
  /** The unmap flush depends on CPU features. */
  onMachine: (runs, machine) =>
    canDeferUnmapFlush(machine.features) ? runs : { ...runs, unmapFlush: ['per-pte'] },
  decide: (parameters, machine) => decided(parameters, resolveStage2Options(parameters, machine)),
  check: (parameters, machine) =>
    checkStage2Options(resolveStage2Options(parameters, machine), machine),
};

function decided(parameters: Parameters, options: Stage2Options): Parameters {
  const known = options as unknown as Parameters;
  return Object.fromEntries(
    STAGE2_PARAMETERS.flatMap(({ name }) =>
      parameters[name] === '' && known[name] !== undefined ? [[name, known[name]]] : [],
    ),
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
