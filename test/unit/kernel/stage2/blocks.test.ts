/**
 * Promises: a lazy split leaves the rest of the block unmapped, an eager one leaves it mapped;
 * blocks come back after logging; tables that a block replaced are freed, after a grace period, and
 * never read afterwards (I3).
 */

import { describe, expect, it } from 'vitest';
import type { Cpu, Program } from '../../../../src/cpu/cpu.ts';
import {
  clearDirtyLog,
  disableDirtyLog,
  enableDirtyLog,
  getDirtyLog,
} from '../../../../src/kernel/stage2/dirty-log.ts';
import type { Stage2Options } from '../../../../src/kernel/stage2/options.ts';
import { guestLoad, guestStore, runVcpu } from '../../../../src/kernel/stage2/vcpu.ts';
import type { Vcpu } from '../../../../src/kernel/stage2/vcpu-state.ts';
import type { Vm } from '../../../../src/kernel/stage2/vm.ts';
import { Counter } from '../../../../src/metrics/definition.ts';
import { watchFreedTables } from './freed-tables.ts';
import { guestVa, type HarnessOptions, KvmHarness } from './kvm-harness.ts';

const PAGE = 4096;
const BLOCK = 2 ** 21;

function* store(cpu: Cpu, vcpu: Vcpu, offset: number): Program {
  const { hi, lo } = guestVa(offset);
  yield* guestStore(cpu, vcpu, hi, lo, 0, 1);
}

function* load(cpu: Cpu, vcpu: Vcpu, offset: number): Program {
  const { hi, lo } = guestVa(offset);
  yield* guestLoad(cpu, vcpu, hi, lo);
}

/** Populates, logs, clears, writes one page: what a block looks like then. */
function splitOnce(options: Partial<Stage2Options>, features: HarnessOptions['features'] = {}) {
  const harness = new KvmHarness({ vcpus: 1, backing: 'anonymous_thp', options, features });
  harness.run([
    function* (cpu, vm) {
      const slot = vm.image.slots[1]!;
      yield runVcpu(cpu, vm, 0, (at, vcpu) => store(at, vcpu, 0));
      expect(harness.walk(0).level).toBe(2);
      yield enableDirtyLog(cpu, vm, slot);
      yield getDirtyLog(cpu, vm, slot);
      yield clearDirtyLog(cpu, vm, slot, 0, slot.pages);
      yield runVcpu(cpu, vm, 0, (at, vcpu) => store(at, vcpu, 5 * PAGE));
    },
  ]);
  return harness;
}

describe('blocks', () => {
  it('lazy split: one page is mapped, the other 511 are not', () => {
    const harness = splitOnce({});
    expect(harness.walk(5 * PAGE).fault).toBe('none');
    expect(harness.walk(5 * PAGE).level).toBe(3);
    expect(harness.walk(6 * PAGE).fault).toBe('translation');
    expect(harness.counter(Counter.BlocksSplit)).toBe(1);
  });

  it('eager split: all pages stay mapped, the write only relaxes', () => {
    const harness = splitOnce({ split: 'eager' });
    for (const page of [0, 5, 6, 511]) {
      expect(harness.walk(page * PAGE).fault).toBe('none');
      expect(harness.walk(page * PAGE).level).toBe(3);
    }
    expect(harness.counter(Counter.FaultsRelaxed)).toBe(1);
    expect(harness.counter(Counter.BlocksSplit)).toBe(1);
  });

  it('stage2Bbm: the fault splits without unmapping the rest', () => {
    const harness = splitOnce({ stage2Bbm: true }, { bbm: '2-noabort' });
    expect(harness.walk(6 * PAGE).fault).toBe('none');
    expect(harness.walk(5 * PAGE).level).toBe(3);
    expect(harness.counter(Counter.BlocksSplit)).toBe(1);
  });

  it.each(['rcu-callback', 'lock-descendants', 'immediate'] as const)(
    'prune=%s: faults put blocks back and the tables are freed',
    (prune) => {
      for (let seed = 1; seed <= 10; seed++) {
        const faults = prune === 'immediate' ? 'exclusive' : 'parallel';
        const harness = new KvmHarness({
          seed,
          vcpus: 3,
          backing: 'anonymous_thp',
          options: { prune, faults },
        });
        const watch = watchFreedTables(harness);
        harness.run([
          (cpu, vm) => promoteRound(cpu, vm, 0),
          (cpu, vm) => runVcpu(cpu, vm, 1, (at, vcpu) => wander(at, vcpu, 3)),
          (cpu, vm) => runVcpu(cpu, vm, 2, (at, vcpu) => wander(at, vcpu, 7)),
        ]);
        expect(harness.counter(Counter.BlocksPromoted)).toBeGreaterThan(0);
        // Tables that lost a race before they were linked are freed too.
        expect(harness.freedTables.length).toBeGreaterThanOrEqual(
          harness.counter(Counter.BlocksPromoted),
        );
        expect(watch.reads).toBe(0);
        harness.audit();
      }
    },
  );

  it('promote=in-place: disabling the log puts the block back', () => {
    const harness = new KvmHarness({
      vcpus: 1,
      backing: 'anonymous_thp',
      options: { promote: 'in-place' },
    });
    harness.run([
      function* (cpu, vm) {
        yield promoteRound(cpu, vm, 0);
        expect(harness.walk(0).level).toBe(2);
        expect(harness.walk(9 * PAGE).fault).toBe('none');
      },
    ]);
    expect(harness.counter(Counter.BlocksPromoted)).toBe(1);
  });
});

/** Log, clear, write some pages, stop logging, read: vCPU 0 is the VMM's thread in between. */
function* promoteRound(cpu: Cpu, vm: Vm, index: number): Program {
  const slot = vm.image.slots[1]!;
  yield runVcpu(cpu, vm, index, (at, vcpu) => store(at, vcpu, 0));
  yield enableDirtyLog(cpu, vm, slot);
  yield getDirtyLog(cpu, vm, slot);
  yield clearDirtyLog(cpu, vm, slot, 0, slot.pages);
  yield runVcpu(cpu, vm, index, function* (at, vcpu) {
    for (const page of [0, 1, 2, 100]) yield* store(at, vcpu, page * PAGE);
  });
  yield disableDirtyLog(cpu, vm, slot);
  yield runVcpu(cpu, vm, index, function* (at, vcpu) {
    for (const page of [3, 4, 200]) yield* load(at, vcpu, page * PAGE);
  });
}

function* wander(cpu: Cpu, vcpu: Vcpu, step: number): Program {
  for (let i = 0; i < 60; i++) {
    const offset = ((i * step) % 8) * 64 * PAGE;
    if (i % 3 === 0) yield* store(cpu, vcpu, offset % BLOCK);
    else yield* load(cpu, vcpu, offset % BLOCK);
  }
}
