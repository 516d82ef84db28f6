/**
 * Options of KVM/arm64 stage-2 fault handling. Each value names the kernel function and the
 * version, commit or posted series that it follows; values that no arm64 kernel has run say so, and
 * like.ts turns them into a what-if label. A default '' is decided by the machine or by another
 * option.
 */

import type { Parameter, Parameters } from '../../base/parameters.ts';
import { MIB } from '../../base/units.ts';
import type { Features, Machine } from '../../machine/machine.ts';
import { LOCK_NAMES, LOCKS } from '../../sync/registry.ts';

export type FaultMode = 'exclusive' | 'relax-shared' | 'parallel';
export type MmapLockKind = 'rwsem' | 'per-vma' | 'none';
export type NotifierSource = 'off' | 'migrate' | 'numa-balancing';
export type PruneMode = 'immediate' | 'rcu-callback' | 'lock-descendants';

/** Resolved options; plain data. */
export interface Stage2Options {
  readonly faults: FaultMode;
  readonly mmuLock: string;
  readonly mmapLock: MmapLockKind;
  readonly relaxTlbi: 'local' | 'broadcast';
  readonly split: 'lazy' | 'eager';
  readonly eagerSplitChunkBytes: number;
  readonly manualProtect: boolean;
  readonly initiallySet: boolean;
  readonly writeProtect: 'locked' | 'lockless';
  readonly unmapFlush: 'per-pte' | 'range';
  readonly zap: 'immediate' | 'deferred-root';
  readonly promote: 'refault' | 'in-place';
  readonly prune: PruneMode;
  readonly stage2Bbm: boolean;
  readonly notifier: NotifierSource;
  readonly notifierRatePerSecond: number;
  readonly cmo: 'page' | 'line';
}

/**
 * The kernels' names first, then every registered lock that any number of CPUs can take (readers of
 * a spinlock exclude each other).
 */
export const MMU_LOCKS: readonly string[] = [
  ...new Set(['qrwlock', 'spinlock', ...LOCK_NAMES.filter(isForMany)]),
];

function isForMany(name: string): boolean {
  return name !== 'none' && LOCKS[name]!.make().cpusMax === undefined;
}

const MMU_LOCK_FOLLOWS: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    LOCK_NAMES.map((name) => [name, `no KVM kernel: ${LOCKS[name]!.facts.source}`]),
  ),
  qrwlock: 'struct kvm, KVM_HAVE_MMU_RWLOCK, arm64 from v5.18 (fcc5bf89635a)',
  spinlock: 'struct kvm, arm64 up to v5.17: spinlock_t (qspinlock)',
};

const faultPath: readonly Parameter[] = [
  {
    name: 'faults',
    kind: 'choice',
    values: ['exclusive', 'relax-shared', 'parallel'],
    default: 'parallel',
    description: 'which stage-2 faults share mmu_lock: none, write-permission ones, all',
    follows: {
      exclusive: 'user_mem_abort, v5.17: mmu_lock held exclusively for every fault',
      'relax-shared':
        'user_mem_abort, v5.18-v6.1 (fcc5bf89635a, f783ef1c0e82): read lock when logging and a ' +
        'write-permission fault at page granule',
      parallel: 'user_mem_abort, v6.2 (1577cb5823ce): kvm_pgtable_walk with SHARED under read_lock',
    },
  },
  {
    name: 'mmuLock',
    kind: 'choice',
    values: MMU_LOCKS,
    default: 'qrwlock',
    description: 'kvm->mmu_lock',
    follows: MMU_LOCK_FOLLOWS,
  },
  {
    name: 'mmapLock',
    kind: 'choice',
    values: ['rwsem', 'per-vma', 'none'],
    default: 'rwsem',
    description: 'what protects the VMA look-up of a fault',
    follows: {
      rwsem: 'user_mem_abort, all versions: mmap_read_lock(current->mm)',
      'per-vma': 'no KVM kernel: lock_vma_under_rcu of host faults (v6.4) in user_mem_abort',
      none: 'no kernel: the look-up without any lock, to see what the lock costs',
    },
  },
  {
    name: 'relaxTlbi',
    kind: 'choice',
    values: ['local', 'broadcast'],
    default: 'local',
    description: 'TLB invalidation after relaxing permissions: this CPU, or all by DVM',
    follows: {
      local: 'kvm_pgtable_stage2_relax_perms, v6.5 (a12ab1378a88): __kvm_tlb_flush_vmid_ipa_nsh',
      broadcast: 'kvm_pgtable_stage2_relax_perms up to v6.4: __kvm_tlb_flush_vmid_ipa',
    },
  },
  {
    name: 'writeProtect',
    kind: 'choice',
    values: ['locked', 'lockless'],
    default: 'locked',
    description: 'write-protection faults of page granule: under mmu_lock, or by cmpxchg under RCU',
    follows: {
      locked: 'user_mem_abort, all versions',
      lockless:
        'no arm64 kernel: x86 fast_page_fault; named in the parallel-fault discussion of 2022',
    },
  },
  {
    name: 'cmo',
    kind: 'choice',
    values: ['page', 'line'],
    default: 'page',
    description: 'emulation of cache maintenance without FWB: a page as one step, or line by line',
    follows: {
      page: '__clean_dcache_guest_page; the same cost in one step of the emulator',
      line: '__clean_dcache_guest_page, one DC CIVAC per line',
    },
  },
];

