/**
 * Promises of the walkers themselves: the order of break, flush, maintenance and make; tables
 * outlive every walker that may still be inside (I3), and the test can tell; -EAGAIN ends only
 * fault walks; ranges, chunks and counts come out exactly.
 */

import { describe, expect, it } from 'vitest';
import type { Cpu, Program } from '../../../../src/cpu/cpu.ts';
import { Fence, Tlbi } from '../../../../src/cpu/operations.ts';
import { EAGAIN, ERANGE } from '../../../../src/kernel/base/errno.ts';
import { topUpMemcache } from '../../../../src/kernel/base/memcache.ts';
import type { PruneMode } from '../../../../src/kernel/stage2/options.ts';
import { type MapRequest, mapRange } from '../../../../src/kernel/stage2/pgtable-map.ts';
import { Walk, walkTables } from '../../../../src/kernel/stage2/pgtable-walk.ts';
import { relaxPermissions } from '../../../../src/kernel/stage2/relax.ts';
import { unmapRange } from '../../../../src/kernel/stage2/unmap.ts';
import type { Vm } from '../../../../src/kernel/stage2/vm.ts';
import { updateVmid } from '../../../../src/kernel/stage2/vmid.ts';
import { writeProtectRange } from '../../../../src/kernel/stage2/write-protect.ts';
import { PERM_READ, PERM_WRITE } from '../../../../src/translation/descriptors.ts';
import {
  s2AttributesHi,
  s2AttributesLo,
  s2Permissions,
} from '../../../../src/translation/stage2-descriptors.ts';
import { slowDownLoads, watchFreedTables } from './freed-tables.ts';
import { KvmHarness, TEST_IPA } from './kvm-harness.ts';

const PAGE = 4096;
const BLOCK = 2 ** 21;
const PHYSICAL = 0x1000_0000;

function request(vm: Vm, cpu: number, physical: number, permissions: number): MapRequest {
  const vcpu = vm.image.vcpus[cpu]!;
  return {
    physical,
    attributesHi: s2AttributesHi(permissions),
    attributesLo: s2AttributesLo(permissions, vm.fwb),
    tables: { hi: vcpu.hi, lo: vcpu.memcacheLo },
    forcePages: false,
  };
}

function* prepare(cpu: Cpu, vm: Vm): Program {
  const vcpu = vm.image.vcpus[cpu.id]!;
  yield topUpMemcache(cpu, vm.pages, vcpu.hi, vcpu.memcacheLo, 4);
  yield updateVmid(cpu, vm.vmids, vm.spinlock, vm.kvmHi, vm.field.vmid);
}

function* mapAt(cpu: Cpu, vm: Vm, offset: number, bytes: number, permissions: number): Program {
  const wanted = request(vm, cpu.id, PHYSICAL + offset, permissions);
  yield mapRange(cpu, vm, TEST_IPA + offset, bytes, wanted, Walk.Shared | Walk.HandleFault);
}

/** Names of the TLBI forms that ran, in order. */
function traceTlbi(harness: KvmHarness): string[] {
  const names = Object.entries(Tlbi);
  const trace: string[] = [];
  const { hooks } = harness.engine;
  const inner = hooks.onTlbi;
  hooks.onTlbi = (cpu, operation, hi, lo, argument) => {
    inner?.(cpu, operation, hi, lo, argument);
    const name = names.find(([, value]) => value === operation)![0];
    trace.push(argument > 0 ? `${name}:${argument}` : name);
  };
  hooks.onDsb = () => trace.push('dsb');
  return trace;
}

