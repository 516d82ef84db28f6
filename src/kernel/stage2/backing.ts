/**
 * What backs guest memory in the VMM's address space, by the names that KVM selftests' `-s` takes
 * (tools/testing/selftests/kvm/lib/test_util.c, vm_mem_backing_src_alias).
 *
 * Deviation: a host with 4K pages; of the hugetlb sizes those that such a kernel has on arm64
 * (64 KiB contiguous pages, 2 MiB blocks, 32 MiB contiguous blocks, 1 GiB blocks).
 */

import { UserError } from '../../base/errors.ts';

export type BackingKind = 'anonymous' | 'transparent-huge' | 'hugetlb' | 'shmem';

/** Plain data. */
export interface Backing {
  readonly name: string;
  readonly kind: BackingKind;
  /** log2 of what one fault of the host maps. */
  readonly unitShift: number;
  readonly shared: boolean;
}

const HUGETLB_SHIFTS: Readonly<Record<string, number>> = {
  '64kb': 16,
  '2mb': 21,
  '32mb': 25,
  '1gb': 30,
};

/** Sizes that KVM selftests know and a 4K host does not have. */
const OTHER_GRANULES: readonly string[] = ['16kb', '512kb', '1mb', '8mb', '16mb', '256mb', '512mb'];
const NO_ARM64: readonly string[] = ['2gb', '16gb'];

/** Values for a workload's backing parameter (`s`). */
export const BACKING_NAMES: readonly string[] = [
  'anonymous',
  'anonymous_thp',
  'anonymous_hugetlb',
  ...[...Object.keys(HUGETLB_SHIFTS), ...OTHER_GRANULES, ...NO_ARM64].map(
    (size) => `anonymous_hugetlb_${size}`,
  ),
  'shmem',
  'shared_hugetlb',
];

export function backingOf(name: string): Backing {
  if (name === 'anonymous') return { name, kind: 'anonymous', unitShift: 12, shared: false };
  if (name === 'anonymous_thp') {
    return { name, kind: 'transparent-huge', unitShift: 21, shared: false };
  }
  if (name === 'shmem') return { name, kind: 'shmem', unitShift: 12, shared: true };
  if (name === 'shared_hugetlb') return { name, kind: 'hugetlb', unitShift: 21, shared: true };
  if (name === 'anonymous_hugetlb') {
    return { name, kind: 'hugetlb', unitShift: 21, shared: false };
  }
  const size = name.startsWith('anonymous_hugetlb_') ? name.slice('anonymous_hugetlb_'.length) : '';
  const unitShift = HUGETLB_SHIFTS[size];
  if (unitShift !== undefined) return { name, kind: 'hugetlb', unitShift, shared: false };
  if (OTHER_GRANULES.includes(size) || NO_ARM64.includes(size)) {
    throw new UserError(
      `backing=${name}: a host with 4K pages has no hugetlb pages of that size; ` +
        `it has ${Object.keys(HUGETLB_SHIFTS).join(', ')}`,
    );
  }
  throw new UserError(`backing: unknown source '${name}'; known are ${BACKING_NAMES.join(', ')}`);
}