const logging: readonly Parameter[] = [
  {
    name: 'split',
    kind: 'choice',
    values: ['lazy', 'eager'],
    default: 'lazy',
    description: 'blocks under dirty logging: split by the first write fault, or by the log ioctls',
    follows: {
      lazy: 'stage2_map_walk_leaf, all versions; KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE unset',
      eager: 'kvm_mmu_split_huge_pages, kvm_pgtable_stage2_split, v6.5',
    },
  },
  {
    name: 'eagerSplitChunk',
    kind: 'size',
    default: '2M',
    minimum: 4096,
    description: 'KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE: bytes split before mmu_lock may be dropped',
    follows: { '2M': 'kvm_vm_ioctl_enable_cap, v6.5; a block size of the granule' },
  },
  {
    name: 'manualProtect',
    kind: 'flag',
    default: 'on',
    description:
      'KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE: reading the log leaves it and its protection',
    follows: {
      on: 'kvm_clear_dirty_log_protect, v5.0; dirty_log_perf_test sets it',
      off: 'kvm_get_dirty_log_protect: reading clears and write-protects',
    },
  },
  {
    name: 'initiallySet',
    kind: 'flag',
    default: '',
    description: 'KVM_DIRTY_LOG_INITIALLY_SET: all pages start dirty, enabling protects nothing',
    follows: {
      on: 'kvm_arch_commit_memory_region, arm64 from v5.8; dirty_log_perf_test sets it',
      off: 'kvm_arch_commit_memory_region: kvm_mmu_wp_memory_region when logging starts',
    },
  },
  {
    name: 'promote',
    kind: 'choice',
    values: ['refault', 'in-place'],
    default: 'refault',
    description: 'pages back to blocks after logging: by later faults, or when logging stops',
    follows: {
      refault: 'stage2_map_walk_table_pre, all versions',
      'in-place': 'no arm64 kernel: x86 kvm_tdp_mmu_recover_huge_pages, v6.13',
    },
  },
];

