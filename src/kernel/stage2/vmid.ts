/**
 * The VMID allocator (arch/arm64/kvm/vmid.c, v5.16 and later: kvm_arm_vmid_update, new_vmid,
 * flush_context, check_update_reserved_vmid, kvm_arm_vmid_clear_active). A VM keeps its VMID while
 * the generation lasts; when the space is full, a new generation begins, the VMIDs that CPUs run
 * with now are reserved, and every entry of every VM is invalidated by broadcast.
 *
 * VMID 0 is the host's. An id is a 64-bit word: lo = VMID, hi = generation, 0 = none.
 *
 * Layout: generation and cur_idx on a line, cpu_vmid_lock on the next, then the bitmap; active and
 * reserved ids have a line per CPU.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Order } from '../../cpu/operations.ts';
import type { BootMemory } from '../../memory/boot.ts';
import { addBytes, toLinear } from '../../memory/physical-address.ts';
import { Counter } from '../../metrics/definition.ts';
import type { Lock } from '../../sync/lock.ts';
import { bitmapBytes, findNextZeroBit, setBit, testAndSetBit } from '../base/bitmap.ts';
import { type Stage2Steps, stage2Steps } from './steps.ts';
import { flushAllVmids } from './tlb-flush.ts';

/** Plain data; linear-map addresses with one high half. */
export interface VmidAllocator {
  readonly bits: number;
  readonly hi: number;
  readonly lo: number;
  /** Active and reserved id of each CPU, 64 bytes per CPU. */
  readonly cpusLo: number;
  /** CPUs that may run vCPUs. */
  readonly cpus: readonly number[];
}

const GENERATION = 0;
const CURRENT = 8;
const LOCK = 64;
const BITMAP = 128;
const ACTIVE = 0;
const RESERVED = 8;
/** VMID_ACTIVE_INVALID: generation 0 matches no id. */
const ACTIVE_INVALID = 1;

export function bootVmidAllocator(
  boot: BootMemory,
  node: number,
  bits: number,
  cpus: readonly number[],
): VmidAllocator {
  const bitmap = bitmapBytes(2 ** bits);
  const bytes = BITMAP + bitmap + boot.machine.cpuCount * 64;
  const physical = boot.allocate(node, bytes);
  boot.name('vmid_generation', physical, 16);
  boot.name('cpu_vmid_lock', addBytes(physical, LOCK), 8);
  boot.name('vmid_map', addBytes(physical, BITMAP), bitmap);
  boot.name('active_vmids', addBytes(physical, BITMAP + bitmap), bytes - BITMAP - bitmap);
  boot.write32(physical, GENERATION, 1);
  boot.write32(physical, CURRENT, 1);
  boot.write32(physical, BITMAP, 1);
  const { hi, lo } = toLinear(physical);
  return { bits, hi, lo, cpusLo: lo + BITMAP + bitmap, cpus };
}

function cpuLo(vmids: VmidAllocator, cpu: number): number {
  return (vmids.cpusLo + cpu * 64) | 0;
}

/**
 * kvm_arm_vmid_update, before each entry: this CPU runs with the VM's id, which is of the current
 * generation. Result: the VMID in cpu.lo.
 */
export function* updateVmid(
  cpu: Cpu,
  vmids: VmidAllocator,
  lock: Lock,
  idHi: number,
  idLo: number,
  steps: Pick<Stage2Steps, 'rolloverFlushes'> = stage2Steps,
): Program {
  const active = cpuLo(vmids, cpu.id) + ACTIVE;
  while (!cpu.load64(idHi, idLo, Order.Relaxed)) yield;
  let { hi, lo } = cpu;
  while (!cpu.load64(vmids.hi, active, Order.Relaxed)) yield;
  const { hi: activeHi, lo: activeLo } = cpu;
  while (!cpu.load32(vmids.hi, vmids.lo + GENERATION, Order.Relaxed)) yield;
  if ((activeHi | activeLo) !== 0 && hi === cpu.lo) {
    // Fails only if a rollover took the active id away meanwhile.
    while (!cpu.cas64(vmids.hi, active, activeHi, activeLo, hi, lo, Order.Relaxed)) yield;
    if (cpu.ok) {
      cpu.lo = lo;
      return;
    }
  }
  const interrupts = cpu.interrupts(false);
  yield* lock.acquire(cpu, vmids.hi, vmids.lo + LOCK);
  while (!cpu.load64(idHi, idLo, Order.Relaxed)) yield;
  ({ hi, lo } = cpu);
  while (!cpu.load32(vmids.hi, vmids.lo + GENERATION, Order.Relaxed)) yield;
  if (hi !== cpu.lo) {
    yield newVmid(cpu, vmids, hi, lo, steps.rolloverFlushes());
    ({ hi, lo } = cpu);
    while (!cpu.store64(idHi, idLo, hi, lo, Order.Relaxed)) yield;
  }
  while (!cpu.store64(vmids.hi, active, hi, lo, Order.Relaxed)) yield;
  yield* lock.release(cpu, vmids.hi, vmids.lo + LOCK);
  cpu.interrupts(interrupts);
  cpu.lo = lo;
}

