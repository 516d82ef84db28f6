/**
 * Options of the host's address spaces (Linux mm/, arch/arm64/mm/fault.c), with the kernel function
 * and version that each value follows.
 */

import type { Parameter, Parameters } from '../../base/parameters.ts';
import type { KernelFamily, Runs } from '../family.ts';

/** Resolved options; plain data. */
export interface MmOptions {
  readonly mmapLock: 'rwsem' | 'per-vma';
  readonly thp: 'never' | 'always';
  readonly pageLists: 'fixed' | 'auto';
}

export const MM_PARAMETERS: readonly Parameter[] = [
  {
    name: 'mmapLock',
    kind: 'choice',
    values: ['rwsem', 'per-vma'],
    default: 'per-vma',
    description: 'what a host page fault locks to look up its VMA',
    follows: {
      rwsem: 'do_page_fault, up to v6.3: mmap_read_lock',
      'per-vma': 'do_page_fault, v6.4 (cd7f176aea5f): lock_vma_under_rcu, mmap_lock if that fails',
    },
  },
  {
    name: 'thp',
    kind: 'choice',
    values: ['never', 'always'],
    default: 'never',
    description: 'transparent_hugepage/enabled; madvise is never here, as nobody madvises',
    follows: {
      never: 'do_anonymous_page',
      always: 'do_huge_pmd_anonymous_page (create_huge_pmd)',
    },
  },
  {
    name: 'pageLists',
    kind: 'choice',
    values: ['fixed', 'auto'],
    default: 'auto',
    description: "how much the CPUs' page lists keep: from the zone's low watermark, or learning",
    follows: {
      fixed: 'zone_highsize, up to v6.6: pcp->high',
      auto: 'nr_pcp_alloc, v6.7 (51a755c56dc0): pcp->high grows towards pcp->high_max',
    },
  },
];

const BEFORE_VMA_LOCKS: Runs = { mmapLock: ['rwsem'], pageLists: ['fixed'] };

export const MM_FAMILY: KernelFamily = {
  name: 'mm',
  parameters: MM_PARAMETERS,
  versions: {
    'v5.17': BEFORE_VMA_LOCKS,
    'v6.0': BEFORE_VMA_LOCKS,
    'v6.2': BEFORE_VMA_LOCKS,
    // CONFIG_PER_VMA_LOCK may be off.
    'v6.5': { mmapLock: ['per-vma', 'rwsem'], pageLists: ['fixed'] },
    'v6.13': { mmapLock: ['per-vma', 'rwsem'], pageLists: ['auto'] },
  },
  decide: () => ({}),
  check: () => {},
};

export function resolveMmOptions(parameters: Parameters): MmOptions {
  const text = (name: string): string => {
    const value = parameters[name];
    if (value !== undefined) return String(value);
    return MM_PARAMETERS.find((parameter) => parameter.name === name)!.default;
  };
  return {
    mmapLock: text('mmapLock') as MmOptions['mmapLock'],
    thp: text('thp') as MmOptions['thp'],
    pageLists: text('pageLists') as MmOptions['pageLists'],
  };
}