describe('stage-2 walkers', () => {
  it('an invalid entry is mapped without any TLBI', () => {
    const harness = new KvmHarness({ vcpus: 1, features: { fwb: true } });
    const trace = traceTlbi(harness);
    harness.run([
      function* (cpu, vm) {
        yield prepare(cpu, vm);
        yield mapAt(cpu, vm, 0, PAGE, PERM_READ);
        expect(cpu.ret).toBe(0);
      },
    ]);
    expect(trace).toEqual([]);
    expect(harness.walk(0).fault).toBe('none');
  });

  it('by-IPA flush: stage 2, DSB, stage 1, DSB (never the other way round)', () => {
    const harness = new KvmHarness({ vcpus: 1, features: { fwb: true } });
    const trace = traceTlbi(harness);
    harness.run([
      function* (cpu, vm) {
        yield prepare(cpu, vm);
        yield mapAt(cpu, vm, 0, BLOCK, PERM_READ | PERM_WRITE);
        yield mapAt(cpu, vm, PAGE, PAGE, PERM_READ);
      },
    ]);
    expect(trace).toEqual(['IpaS2E1Is', 'dsb', 'VmallE1Is', 'dsb']);
  });

  it('relaxing flushes this CPU only', () => {
    const harness = new KvmHarness({ vcpus: 1, features: { fwb: true } });
    const trace = traceTlbi(harness);
    harness.run([
      function* (cpu, vm) {
        yield prepare(cpu, vm);
        yield mapAt(cpu, vm, 0, PAGE, PERM_READ);
        yield relaxPermissions(cpu, vm, TEST_IPA, PERM_READ | PERM_WRITE, Walk.Shared);
        expect(cpu.ret).toBe(0);
      },
    ]);
    expect(trace).toEqual(['IpaS2E1', 'dsb', 'VmallE1', 'dsb']);
    const { hi, lo } = harness.walk(0);
    expect(s2Permissions(hi, lo) & PERM_WRITE).toBe(PERM_WRITE);
  });

  it('table to block flushes the whole range, or the VMID without FEAT_TLBIRANGE', () => {
    for (const tlbirange of [true, false]) {
      const harness = new KvmHarness({ vcpus: 1, features: { fwb: true, tlbirange } });
      const trace = traceTlbi(harness);
      harness.run([
        function* (cpu, vm) {
          yield prepare(cpu, vm);
          yield mapAt(cpu, vm, 0, PAGE, PERM_READ);
          yield mapAt(cpu, vm, 0, BLOCK, PERM_READ);
          expect(cpu.ret).toBe(0);
        },
      ]);
      const wanted = tlbirange
        ? ['RipaS2E1Is:512', 'dsb', 'VmallE1Is', 'dsb']
        : ['VmallS12E1Is', 'dsb'];
      expect(trace).toEqual(wanted);
      expect(harness.walk(0).level).toBe(2);
    }
  });

  it('unmapFlush=range: leaves go in one flush, tables at once', () => {
    for (const unmapFlush of ['per-pte', 'range'] as const) {
      const harness = new KvmHarness({
        vcpus: 1,
        features: { fwb: true },
        options: { unmapFlush, prune: 'immediate', faults: 'exclusive' },
      });
      const trace = traceTlbi(harness);
      harness.run([
        function* (cpu, vm) {
          yield prepare(cpu, vm);
          yield mapAt(cpu, vm, 0, 4 * PAGE, PERM_READ);
          yield vm.mmuLock.acquire(cpu, vm.kvmHi, vm.field.mmuLock);
          yield unmapRange(cpu, vm, TEST_IPA, 8 * PAGE, false);
          yield vm.mmuLock.release(cpu, vm.kvmHi, vm.field.mmuLock);
        },
      ]);
      const byIpa = trace.filter((name) => name === 'IpaS2E1Is').length;
      expect(byIpa).toBe(unmapFlush === 'range' ? 2 : 6);
      expect(trace.filter((name) => name === 'RipaS2E1Is:8').length).toBe(
        unmapFlush === 'range' ? 1 : 0,
      );
      expect(harness.walk(0).fault).toBe('translation');
      // The table of pages, and the one above that it left empty.
      expect(harness.freedTables.length).toBe(2);
    }
  });

  it('the same mapping again, or other permissions only, is -EAGAIN', () => {
    const harness = new KvmHarness({ vcpus: 1 });
    harness.run([
      function* (cpu, vm) {
        yield prepare(cpu, vm);
        yield mapAt(cpu, vm, 0, PAGE, PERM_READ);
        yield mapAt(cpu, vm, 0, PAGE, PERM_READ | PERM_WRITE);
        expect(cpu.ret).toBe(-EAGAIN);
        yield relaxPermissions(cpu, vm, TEST_IPA + PAGE, PERM_READ, 0);
        expect(cpu.ret).toBe(-EAGAIN);
        yield writeProtectRange(cpu, vm, TEST_IPA, TEST_IPA + 8 * PAGE);
        expect(cpu.ret).toBe(0);
        const idle = { flags: Walk.Leaf, visit: () => null };
        yield walkTables(cpu, vm, 2 ** 40 - PAGE, 2 * PAGE, idle);
        expect(cpu.ret).toBe(-ERANGE);
      },
    ]);
  });

  /** One CPU turns a table into a block and back while others walk it. */
  function churn(seed: number, prune: PruneMode): number {
    const harness = new KvmHarness({ seed, vcpus: 3, features: { fwb: true }, options: { prune } });
    const watch = watchFreedTables(harness);
    for (const cpu of [1, 2]) slowDownLoads(harness, cpu, 6000);
    let walking = 2;
    const walker = function* (cpu: Cpu, vm: Vm): Program {
      yield prepare(cpu, vm);
      for (let i = 0; i < 15; i++) {
        yield relaxPermissions(cpu, vm, TEST_IPA + PAGE, PERM_READ, Walk.Shared);
        yield vm.rcu.poll(cpu);
      }
      walking--;
    };
    harness.run([
      function* (cpu, vm) {
        while (walking > 0) {
          yield prepare(cpu, vm);
          yield mapAt(cpu, vm, PAGE, PAGE, PERM_READ);
          // The table stays for about as long as its freeing takes.
          for (let step = 0; step < 600; step++) while (!cpu.fence(Fence.DmbIsh)) yield;
          yield mapAt(cpu, vm, 0, BLOCK, PERM_READ);
          yield vm.rcu.poll(cpu);
        }
      },
      walker,
      walker,
    ]);
    harness.audit();
    return watch.reads;
  }

  it('no walker reads a freed table, and freeing at once would be noticed', () => {
    let unsafe = 0;
    for (let seed = 1; seed <= 3; seed++) {
      expect(churn(seed, 'rcu-callback')).toBe(0);
      expect(churn(seed, 'lock-descendants')).toBe(0);
      unsafe += churn(seed, 'immediate');
    }
    expect(unsafe).toBeGreaterThan(0);
  });
});
