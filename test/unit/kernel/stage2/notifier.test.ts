/**
 * Promise: whatever the MMU notifier takes away under a running guest, no fault installs a frame
 * that the host has given up: every guest access finds the frame that the host maps for it at that
 * time, and no frame is lost.
 */

import { describe, expect, it } from 'vitest';
import { assert } from '../../../../src/base/assert.ts';
import type { Cpu, Program } from '../../../../src/cpu/cpu.ts';
import { EventKind } from '../../../../src/cpu/operations.ts';
import { MigrateType } from '../../../../src/kernel/base/zone.ts';
import { clearYoungNotify } from '../../../../src/kernel/stage2/notifier.ts';
import {
  migratePage,
  runNotifierSource,
  stopNotifierSource,
} from '../../../../src/kernel/stage2/notifier-sources.ts';
import type { NotifierSource, Stage2Options } from '../../../../src/kernel/stage2/options.ts';
import { flushVmid } from '../../../../src/kernel/stage2/tlb-flush.ts';
import { guestLoad, guestStore, runVcpu } from '../../../../src/kernel/stage2/vcpu.ts';
import type { Vcpu } from '../../../../src/kernel/stage2/vcpu-state.ts';
import type { Vm } from '../../../../src/kernel/stage2/vm.ts';
import { Counter } from '../../../../src/metrics/definition.ts';
import { guestVa, KvmHarness } from './kvm-harness.ts';

const PAGE = 4096;
const PAGES = 5;

function* readThenWrite(cpu: Cpu, vcpu: Vcpu, rounds: number): Program {
  for (let i = 0; i < rounds; i++) {
    const { hi, lo } = guestVa(((i * 3 + cpu.id) % PAGES) * PAGE);
    yield* guestLoad(cpu, vcpu, hi, lo);
    yield* guestStore(cpu, vcpu, hi, lo, 0, i);
  }
}

function runUnder(
  seed: number,
  notifier: NotifierSource,
  options: Partial<Stage2Options> = {},
): KvmHarness {
  const freed = new Set<number>();
  const harness: KvmHarness = new KvmHarness({
    seed,
    vcpus: 2,
    bytes: PAGES * PAGE,
    options: { notifier, notifierRatePerSecond: 1_000_000, ...options },
    // The page allocator may hand a freed frame out again at once: being free is being wrong.
    witness: (cpu, ipa, write, pa) => {
      const frame = pa.hi * 2 ** 20 + (pa.lo >>> 12);
      assert(!freed.has(frame), `cpu ${cpu.id} touches freed frame of IPA ${ipa}, write ${write}`);
    },
  });
  const { hooks } = harness.engine;
  const inner = hooks.onEvent;
  hooks.onEvent = (cpu, kind, hi, lo) => {
    inner?.(cpu, kind, hi, lo);
    if (kind === EventKind.FrameFreed) freed.add(hi * 2 ** 20 + (lo >>> 12));
    if (kind === EventKind.FrameAllocated) freed.delete(hi * 2 ** 20 + (lo >>> 12));
  };
  let left = 2;
  const vcpu = function* (cpu: Cpu, vm: Vm): Program {
    yield runVcpu(cpu, vm, cpu.id, (at, own) => readThenWrite(at, own, 30));
    if (--left === 0) yield stopNotifierSource(cpu, vm);
  };
  harness.run([vcpu, vcpu, (cpu, vm) => runNotifierSource(cpu, vm, [vm.image.slots[1]!], 0)]);
  const user = harness.audit().filter(({ type }) => type === MigrateType.Movable);
  expect(user.reduce((sum, { allocated }) => sum + allocated, 0)).toBe(PAGES);
  return harness;
}

/** Clears the access flag of every page; cpu.ret = how many were young. */
function* markIdle(cpu: Cpu, vm: Vm): Program {
  let young = 0;
  for (let page = 0; page < PAGES; page++) {
    yield clearYoungNotify(cpu, vm, vm.image.slots[1]!, page * PAGE, PAGE);
    if (cpu.ok) young++;
  }
  cpu.ret = young;
}

describe('MMU notifier', () => {
  it.each(['migrate', 'numa-balancing'] as const)('%s: no stale frame is ever used', (source) => {
    let fired = 0;
    let retried = 0;
    for (let seed = 1; seed <= 12; seed++) {
      const harness = runUnder(seed, source);
      fired += harness.counter(Counter.NotifierFired);
      retried += harness.counter(Counter.NotifierRetries);
    }
    expect(fired).toBeGreaterThan(12);
    expect(retried).toBeGreaterThan(0);
  });

  it.each([
    ['exclusive', { faults: 'exclusive', prune: 'immediate' }],
    ['rwsem', { mmuLock: 'rwsem' }],
    ['per-vma', { mmapLock: 'per-vma' }],
    ['no mmap_lock', { mmapLock: 'none' }],
  ] as const)('holds with %s', (_, options) => {
    for (let seed = 1; seed <= 4; seed++) runUnder(seed, 'migrate', options);
  });

  it('the write after a read of untouched memory leaves the page of zeroes', () => {
    const harness = new KvmHarness({ vcpus: 1, bytes: PAGES * PAGE });
    harness.run([
      (cpu, vm) =>
        runVcpu(cpu, vm, 0, function* (at, vcpu) {
          const { hi, lo } = guestVa(0);
          yield* guestLoad(at, vcpu, hi, lo);
          const zero = vm.image.slots[1]!.host.zeroPage;
          expect(harness.walk(0).output).toEqual(zero);
          yield* guestStore(at, vcpu, hi, lo, 0, 1);
          expect(harness.walk(0).output).not.toEqual(zero);
        }),
    ]);
    expect(harness.counter(Counter.NotifierFired)).toBe(1);
    // The notifier moved the sequence under the fault that caused it.
    expect(harness.counter(Counter.FaultsRetried)).toBe(1);
  });

  it('moves a page to another node, contents and all', () => {
    const harness = new KvmHarness({ vcpus: 1, bytes: PAGES * PAGE });
    harness.run([
      function* (cpu, vm) {
        const slot = vm.image.slots[1]!;
        yield runVcpu(cpu, vm, 0, (at, vcpu) => readThenWrite(at, vcpu, 5));
        const before = harness.walk(0).output;
        yield migratePage(cpu, vm, slot, 0, 1 - (before.hi >>> 6));
        expect(cpu.ok).toBe(true);
        expect(harness.walk(0).fault).toBe('translation');
        yield runVcpu(cpu, vm, 0, (at, vcpu) => readThenWrite(at, vcpu, 5));
        expect(harness.walk(0).output.hi >>> 6).toBe(1 - (before.hi >>> 6));
      },
    ]);
  });

  it('idle pages fault once for the access flag', () => {
    const harness = new KvmHarness({ vcpus: 1, bytes: PAGES * PAGE, features: { hafdbs: 'none' } });
    harness.run([
      function* (cpu, vm) {
        const pass = (): Program => runVcpu(cpu, vm, 0, (at, own) => readThenWrite(at, own, PAGES));
        yield pass();
        yield pass();
        yield markIdle(cpu, vm);
        expect(cpu.ret).toBe(PAGES);
        // Cached entries keep working: clear_young flushes nothing.
        yield pass();
        expect(harness.counter(Counter.FaultsAccessFlag)).toBe(0);
        yield markIdle(cpu, vm);
        expect(cpu.ret).toBe(0);
        yield flushVmid(cpu, vm);
        yield pass();
        expect(harness.counter(Counter.FaultsAccessFlag)).toBe(PAGES);
      },
    ]);
  });
});
