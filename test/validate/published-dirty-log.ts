/**
 * Oliver Upton, "[PATCH 00/14] KVM: arm64: Parallel stage-2 fault handling", v1, 2022: time to
 * dirty memory in `dirty_log_perf_test -s anonymous_thp -m 2 -b 4G -v N` on 6.0-rc3, before and
 * after the series, on an arm64 host that is not named.
 *
 * The test's defaults clear the dirty log by hand and start with an initially set bitmap, so the
 * first iteration takes no write-protection fault: the table is the second iteration, where every
 * 2 MiB block is split and every page faults once.
 */

import { GIB } from '../../src/base/units.ts';

export const PUBLISHED_BYTES_PER_VCPU = 4 * GIB;
const PAGES_PER_VCPU = PUBLISHED_BYTES_PER_VCPU / 4096;

export const VCPUS = [1, 2, 4, 8, 16, 32, 48] as const;

export interface Series {
  readonly name: 'before' | 'after';
  /** Kernel options that the published kernels had. */
  readonly like: string;
  /** By VCPUS. */
  readonly seconds: readonly number[];
}

export const SERIES: readonly Series[] = [
  { name: 'before', like: 'v6.0', seconds: [0.89, 1.13, 2.42, 5.03, 8.84, 19.6, 31.39] },
  { name: 'after', like: 'v6.2', seconds: [0.92, 1.18, 1.25, 1.36, 2.09, 4.47, 6.22] },
];

/** System-wide time per fault: flat where something serialises all vCPUs. */
export function publishedNsPerFault(series: Series, vcpus: (typeof VCPUS)[number]): number {
  const index = VCPUS.indexOf(vcpus);
  return (series.seconds[index]! * 1e9) / (vcpus * PAGES_PER_VCPU);
}
