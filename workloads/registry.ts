/**
 * All workloads by name. Each is loaded only when it is asked for, so that `--help` stays fast and
 * a worker thread loads no more than it runs. Adding a workload: one file, one line here.
 */

import { UserError } from '../src/base/errors.ts';
import { given } from '../src/base/parse-quantity.ts';
import { didYouMean } from '../src/base/suggest.ts';
import type { Workload } from './workload.ts';

type Loader = () => Promise<Workload>;

const LOADERS: Readonly<Record<string, Loader>> = {
  dirty_log_perf_test: async () => (await import('./dirty_log_perf_test.ts')).dirtyLogPerfTest,
  demand_paging_test: async () => (await import('./demand_paging_test.ts')).demandPagingTest,
  memslot_modification_stress_test: async () =>
    (await import('./memslot_modification_stress_test.ts')).memslotModificationStressTest,
  kvm_page_table_test: async () => (await import('./kvm_page_table_test.ts')).kvmPageTableTest,
  access_tracking_perf_test: async () =>
    (await import('./access_tracking_perf_test.ts')).accessTrackingPerfTest,
  memory_latency: async () => (await import('./memory_latency.ts')).memoryLatency,
  memory_bandwidth: async () => (await import('./memory_bandwidth.ts')).memoryBandwidth,
  core_to_core: async () => (await import('./core_to_core.ts')).coreToCore,
  tlb_shootdown: async () => (await import('./tlb_shootdown.ts')).tlbShootdown,
  lock_contention: async () => (await import('./lock_contention.ts')).lockContention,
  page_fault1: async () => (await import('./page_fault1.ts')).pageFault1,
  page_fault2: async () => (await import('./page_fault2.ts')).pageFault2,
  page_fault3: async () => (await import('./page_fault3.ts')).pageFault3,
  mmap1: async () => (await import('./mmap1.ts')).mmap1,
  bpf_load_storm: async () => (await import('./bpf_load_storm.ts')).bpfLoadStorm,
  bpf_bench: async () => (await import('./bpf_bench.ts')).bpfBench,
  sockex_directmap: async () => (await import('./sockex_directmap.ts')).sockexDirectmap,
  test_vmalloc: async () => (await import('./test_vmalloc.ts')).testVmalloc,
  text_fetch: async () => (await import('./text_fetch.ts')).textFetch,
  text_patch_storm: async () => (await import('./text_patch_storm.ts')).textPatchStorm,
  db_like: async () => (await import('./db_like.ts')).dbLike,
  module_load: async () => (await import('./module_load.ts')).moduleLoad,
  trace: async () => (await import('./trace.ts')).trace,
};

/** A profile (workloads/profiles). */
export const DEFAULT_WORKLOAD = 'mixed';

export function workloadNames(): readonly string[] {
  return Object.keys(LOADERS);
}

export function isWorkload(name: string): boolean {
  return Object.hasOwn(LOADERS, name);
}

export async function loadWorkload(name: string): Promise<Workload> {
  const loader = Object.hasOwn(LOADERS, name) ? LOADERS[name] : undefined;
  if (loader === undefined) {
    const near = didYouMean(name, workloadNames()) || "; 'numalab list workloads' lists them";
    throw new UserError(`no workload is called ${given(name)}${near}`);
  }
  return loader();
}