const tables: readonly Parameter[] = [
  {
    name: 'unmapFlush',
    kind: 'choice',
    values: ['per-pte', 'range'],
    default: '',
    description:
      'TLB invalidation of an unmap: per entry (then other ranges flush the VMID), or one range',
    follows: {
      'per-pte': 'stage2_unmap_put_pte up to v6.5, and later without FEAT_TLBIRANGE or FWB',
      range: 'stage2_unmap_defer_tlb_flush, v6.6 (7657ea920c54), with FEAT_TLBIRANGE and FWB',
    },
  },
  {
    name: 'zap',
    kind: 'choice',
    values: ['immediate', 'deferred-root'],
    default: 'immediate',
    description: 'removing a memslot: unmap in place, or swap the root and free the old tree later',
    follows: {
      immediate: 'kvm_arch_flush_shadow_memslot, kvm_stage2_unmap_range, all versions',
      'deferred-root': 'no arm64 kernel: x86 kvm_tdp_mmu_invalidate_all_roots',
    },
  },
  {
    name: 'prune',
    kind: 'choice',
    values: ['immediate', 'rcu-callback', 'lock-descendants'],
    default: 'rcu-callback',
    description:
      'a table that a block replaces: freed at once, after a grace period, entry by entry',
    follows: {
      immediate: 'stage2_map_walk_table_post up to v6.1: freed under the write lock',
      'rcu-callback': 'stage2_map_walk_table_pre, stage2_free_unlinked_table, v6.2',
      'lock-descendants':
        'no kernel: RFC 00/17 "KVM: arm64: Parallelize stage 2 fault handling", 2022-04',
    },
  },
  {
    name: 'stage2Bbm',
    kind: 'flag',
    default: 'off',
    description: 'split blocks by one store, without break, as FEAT_BBM level 2 allows',
    follows: {
      off: 'stage2_try_break_pte, all versions',
      on: 'no kernel: dropped from the eager split series before v6.5',
    },
  },
];

const notifier: readonly Parameter[] = [
  {
    name: 'notifier',
    kind: 'choice',
    values: ['off', 'migrate', 'numa-balancing'],
    default: 'off',
    description: 'who invalidates host mappings under the guest while it runs',
    follows: {
      off: 'nobody',
      migrate: 'migrate_pages, try_to_migrate_one; kvm_mmu_notifier_invalidate_range_start',
      'numa-balancing': 'change_prot_numa, do_numa_page; kvm_mmu_notifier_invalidate_range_start',
    },
  },
  {
    name: 'notifierRate',
    kind: 'rate',
    default: '10000',
    minimum: 0,
    maximum: 100_000_000,
    description: 'invalidations per emulated second',
  },
];

export const STAGE2_PARAMETERS: readonly Parameter[] = [
  ...faultPath,
  ...logging,
  ...tables,
  ...notifier,
];

/**
 * unmapFlush=range needs range operations, and FWB so that no cache maintenance hangs on each
 * entry.
 */
export function canDeferUnmapFlush(features: Features): boolean {
  return features.tlbirange && features.fwb;
}

/** Typed options from resolved parameters ('' = decided by the machine). */
export function resolveStage2Options(parameters: Parameters, machine: Machine): Stage2Options {
  const text = (name: string): string => {
    const value = parameters[name];
    return value === undefined ? defaultOf(name) : String(value);
  };
  const flag = (name: string): boolean => {
    const value = parameters[name];
    return value === undefined ? defaultOf(name) === 'on' : value === true || value === 'on';
  };
  const manualProtect = flag('manualProtect');
  const initiallySet = text('initiallySet');
  const unmapFlush = text('unmapFlush');
  const flushDefault = canDeferUnmapFlush(machine.features) ? 'range' : 'per-pte';
  return {
    faults: text('faults') as FaultMode,
    mmuLock: text('mmuLock'),
    mmapLock: text('mmapLock') as MmapLockKind,
    relaxTlbi: text('relaxTlbi') as Stage2Options['relaxTlbi'],
    split: text('split') as Stage2Options['split'],
    eagerSplitChunkBytes: Number(parameters['eagerSplitChunk'] ?? 2 * MIB),
    manualProtect,
    initiallySet: initiallySet === '' ? manualProtect : flag('initiallySet'),
    writeProtect: text('writeProtect') as Stage2Options['writeProtect'],
    unmapFlush: (unmapFlush === '' ? flushDefault : unmapFlush) as Stage2Options['unmapFlush'],
    zap: text('zap') as Stage2Options['zap'],
    promote: text('promote') as Stage2Options['promote'],
    prune: text('prune') as PruneMode,
    stage2Bbm: flag('stage2Bbm'),
    notifier: text('notifier') as NotifierSource,
    notifierRatePerSecond: Number(parameters['notifierRate'] ?? 10_000),
    cmo: text('cmo') as Stage2Options['cmo'],
  };
}

function defaultOf(name: string): string {
  return STAGE2_PARAMETERS.find((parameter) => parameter.name === name)?.default ?? '';
}
