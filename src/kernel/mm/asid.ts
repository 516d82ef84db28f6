/**
 * Giving a process its ASID and making it current on a CPU (arch/arm64/mm/context.c, v6.13:
 * check_and_switch_context, new_context): the first CPU that runs the process takes one under
 * cpu_asid_lock, the others find it in mm->context.id.
 *
 * Deviation: one generation. There is no rollover, so a run with more processes than ASIDs is
 * refused at boot; kernel page-table isolation, which takes ASIDs in pairs, is off.
 */

import { assert } from '../../base/assert.ts';
import { UserError } from '../../base/errors.ts';
import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Order, Register } from '../../cpu/operations.ts';
import type { BootMemory } from '../../memory/boot.ts';
import { toLinear } from '../../memory/physical-address.ts';
import type { Lock } from '../../sync/lock.ts';
import { allocateId, bootIdAllocator, type IdAllocator } from '../base/id-allocator.ts';
import { MmField, type MmImage } from './mm-struct.ts';

/** Plain data. */
export interface AsidImage {
  readonly ids: IdAllocator;
  /** Linear-map address of cpu_asid_lock. */
  readonly hi: number;
  readonly lo: number;
}

/** ASID 0 is reserved, as in the kernel. */
const RESERVED = 1;
const LOCK_BYTES = 64;

/** Backed bytes of the allocator. */
export function asidBytes(bits: number): number {
  return 2 ** bits / 8 + 2 * LOCK_BYTES;
}

export function bootAsids(
  boot: BootMemory,
  node: number,
  processes: number,
  lock: Lock,
): AsidImage {
  const { asidBits } = boot.machine.features;
  const usable = 2 ** asidBits - RESERVED;
  if (processes > usable) {
    throw new UserError(
      `${processes} processes need more than the ${usable} ASIDs of ${boot.machine.name}; ` +
        'use fewer CPUs or mode=threads',
    );
  }
  assert(lock.bytes <= LOCK_BYTES, `cpu_asid_lock of ${lock.bytes} bytes`);
  const physical = boot.allocateNamed('cpu_asid_lock', node, LOCK_BYTES);
  lock.init?.(boot, physical);
  const ids = bootIdAllocator(boot, 'asid_map', node, 2 ** asidBits, RESERVED);
  return { ids, ...toLinear(physical) };
}

/** Makes the process current on this CPU: TTBR0 holds its root and its ASID. */
export function* switchMm(cpu: Cpu, mm: MmImage, asids: AsidImage, lock: Lock): Program {
  const context = (mm.lo + MmField.ContextId) | 0;
  while (!cpu.load32(mm.hi, context, Order.Acquire)) yield;
  let asid = cpu.lo;
  if (asid === 0) {
    const interrupts = cpu.interrupts(false);
    yield lock.acquire(cpu, asids.hi, asids.lo);
    while (!cpu.load32(mm.hi, context, Order.Relaxed)) yield;
    asid = cpu.lo;
    if (asid === 0) {
      yield* allocateId(cpu, asids.ids);
      asid = cpu.ret;
      assert(asid >= RESERVED, `cpu ${cpu.id}: no ASID is left for a process`);
      while (!cpu.store32(mm.hi, context, asid, Order.Release)) yield;
    }
    yield lock.release(cpu, asids.hi, asids.lo);
    cpu.interrupts(interrupts);
  }
  while (!cpu.setRoot(Register.Ttbr0, mm.rootHi, mm.rootLo, asid)) yield;
}
