/**
 * Promise: vCPUs that fault on the same memory at once all end up with one and the same mapping, in
 * every mode of locking and under any interleaving; no frame is lost; translations are never stale.
 */

import { describe, expect, it } from 'vitest';
import type { Cpu, Program } from '../../../../src/cpu/cpu.ts';
import { MigrateType } from '../../../../src/kernel/base/zone.ts';
import { guestLoad, guestStore, runVcpu } from '../../../../src/kernel/stage2/vcpu.ts';
import type { Vcpu } from '../../../../src/kernel/stage2/vcpu-state.ts';
import { Counter, Metric } from '../../../../src/metrics/definition.ts';
import { guestVa, type HarnessOptions, KvmHarness } from './kvm-harness.ts';

const PAGE = 4096;

function* touch(cpu: Cpu, vcpu: Vcpu, pages: number, write: boolean): Program {
  for (let page = 0; page < pages; page++) {
    const { hi, lo } = guestVa(page * PAGE);
    if (write) yield* guestStore(cpu, vcpu, hi, lo, 0, page);
    else yield* guestLoad(cpu, vcpu, hi, lo);
  }
}

/** All vCPUs touch the same pages. */
function runAll(options: HarnessOptions, pages: number, write = true): KvmHarness {
  const harness = new KvmHarness(options);
  harness.run(
    Array.from(
      { length: harness.vcpus },
      (_, index) => (cpu, vm) =>
        runVcpu(cpu, vm, index, (at, vcpu) => touch(at, vcpu, pages, write)),
    ),
  );
  return harness;
}

describe('stage-2 faults', () => {
  it('map each page once, whoever wins', () => {
    for (let seed = 1; seed <= 40; seed++) {
      const harness = runAll({ seed }, 6);
      for (let page = 0; page < 6; page++) expect(harness.walk(page * PAGE).fault).toBe('none');
      expect(harness.walk(6 * PAGE).fault).toBe('translation');
      expect(harness.counter(Counter.FaultsMapped)).toBe(6);
    }
  });

  it('record service and stall of every access that faulted', () => {
    const harness = runAll({ seed: 3, vcpus: 1 }, 4);
    const { metrics } = harness.engine.cpus[0]!;
    expect(metrics.get(Metric.FaultService)!.count).toBe(4);
    expect(metrics.get(Metric.FaultStall)!.count).toBe(4);
  });

  it.each(['exclusive', 'relax-shared', 'parallel'] as const)(
    'faults=%s ends in one mapping',
    (faults) => {
      const prune = faults === 'parallel' ? 'rcu-callback' : 'immediate';
      for (let seed = 1; seed <= 12; seed++) {
        const harness = runAll({ seed, options: { faults, prune } }, 4);
        const frames = new Set<number>();
        for (let page = 0; page < 4; page++) {
          const walk = harness.walk(page * PAGE);
          expect(walk.fault).toBe('none');
          frames.add(walk.output.hi * 2 ** 32 + (walk.output.lo >>> 0));
        }
        expect(frames.size).toBe(4);
        const user = harness.audit().filter(({ type }) => type === MigrateType.Movable);
        expect(user.reduce((sum, { allocated }) => sum + allocated, 0)).toBe(4);
      }
    },
  );
});
