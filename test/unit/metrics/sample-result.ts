/** A made-up result with histograms, for tests of reports, files and comparisons. */

import { Metric } from '../../../src/metrics/definition.ts';
import { summarise } from '../../../src/metrics/histogram.ts';
import { mergeSeeds, nameHistograms, type SeedHistograms } from '../../../src/metrics/naming.ts';
import { Recorder } from '../../../src/metrics/recorder.ts';
import type { RunResult } from '../../../src/metrics/result.ts';
import { timeParts } from '../../../src/metrics/time-parts.ts';

export const SAMPLE_PHASES = [{ name: 'populate', warmUp: true }, { name: 'dirty-1' }];

/** Faults of two nodes; every latency is `scale` times that of scale 1. */
export function sampleSeed(seed: number, scale: number): SeedHistograms {
  const recorder = new Recorder({ metrics: 27, nodes: 2, phases: 2 });
  for (let i = 0; i < 3000; i++) {
    const servicePs = Math.round((2_000_250 + ((i * 7919 + seed * 104729) % 5000) * 1500) * scale);
    recorder.record(Metric.FaultService, i % 2, i < 500 ? 0 : 1, servicePs);
    recorder.record(Metric.FaultLockWait, i % 2, i < 500 ? 0 : 1, Math.floor(servicePs / 2));
    if (i % 3 === 0) recorder.record(Metric.FaultWalk, i % 2, i < 500 ? 0 : 1, 300_000);
  }
  const histograms = nameHistograms(recorder.snapshot(), SAMPLE_PHASES);
  return { seed, emulatedNs: 12_345_678.125 * scale, histograms };
}

export function sampleResult(seeds: readonly SeedHistograms[], digest: string): RunResult {
  const merged = mergeSeeds(seeds);
  return {
    schema: 'numalab-run-1',
    version: '0.1.0',
    build: 'test',
    runId: 'a'.repeat(64),
    machineHash: 'b'.repeat(64),
    workload: 'dirty_log_perf_test',
    machine: 'ampere_altra_1p_q80',
    cpus: [0, 1, 2, 3],
    placement: {
      layout: 'packed',
      mempolicy: 'first-touch',
      nodes: [{ node: 0, cpus: [0, 1, 2] }],
      helpers: [3],
    },
    threads: { option: 'auto', workers: 1, jobs: 2 },
    engine: 'virtual',
    like: 'v6.13',
    whatIf: [],
    params: { perVcpuMemory: 1048576, faults: 'parallel', manualProtect: true },
    estimates: { used: 41, names: ['costs.faultDecode', 'latency.walkCache'] },
    seeds: seeds.map(({ seed, emulatedNs }) => ({ seed, digest, emulatedNs })),
    digest,
    emulatedNs: Math.max(...seeds.map(({ emulatedNs }) => emulatedNs)),
    phases: [
      { name: 'populate', emulatedNs: 2_000_000, nsPerOperation: 4000, warmUp: true },
      { name: 'dirty-1', emulatedNs: 10_000_000, nsPerOperation: null },
    ],
    histograms: Object.fromEntries(merged.map(({ name, data }) => [name, summarise(data)])),
    counters: {
      accesses: 200_000,
      'dTLB-load-misses': 1_000,
      numa_hit: 300,
      numa_miss: 100,
      dsb: 0,
    },
    hotLines: [
      { name: 'mm->mmap_lock', local: 100, remote: 20 },
      { name: 'kvm->mmu_lock', local: 5_000, remote: 1_234 },
      { name: 'cold', local: 0, remote: 0 },
    ],
    parts: timeParts(merged),
    checks: [{ name: 'translations', ok: true, text: 'no translation survived TLBI + DSB' }],
    report: ['dirty memory time: 0.010s'],
  };
}
