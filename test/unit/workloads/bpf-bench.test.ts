/**
 * Promises: bpf_bench prints bench's lines; nobody executes what was unloaded, under RCU and every
 * checker; programs over the charge limit are interpreted and counted; zero bytes are refused in
 * one line; all that was charged is given back. (Programs larger than a pack: kernel/execmem.)
 */

import { describe, expect, it } from 'vitest';
import { UserError } from '../../../src/base/errors.ts';
import { type BpfBenchImage, bpfBench } from '../../../workloads/bpf_bench.ts';
import { runVirtually, type VirtualRun } from './virtual-harness.ts';

const SMALL = 'programs=6 attached=4 warmup=1 iterations=2 sampleTime=10us userText=16K -c3';

function chargedPages({ facts, image }: VirtualRun): number {
  const { hi, lo } = (image as BpfBenchImage).bpf.jit.current;
  return facts.peek32(hi & 0xffff, lo);
}

describe('bpf_bench', () => {
  for (const [machine, allocator] of [
    ['xeon_skylake_6140_2p', 'module_alloc'],
    ['graviton3_1p', 'prog_pack'],
  ] as const) {
    it(`loads, hits and unloads with ${allocator} on ${machine}`, () => {
      const run = runVirtually(bpfBench, `${SMALL} allocator=${allocator}`, machine);
      expect(run.report).toContain("Setting up benchmark 'trig-kprobe'...");
      expect(run.report).toMatch(/Iter {3}1 \( {2}0\.000us\): hits +\d+\.\d{3}M\/s \( +\d/);
      expect(run.report).toMatch(/Summary: hits +\d+\.\d+ ± \d+\.\d+M\/s \(/);
      expect(run.report).toContain('7 programs JITed');
      expect(run.report).toMatch(/iTLB-load-misses: \d+ k\/s/);
      expect(chargedPages(run)).toBe(0);
      // A program that takes long to write is progress, or a run with large ones would be ended.
      expect(run.facts.phases[0]?.operations).toBe(6);
    });
  }

  it('interprets what is over the charge limit', () => {
    const { report, facts } = runVirtually(
      bpfBench,
      `${SMALL} allocator=module_alloc jitLimit=12K`,
    );
    // The anchor and two programs have a page each.
    expect(facts.counters['bpf.fallbacks']).toBeGreaterThanOrEqual(4);
    expect(report).toMatch(/[1-3] programs JITed.*; [4-6] interpreted/);
  });

  it('unloads under hits that are in the middle of a program', () => {
    const words =
      'programs=2 attached=2 programSize=64K warmup=0 iterations=1 sampleTime=10us userText=16K';
    const { facts } = runVirtually(bpfBench, `${words} allocator=prog_pack -c3`, 'graviton3_1p');
    expect(facts.counters['bpf.loads']).toBe(3);
  });

  it('refuses programs of zero bytes', () => {
    const run = (): unknown => runVirtually(bpfBench, 'programSize=0');
    expect(run).toThrow(UserError);
    expect(run).toThrow(/programSize: '0' is too small; give bytes.* from 8 to 64M/);
  });
});
