/**
 * What a vCPU executes inside the guest: memstress_guest_code (tools/testing/selftests/kvm/lib/
 * memstress.c): the first 8 bytes of every page of its region, in order or at random, written with a
 * given chance, else read. The magic value is the test's.
 *
 * An access that does not complete at once is recorded as guest.access: it missed the private
 * caches, walked tables, or faulted.
 */

import type { Cpu, Program } from '../../src/cpu/cpu.ts';
import { Order } from '../../src/cpu/operations.ts';
import { endStall } from '../../src/kernel/stage2/vcpu.ts';
import type { Vcpu } from '../../src/kernel/stage2/vcpu-state.ts';
import { Metric } from '../../src/metrics/definition.ts';

const MAGIC_HI = 0x01234567;
const MAGIC_LO = 0x89abcdef | 0;
const TWO_32 = 0x1_0000_0000;

export interface GuestPass {
  /** First guest-virtual address. */
  readonly gva: number;
  readonly pages: number;
  readonly pageBytes: number;
  readonly writePercent: number;
  readonly randomOrder: boolean;
}

/** Streams of a workload that runs guest passes, first in its list. */
export const GUEST_STREAMS: readonly string[] = ['page', 'write'];
const STREAM_PAGE = 0;
const STREAM_WRITE = 1;

export function* touchPages(cpu: Cpu, vcpu: Vcpu, pass: GuestPass): Program {
  const { gva, pages, pageBytes, writePercent, randomOrder } = pass;
  for (let i = 0; i < pages; i++) {
    const page = randomOrder ? cpu.random(STREAM_PAGE) % pages : i;
    const write = writePercent === 100 || cpu.random(STREAM_WRITE) % 100 < writePercent;
    yield* touch(cpu, vcpu, gva + page * pageBytes, write);
  }
}

/** One access at a guest-virtual address. */
export function* touch(cpu: Cpu, vcpu: Vcpu, address: number, write: boolean): Program {
  const hi = Math.floor(address / TWO_32);
  const lo = address | 0;
  cpu.begin(Metric.GuestAccess);
  let immediate = true;
  if (write) {
    while (!cpu.store64(hi, lo, MAGIC_HI, MAGIC_LO, Order.Relaxed)) {
      immediate = false;
      yield;
    }
  } else {
    while (!cpu.load64(hi, lo, Order.Relaxed)) {
      immediate = false;
      yield;
    }
  }
  if (immediate) cpu.cancel(Metric.GuestAccess);
  else cpu.end(Metric.GuestAccess);
  endStall(cpu, vcpu);
  cpu.mark();
}
