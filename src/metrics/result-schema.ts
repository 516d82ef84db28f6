/**
 * Shape of a run's result (`run --json`, result.json), stated once: the type RunResult and the
 * shipped src/run/result.schema.json derive from it. Importing this file loads zod; whoever only
 * needs the type imports result.ts.
 */

import { z } from 'zod';

const ns = z.number().nonnegative();
const count = z.number().int().nonnegative();
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const parameterValue = z.union([z.string(), z.number(), z.boolean()]);

const histogramSummary = z.strictObject({
  unit: z.literal('ns'),
  count,
  min: ns.describe('exact, as mean and max; percentiles are tops of HDR buckets'),
  mean: ns,
  p50: ns.nullable().describe('null: fewer than 10 samples beyond it; so for all percentiles'),
  p90: ns.nullable(),
  p99: ns.nullable(),
  p999: ns.nullable(),
  p9999: ns.nullable(),
  max: ns,
  overflow: count.optional().describe('values above one hour, counted in no bucket'),
});

const placement = z.strictObject({
  layout: z.string().describe('packed, spread, or list (CPUs were named)'),
  mempolicy: z.string(),
  nodes: z.array(z.strictObject({ node: count, cpus: z.array(count) })),
  helpers: z.array(count).describe('CPUs of helpers: VMM main thread, userfaultfd handlers'),
});

const seedResult = z.strictObject({
  seed: count,
  digest: sha256.nullable(),
  emulatedNs: ns.nullable(),
});

const phase = z.strictObject({
  name: z.string(),
  emulatedNs: ns.nullable(),
  nsPerOperation: ns.nullable().describe('emulated time per completed operation; null: none'),
  warmUp: z.literal(true).optional().describe('left out of totals'),
});

const part = z.strictObject({
  name: z.string(),
  of: z.string().describe('the metric whose time is divided'),
  ns: ns.describe('sum over all CPUs and seeds'),
  nsPerOperation: ns,
  share: z.number().min(0).max(1),
});

const hotLine = z.strictObject({
  name: z.string().describe('field name, as kvm->mmu_lock'),
  local: count.describe('transfers between caches of one node'),
  remote: count.describe('transfers between caches of different nodes'),
});

const check = z.strictObject({
  name: z.string(),
  ok: z.boolean(),
  text: z.string().describe('what was checked, or the violation'),
});

const stall = z.strictObject({
  kind: z.enum(['deadlock', 'no-progress']),
  seed: count,
  atNs: ns,
  report: z.array(z.string()).describe('who waits for what, and who holds it'),
});

export const runResultSchema = z.strictObject({
  schema: z.literal('numalab-run-1'),
  version: z.string(),
  build: z.string(),
  runId: sha256,
  machineHash: sha256,
  workload: z.string(),
  machine: z.string(),
  cpus: z.array(count).describe('in order of roles'),
  placement,
  threads: z.strictObject({
    option: z.string().describe('--threads as given'),
    workers: count.describe('worker threads per seed'),
    jobs: count.describe('seeds side by side'),
  }),
  engine: z.enum(['virtual', 'host']),
  like: z.string().nullable().describe('kernel version or posted series followed'),
  whatIf: z.array(z.string()).describe('key=value that no kernel has; empty: all are in a kernel'),
  params: z.record(z.string(), parameterValue).describe('resolved, with defaults'),
  estimates: z.strictObject({
    used: count.describe('machine parameters used in this run'),
    names: z.array(z.string()).describe('those of them that are estimates'),
  }),
  seeds: z.array(seedResult),
  digest: sha256.nullable(),
  emulatedNs: ns.nullable(),
  wallNs: ns.optional().describe('only with engine host'),
  phases: z.array(phase),
  histograms: z.record(z.string(), histogramSummary),
  counters: z.record(z.string(), z.number()),
  hotLines: z.array(hotLine),
  parts: z.array(part),
  checks: z.array(check),
  report: z.array(z.string()).describe("the workload's own printed lines"),
  stall: stall.optional().describe('the emulated program deadlocked or made no progress'),
});

/** Text of src/run/result.schema.json. */
export function resultJsonSchemaText(): string {
  const schema = z.toJSONSchema(runResultSchema, { target: 'draft-2020-12' });
  return `${JSON.stringify({ title: 'Result of numalab run', ...schema }, null, 2)}\n`;
}
