/**
 * Promise: guest memory is mapped in the sizes that its backing allows (stage 2 never sets CONT),
 * on the node that policy and first touch say; sizes that a 4K host has not are refused in one
 * line.
 */

import { describe, expect, it } from 'vitest';
import { BACKING_NAMES, backingOf } from '../../../../src/kernel/stage2/backing.ts';
import type { HostPolicy } from '../../../../src/kernel/stage2/host-table.ts';
import { guestStore, runVcpu } from '../../../../src/kernel/stage2/vcpu.ts';
import { guestVa, KvmHarness } from './kvm-harness.ts';

const PAGE = 4096;
const GIB = 2 ** 30;

function touchFirst(backing: string, bytes: number, policy?: HostPolicy): KvmHarness {
  const harness = new KvmHarness({
    vcpus: 2,
    helpers: 0,
    backing,
    bytes,
    memoryBytesPerNode: 4 * GIB,
    ...(policy === undefined ? {} : { policy }),
  });
  harness.run([
    (cpu, vm) =>
      runVcpu(cpu, vm, 0, function* (at, vcpu) {
        for (let page = 0; page < 4; page++) {
          const { hi, lo } = guestVa(page * PAGE);
          yield* guestStore(at, vcpu, hi, lo, 0, 1);
        }
      }),
    (cpu, vm) =>
      runVcpu(cpu, vm, 1, function* (at, vcpu) {
        const { hi, lo } = guestVa(2 ** 21);
        yield* guestStore(at, vcpu, hi, lo, 0, 1);
      }),
  ]);
  return harness;
}

describe('backing', () => {
  it.each([
    ['anonymous', 4 * 2 ** 20, 3],
    ['anonymous_thp', 4 * 2 ** 20, 2],
    ['anonymous_hugetlb_64kb', 4 * 2 ** 20, 3],
    ['anonymous_hugetlb_2mb', 4 * 2 ** 20, 2],
    ['anonymous_hugetlb_32mb', 64 * 2 ** 20, 2],
    ['anonymous_hugetlb_1gb', GIB, 1],
    ['shmem', 4 * 2 ** 20, 3],
    ['shared_hugetlb', 4 * 2 ** 20, 2],
  ])('%s is mapped at level', (backing, bytes, level) => {
    const harness = touchFirst(backing, bytes);
    expect(harness.walk(0).fault).toBe('none');
    expect(harness.walk(0).level).toBe(level);
    harness.audit();
  });

  it('first touch, bind and interleave decide the node', () => {
    const nodes = (policy?: HostPolicy): number[] => {
      const harness = touchFirst('anonymous', 4 * 2 ** 20, policy);
      return [0, 1, 2, 3, 512].map((page) => harness.walk(page * PAGE).output.hi >>> 6);
    };
    expect(nodes()).toEqual([0, 0, 0, 0, 1]);
    expect(nodes({ kind: 'bind', node: 1, nodes: [0, 1] })).toEqual([1, 1, 1, 1, 1]);
    expect(nodes({ kind: 'interleave', node: 0, nodes: [0, 1] })).toEqual([0, 1, 0, 1, 0]);
  });

  it('knows every name of the selftests and refuses what this host has not', () => {
    const refused = BACKING_NAMES.filter((name) => {
      try {
        backingOf(name);
        return false;
      } catch {
        return true;
      }
    });
    expect(refused).toContain('anonymous_hugetlb_16kb');
    expect(refused).toContain('anonymous_hugetlb_16gb');
    expect(() => backingOf('anonymous_hugetlb_512mb')).toThrow(/64kb, 2mb, 32mb, 1gb/);
    expect(() => backingOf('tmpfs')).toThrow(/unknown source 'tmpfs'/);
  });
});
