/**
 * Promise: a memslot that comes and goes while vCPUs fault on others disturbs nobody's memory; when
 * the ioctl that removes it returns, nothing of it is left in stage 2; with zap=deferred-root the
 * old tree is freed whole.
 */

import { describe, expect, it } from 'vitest';
import type { Cpu, Program } from '../../../../src/cpu/cpu.ts';
import { backingOf } from '../../../../src/kernel/stage2/backing.ts';
import { createSlot, deleteSlot } from '../../../../src/kernel/stage2/memslot-update.ts';
import { guestStore, runVcpu } from '../../../../src/kernel/stage2/vcpu.ts';
import type { Vcpu } from '../../../../src/kernel/stage2/vcpu-state.ts';
import { Counter, Metric } from '../../../../src/metrics/definition.ts';
import { guestVa, KvmHarness, TEST_IPA } from './kvm-harness.ts';

const PAGE = 4096;
const DUMMY_IPA = TEST_IPA - 16 * PAGE;
const DUMMY_VA = 0xb000_0000;

const SLOTS = [
  { bytes: 64 * PAGE },
  {
    baseIpa: DUMMY_IPA,
    bytes: PAGE,
    backing: backingOf('anonymous'),
    guestVirtual: DUMMY_VA,
    present: false,
  },
];

function* writePages(cpu: Cpu, vcpu: Vcpu, rounds: number): Program {
  for (let i = 0; i < rounds; i++) {
    const { hi, lo } = guestVa(((i * 5 + cpu.id) % 64) * PAGE);
    yield* guestStore(cpu, vcpu, hi, lo, 0, i);
  }
}

describe('memslots', () => {
  it.each(['immediate', 'deferred-root'] as const)('come and go under load: zap=%s', (zap) => {
    for (let seed = 1; seed <= 5; seed++) {
      const harness = new KvmHarness({ seed, vcpus: 2, slots: SLOTS, options: { zap } });
      harness.run([
        (cpu, vm) => runVcpu(cpu, vm, 0, (at, vcpu) => writePages(at, vcpu, 80)),
        (cpu, vm) => runVcpu(cpu, vm, 1, (at, vcpu) => writePages(at, vcpu, 80)),
        function* (cpu, vm) {
          const dummy = vm.image.slots[2]!;
          for (let i = 0; i < 3; i++) {
            yield createSlot(cpu, vm, dummy);
            yield deleteSlot(cpu, vm, dummy);
          }
        },
      ]);
      const main = harness.engine.cpus[2]!;
      expect(main.metrics.get(Metric.MemslotModify)!.count).toBe(6);
      harness.audit();
      if (zap === 'deferred-root') expect(harness.freedTables.length).toBeGreaterThan(6);
    }
  });

  it.each(['immediate', 'deferred-root'] as const)('removal unmaps: zap=%s', (zap) => {
    const harness = new KvmHarness({ vcpus: 1, slots: SLOTS, options: { zap } });
    harness.run([
      function* (cpu, vm) {
        yield runVcpu(cpu, vm, 0, (at, vcpu) => writePages(at, vcpu, 10));
        expect(harness.walk(0).fault).toBe('none');
      },
      function* (cpu, vm) {
        while (harness.counter(Counter.FaultsMapped) < 10) while (!cpu.fence(0)) yield;
        yield deleteSlot(cpu, vm, vm.image.slots[1]!);
        expect(harness.walk(0).fault).toBe('translation');
      },
    ]);
    for (let page = 0; page < 64; page++) {
      expect(harness.walk(page * PAGE).fault).toBe('translation');
    }
  });

  it('a guest that touches removed memory is told so', () => {
    const harness = new KvmHarness({ vcpus: 1, slots: SLOTS });
    const run = (): void =>
      harness.run([
        (cpu, vm) => runVcpu(cpu, vm, 0, (at, vcpu) => guestStore(at, vcpu, 0, DUMMY_VA | 0, 0, 1)),
      ]);
    expect(run).toThrow(/in no memslot/);
  });
});
