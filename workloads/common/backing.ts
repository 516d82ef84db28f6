/**
 * Backing sources of guest memory, `-s` of the KVM selftests (tools/testing/selftests/kvm/lib/
 * test_util.c, vm_mem_backing_src_alias): name, page size, whether the mapping is shared.
 */

import { GIB, KIB, MIB } from '../../src/base/units.ts';

export interface Backing {
  readonly name: string;
  readonly pageBytes: number;
  readonly shared: boolean;
}

function privateHugetlb(suffix: string, pageBytes: number): Backing {
  return { name: `anonymous_hugetlb_${suffix}`, pageBytes, shared: false };
}

/** THP and the default hugetlb size are those of a 4K kernel: one PMD. */
const BACKINGS: readonly Backing[] = [
  { name: 'anonymous', pageBytes: 4 * KIB, shared: false },
  { name: 'anonymous_thp', pageBytes: 2 * MIB, shared: false },
  { name: 'anonymous_hugetlb', pageBytes: 2 * MIB, shared: false },
  privateHugetlb('16kb', 16 * KIB),
  privateHugetlb('64kb', 64 * KIB),
  privateHugetlb('512kb', 512 * KIB),
  privateHugetlb('1mb', MIB),
  privateHugetlb('2mb', 2 * MIB),
  privateHugetlb('8mb', 8 * MIB),
  privateHugetlb('16mb', 16 * MIB),
  privateHugetlb('32mb', 32 * MIB),
  privateHugetlb('256mb', 256 * MIB),
  privateHugetlb('512mb', 512 * MIB),
  privateHugetlb('1gb', GIB),
  privateHugetlb('2gb', 2 * GIB),
  privateHugetlb('16gb', 16 * GIB),
  { name: 'shmem', pageBytes: 4 * KIB, shared: true },
  { name: 'shared_hugetlb', pageBytes: 2 * MIB, shared: true },
];

export const BACKING_NAMES: readonly string[] = BACKINGS.map((backing) => backing.name);

export function backingOf(name: string): Backing {
  return BACKINGS.find((backing) => backing.name === name)!;
}
