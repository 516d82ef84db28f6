/**
 * Promise: the workloads that show the machine do what they say on any interleaving: they end, they
 * count every operation once, and bad options are refused with one line that names what is right.
 */

import { describe, expect, it } from 'vitest';
import { UserError } from '../../../src/base/errors.ts';
import { Metric } from '../../../src/metrics/definition.ts';
import { coreToCore } from '../../../workloads/core_to_core.ts';
import { memoryBandwidth } from '../../../workloads/memory_bandwidth.ts';
import { memoryLatency } from '../../../workloads/memory_latency.ts';
import { tlbShootdown } from '../../../workloads/tlb_shootdown.ts';
import { phasesOf } from '../../../workloads/workload.ts';
import { makeTestMachine } from '../../support/test-machine.ts';
import { contextOf, runOnStepEngine } from './harness.ts';

describe('memory_latency', () => {
  const assignments = { sizes: '4K,64K', accesses: '300', pageSize: '4K' };

  it('measures every set on every node after a warm-up', () => {
    const { facts, context } = runOnStepEngine(memoryLatency, { assignments });
    const warmUps = 2 * (64 + 1024);
    expect(facts.latency(Metric.MemoryRead, null, null)?.count).toBe(warmUps + 4 * 300);
    expect(phasesOf(memoryLatency, context).map((phase) => phase.name)).toEqual([
      'warm-up',
      '4K-node0',
      '64K-node0',
      '4K-node1',
      '64K-node1',
    ]);
  });

  it('prints sets by row and nodes by column', () => {
    const { report } = runOnStepEngine(memoryLatency, { assignments, cpus: [2] });
    expect(report).toContain('CPU 2 (node 1), 4K pages');
    expect(report).toMatch(/set +node0 +node1 \(local\)\n4K +\d.*\n64K +\d/);
  });

  it('refuses sets that do not grow and nodes without memory', () => {
    const phases = (bad: Record<string, string>): unknown =>
      phasesOf(memoryLatency, contextOf(memoryLatency, { assignments: bad }));
    expect(() => phases({ sizes: '64K,4K' })).toThrow(UserError);
    expect(() => phases({ sizes: '100' })).toThrow(/multiple of 64/);
    expect(() => phases({ nodes: '7' })).toThrow(/nodes: '7' is no node with memory/);
  });
});

describe('memory_bandwidth', () => {
  it('streams between every pair of nodes, then loads the probe step by step', () => {
    const assignments = { bytesPerCpu: '8K', probeAccesses: '20', load: 'read' };
    const { facts, context, report } = runOnStepEngine(memoryBandwidth, {
      assignments,
      machine: makeTestMachine({ cpuCount: 6, nodeCount: 2 }),
    });
    const names = phasesOf(memoryBandwidth, context).map((phase) => phase.name);
    expect(names).toEqual([
      'wait',
      'read-node0-node0',
      'read-node0-node1',
      'read-node1-node0',
      'read-node1-node1',
      'loaded-0',
      'loaded-1',
      'loaded-2',
    ]);
    const streamed = 6 * 2 * 128;
    expect(facts.latency(Metric.MemoryRead, null, null)!.count).toBeGreaterThanOrEqual(
      streamed + 3 * 20,
    );
    expect(report).toContain('node1 (3 CPUs)');
  });

  it('has no loaded part on request', () => {
    const assignments = { bytesPerCpu: '4K', probeAccesses: '0' };
    const { report } = runOnStepEngine(memoryBandwidth, { assignments });
    expect(report).not.toContain('Loaded');
  });
});

describe('core_to_core', () => {
  for (const seed of [1, 2, 3]) {
    it(`moves the line once per turn, seed ${seed}`, () => {
      const machine = makeTestMachine({ cpuCount: 8, nodeCount: 2 });
      const assignments = { iterations: '20', pairsPerGroup: '2' };
      const { facts, report } = runOnStepEngine(coreToCore, { assignments, machine, seed });
      const pairs = 2 + 2;
      expect(facts.latency(Metric.LineTransfer, null, null)?.count).toBe(pairs * 2 * (20 + 4));
      expect(report).toContain('same cluster');
      expect(report).toContain('cross socket');
    });
  }

  it('measures every pair of few CPUs, and refuses it for many', () => {
    const assignments = { iterations: '3', pairs: 'all' };
    const { report } = runOnStepEngine(coreToCore, { assignments, cpus: [3, 0, 1] });
    expect(report).toMatch(/CPU x CPU, ns\n +cpu0 +cpu1 +cpu3\n/);
    const machine = makeTestMachine({ cpuCount: 64, nodeCount: 2 });
    const context = contextOf(coreToCore, { assignments, machine });
    expect(() => phasesOf(coreToCore, context)).toThrow(/choose some with --cpus/);
  });
});

describe('tlb_shootdown', () => {
  for (const method of ['tlbi', 'ipi']) {
    for (const seed of [1, 2, 3]) {
      it(`ends after every initiator's shootdowns, ${method}, seed ${seed}`, () => {
        const assignments = { method, initiators: '2', operations: '15' };
        const { facts, report } = runOnStepEngine(tlbShootdown, { assignments, seed });
        expect(facts.latency(Metric.ShootdownTlbi, null, null)?.count).toBe(30);
        expect(report).toContain(`by ${method} against 3 other CPUs`);
      });
    }
  }

  it('refuses more initiators than CPUs', () => {
    expect(() => runOnStepEngine(tlbShootdown, { assignments: { initiators: '9' } })).toThrow(
      /initiators: 9 are more than the 4 CPUs/,
    );
  });
});
