/**
 * Promise: a vCPU that faults on registered memory sleeps until a handler thread has filled the
 * page in; no wake-up is lost however handlers and faults interleave, each page is filled once, and
 * frames that lost a race go back.
 */

import { describe, expect, it } from 'vitest';
import type { Cpu, Program } from '../../../../src/cpu/cpu.ts';
import { Order } from '../../../../src/cpu/operations.ts';
import { MigrateType } from '../../../../src/kernel/base/zone.ts';
import { stopUserfaults, type UserfaultMode } from '../../../../src/kernel/stage2/userfault.ts';
import { userfaultHandler } from '../../../../src/kernel/stage2/userfault-fill.ts';
import { guestLoad, guestStore, runVcpu } from '../../../../src/kernel/stage2/vcpu.ts';
import type { Vcpu } from '../../../../src/kernel/stage2/vcpu-state.ts';
import type { Vm } from '../../../../src/kernel/stage2/vm.ts';
import { toLinear } from '../../../../src/memory/physical-address.ts';
import { Counter, Metric } from '../../../../src/metrics/definition.ts';
import { guestVa, KvmHarness } from './kvm-harness.ts';

const PAGE = 4096;
const PAGES = 6;

interface Case {
  readonly seed: number;
  readonly mode: UserfaultMode;
  readonly backing: string;
  readonly readers: readonly (readonly number[])[];
  readonly unitBytes: number;
}

/** vCPUs 0 and 1 touch all pages; the given CPUs answer; the last vCPU to end stops them. */
function runUserfaults(options: Case): KvmHarness {
  const harness = new KvmHarness({
    seed: options.seed,
    vcpus: 2,
    helpers: 3,
    backing: options.backing,
    bytes: options.backing === 'anonymous_hugetlb_2mb' ? 4 * 2 ** 20 : PAGES * PAGE,
    slots: [{ userfaults: { mode: options.mode, readers: options.readers } }],
  });
  const left = toLinear({ hi: 0, lo: harness.engine.perCpu[0]!.lo + 15360 });
  const guest = function* (cpu: Cpu, vcpu: Vcpu): Program {
    for (let page = 0; page < PAGES; page++) {
      const { hi, lo } = guestVa(page * PAGE);
      if (vcpu.image.index === 0) yield* guestStore(cpu, vcpu, hi, lo, 0, page);
      else yield* guestLoad(cpu, vcpu, hi, lo);
    }
  };
  const vcpu = function* (cpu: Cpu, vm: Vm): Program {
    yield runVcpu(cpu, vm, cpu.id, guest);
    while (!cpu.add32(left.hi, left.lo, 1, Order.SequentiallyConsistent)) yield;
    if (cpu.lo !== 1) return;
    for (const context of vm.image.slots[1]!.userfaults) yield stopUserfaults(cpu, context);
  };
  const handler = function* (cpu: Cpu, vm: Vm): Program {
    const slot = vm.image.slots[1]!;
    const context = slot.userfaults.find(({ readers }) => readers.includes(cpu.id));
    if (context === undefined) return;
    const source = slot.host.zeroBlock;
    const { unitBytes } = options;
    yield userfaultHandler(cpu, vm, { slot, context, unitBytes, delayPs: 0, source });
  };
  harness.run([vcpu, vcpu, handler, handler, handler]);
  return harness;
}

function framesOf(harness: KvmHarness): number {
  const census = harness.audit().filter(({ type }) => type === MigrateType.Movable);
  return census.reduce((sum, { allocated }) => sum + allocated, 0);
}

describe('userfaultfd', () => {
  it.each([
    ['one handler', [[2]]],
    ['several readers of one context', [[2, 3, 4]]],
    ['a context per part', [[2], [3]]],
  ] as const)('fills every page once: %s', (_, readers) => {
    for (let seed = 1; seed <= 8; seed++) {
      const harness = runUserfaults({
        seed,
        mode: 'missing',
        backing: 'anonymous',
        readers,
        unitBytes: PAGE,
      });
      for (let page = 0; page < PAGES; page++) expect(harness.walk(page * PAGE).fault).toBe('none');
      expect(framesOf(harness)).toBe(PAGES);
      const messages = harness.counter(Counter.UserfaultMessages);
      expect(messages).toBeGreaterThanOrEqual(PAGES);
      expect(messages).toBeLessThanOrEqual(2 * PAGES);
      const waits = harness.engine.cpus.map((cpu) => cpu.metrics.get(Metric.FaultUserfault)?.count);
      expect(waits[0]! + (waits[1] ?? 0)).toBeGreaterThanOrEqual(PAGES);
    }
  });

  it('minor faults map what the file has', () => {
    for (let seed = 1; seed <= 8; seed++) {
      const harness = runUserfaults({
        seed,
        mode: 'minor',
        backing: 'shmem',
        readers: [[2, 3]],
        unitBytes: PAGE,
      });
      for (let page = 0; page < PAGES; page++) expect(harness.walk(page * PAGE).fault).toBe('none');
      expect(framesOf(harness)).toBe(0);
    }
  });

  it('hugetlb: one message fills a whole page of 2 MiB', () => {
    const harness = runUserfaults({
      seed: 2,
      mode: 'missing',
      backing: 'anonymous_hugetlb_2mb',
      readers: [[2]],
      unitBytes: 2 ** 21,
    });
    expect(harness.walk(0).level).toBe(2);
    expect(harness.counter(Counter.UserfaultMessages)).toBeLessThanOrEqual(2);
  });
});
