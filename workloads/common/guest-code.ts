/**
 * What a vCPU executes inside the guest: memstress_guest_code (tools/testing/selftests/kvm/lib/
 * memstress.c): the first 8 bytes of every page of its region, in order or at random, written
 * with a given chance, else read. The magic value is the test's.
 *
 * An access that takes longer than a hit in the private caches is recorded as guest.access: it
 * missed them, walked tables, or faulted. Time decides, never whether an attempt was refused:
 * that depends on how the engine cuts its work.
 */

import type { Cpu, Program } from '../../src/cpu/cpu.ts';
import { Order } from '../../src/cpu/operations.ts';
import { endStall } from '../../src/kernel/stage2/vcpu.ts';
import type { Vcpu } from '../../src/kernel/stage2/vcpu-state.ts';
import type { Machine } from '../../src/machine/machine.ts';
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
  /** What the slowest private hit takes (privateHitPs). */
  readonly hitPs: number;
}

/** A hit in L2 after a hit in the second level of the TLB. */
export function privateHitPs(machine: Machine): number {
  return machine.l2.latencyPs + machine.tlb2.penaltyPs;
}

/** Streams of a workload that runs guest passes, first in its list. */
export const GUEST_STREAMS: readonly string[] = ['page', 'write'];
const STREAM_PAGE = 0;
const STREAM_WRITE = 1;

export function* touchPages(cpu: Cpu, vcpu: Vcpu, pass: GuestPass): Program {
  const { gva, pages, pageBytes, writePercent, randomOrder, hitPs } = pass;
  for (let i = 0; i < pages; i++) {
    const page = randomOrder ? cpu.random(STREAM_PAGE) % pages : i;
    const write = writePercent === 100 || cpu.random(STREAM_WRITE) % 100 < writePercent;
    // As touch, without a program of its own for each page.
    const address = gva + page * pageBytes;
    const hi = Math.floor(address / TWO_32);
    const lo = address | 0;
    const hitEnd = cpu.deadline(hitPs + 1);
    cpu.begin(Metric.GuestAccess);
    if (write) while (!cpu.store64(hi, lo, MAGIC_HI, MAGIC_LO, Order.Relaxed)) yield;
    else while (!cpu.load64(hi, lo, Order.Relaxed)) yield;
    endTouch(cpu, vcpu, hitEnd);
  }
}

/** One access at a guest-virtual address. */
export function* touch(
  cpu: Cpu,
  vcpu: Vcpu,
  address: number,
  write: boolean,
  hitPs: number,
): Program {
  const hi = Math.floor(address / TWO_32);
  const lo = address | 0;
  const hitEnd = cpu.deadline(hitPs + 1);
  cpu.begin(Metric.GuestAccess);
  if (write) while (!cpu.store64(hi, lo, MAGIC_HI, MAGIC_LO, Order.Relaxed)) yield;
  else while (!cpu.load64(hi, lo, Order.Relaxed)) yield;
  endTouch(cpu, vcpu, hitEnd);
}

function endTouch(cpu: Cpu, vcpu: Vcpu, hitEnd: number): void {
  if (cpu.expired(hitEnd)) cpu.end(Metric.GuestAccess);
  else cpu.cancel(Metric.GuestAccess);
  endStall(cpu, vcpu);
  cpu.mark();
}