/** Under the lock. Result in (hi, lo): an id of the current generation. */
function* newVmid(
  cpu: Cpu,
  vmids: VmidAllocator,
  oldHi: number,
  oldLo: number,
  flushes: boolean,
): Program {
  const generationLo = vmids.lo + GENERATION;
  while (!cpu.load32(vmids.hi, generationLo, Order.Relaxed)) yield;
  const generation = cpu.lo;
  if (oldLo !== 0) {
    yield* updateReserved(cpu, vmids, oldHi, oldLo, generation);
    let keeps = cpu.ok;
    if (!keeps) {
      while (!testAndSetBit(cpu, vmids.hi, vmids.lo + BITMAP, oldLo)) yield;
      keeps = cpu.ret === 0;
    }
    if (keeps) {
      cpu.hi = generation;
      cpu.lo = oldLo;
      return;
    }
  }
  const limit = 2 ** vmids.bits;
  while (!cpu.load32(vmids.hi, vmids.lo + CURRENT, Order.Relaxed)) yield;
  yield* findNextZeroBit(cpu, vmids.hi, vmids.lo + BITMAP, limit, cpu.lo);
  let fresh = generation;
  if (cpu.ret === limit) {
    fresh = generation + 1;
    while (!cpu.store32(vmids.hi, generationLo, fresh, Order.Relaxed)) yield;
    yield flushContext(cpu, vmids, flushes);
    // There are more VMIDs than CPUs, so one is free.
    yield* findNextZeroBit(cpu, vmids.hi, vmids.lo + BITMAP, limit, 1);
  }
  const vmid = cpu.ret;
  while (!setBit(cpu, vmids.hi, vmids.lo + BITMAP, vmid)) yield;
  while (!cpu.store32(vmids.hi, vmids.lo + CURRENT, vmid, Order.Relaxed)) yield;
  cpu.hi = fresh;
  cpu.lo = vmid;
}

/** check_update_reserved_vmid: an id that was running at the rollover keeps its number. */
function* updateReserved(
  cpu: Cpu,
  vmids: VmidAllocator,
  oldHi: number,
  oldLo: number,
  generation: number,
): Program {
  let hit = false;
  for (const other of vmids.cpus) {
    const reserved = cpuLo(vmids, other) + RESERVED;
    while (!cpu.load64(vmids.hi, reserved, Order.Relaxed)) yield;
    if (cpu.hi !== oldHi || cpu.lo !== oldLo) continue;
    hit = true;
    while (!cpu.store64(vmids.hi, reserved, generation, oldLo, Order.Relaxed)) yield;
  }
  cpu.ok = hit;
}

/** flush_context: the new generation starts with the ids that are running now. */
function* flushContext(cpu: Cpu, vmids: VmidAllocator, flushes: boolean): Program {
  cpu.count(Counter.VmidRollovers, 1);
  const words = 2 ** vmids.bits / 32;
  for (let word = 0; word < words; word++) {
    const kept = word === 0 ? 1 : 0;
    while (!cpu.store32(vmids.hi, vmids.lo + BITMAP + word * 4, kept, Order.Relaxed)) yield;
  }
  for (const other of vmids.cpus) {
    const at = cpuLo(vmids, other);
    while (!cpu.swap64(vmids.hi, at + ACTIVE, 0, 0, Order.Relaxed)) yield;
    let { hi, lo } = cpu;
    if ((hi | lo) === 0) {
      // No entry since the last rollover: what was reserved then still is.
      while (!cpu.load64(vmids.hi, at + RESERVED, Order.Relaxed)) yield;
      ({ hi, lo } = cpu);
    }
    const isVmid = hi !== 0;
    if (isVmid) while (!setBit(cpu, vmids.hi, vmids.lo + BITMAP, lo)) yield;
    while (!cpu.store64(vmids.hi, at + RESERVED, hi, lo, Order.Relaxed)) yield;
  }
  if (flushes) yield* flushAllVmids(cpu);
}

/** kvm_arm_vmid_clear_active, when a vCPU is put: its VMID need not be reserved any more. */
export function clearActiveVmid(cpu: Cpu, vmids: VmidAllocator): boolean {
  const active = cpuLo(vmids, cpu.id) + ACTIVE;
  return cpu.store64(vmids.hi, active, 0, ACTIVE_INVALID, Order.Relaxed);
}
