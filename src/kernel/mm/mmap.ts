/**
 * mmap and munmap (Linux mm/mmap.c, mm/vma.c: do_mmap, mmap_region, do_vmi_align_munmap,
 * vms_complete_munmap_vmas; v6.13). Both take mmap_lock for writing; munmap drops to reading once
 * the VMA is detached, and takes pages and tables down then.
 *
 * Deviation: the address is chosen by the caller (a slot of the mmap area); a VMA is unmapped as a
 * whole.
 */

import { assert } from '../../base/assert.ts';
import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Order } from '../../cpu/operations.ts';
import { Cost } from '../../machine/costs.ts';
import { Metric } from '../../metrics/definition.ts';
import { vmaEndWriteAll, vmaStartWrite } from '../../sync/per-vma-lock.ts';
import { PAGE_BYTES } from '../base/struct-page.ts';
import type { AddressSpace } from './address-space.ts';
import { MmField, slotStart, VmaField, VmaKind, vmaLo } from './mm-struct.ts';
import { MmuGather } from './mmu-gather.ts';
import type { FileImage } from './page-cache.ts';
import { vaHi, vaLo, vaOf } from './virtual-address.ts';
import { freeTables, unmapRange } from './zap.ts';

/** Maps `bytes` at the start of a free slot; `file` for the kinds that map one. */
export function* mmap(
  cpu: Cpu,
  space: AddressSpace,
  slot: number,
  bytes: number,
  kind: VmaKind,
  file: FileImage | null = null,
): Program {
  const { mm } = space;
  assert(slot >= 0 && slot < mm.slots, `mmap into slot ${slot} of ${mm.slots}`);
  assert(bytes > 0 && bytes % PAGE_BYTES === 0 && bytes <= mm.slotBytes, `mmap of ${bytes} bytes`);
  assert((file !== null) === (kind !== VmaKind.Anonymous), 'only file mappings have a file');
  cpu.begin(Metric.Mmap);
  cpu.spend(Cost.Syscall);
  const { hi } = mm;
  const lo = vmaLo(mm, slot);
  const start = slotStart(mm, slot);
  const end = start + bytes;
  yield space.mmapLock.acquire(cpu, hi, (mm.lo + MmField.MmapLock) | 0);
  cpu.spend(Cost.VmaLookup);
  while (!cpu.load32(hi, lo + VmaField.Kind, Order.Relaxed)) yield;
  assert(cpu.lo === VmaKind.None, `slot ${slot} is mapped already`);
  if (space.options.mmapLock === 'per-vma') yield* startWrite(cpu, space, lo);
  while (!cpu.store64(hi, lo + VmaField.Start, vaHi(start), vaLo(start), Order.Relaxed)) yield;
  while (!cpu.store64(hi, lo + VmaField.End, vaHi(end), vaLo(end), Order.Relaxed)) yield;
  const fileHi = file?.hi ?? 0;
  const fileLo = file?.lo ?? 0;
  while (!cpu.store64(hi, lo + VmaField.File, fileHi, fileLo, Order.Relaxed)) yield;
  while (!cpu.store32(hi, lo + VmaField.AnonVma, 0, Order.Relaxed)) yield;
  // Visible to lookups without mmap_lock from here on.
  while (!cpu.store32(hi, lo + VmaField.Kind, kind, Order.Release)) yield;
  yield* countMaps(cpu, space, 1);
  if (space.options.mmapLock === 'per-vma') yield* endWriteAll(cpu, space);
  yield space.mmapLock.release(cpu, hi, (mm.lo + MmField.MmapLock) | 0);
  cpu.end(Metric.Mmap);
}

/** Unmaps the VMA of a slot and gives its memory back. */
export function* munmap(cpu: Cpu, space: AddressSpace, slot: number): Program {
  const { mm } = space;
  const { hi } = mm;
  const lo = vmaLo(mm, slot);
  const mmapLo = (mm.lo + MmField.MmapLock) | 0;
  cpu.begin(Metric.Munmap);
  cpu.spend(Cost.Syscall);
  yield space.mmapLock.acquire(cpu, hi, mmapLo);
  cpu.spend(Cost.VmaLookup);
  while (!cpu.load32(hi, lo + VmaField.Kind, Order.Relaxed)) yield;
  assert(cpu.lo !== VmaKind.None, `slot ${slot} is not mapped`);
  while (!cpu.load64(hi, lo + VmaField.Start, Order.Relaxed)) yield;
  const start = vaOf(cpu.hi, cpu.lo);
  while (!cpu.load64(hi, lo + VmaField.End, Order.Relaxed)) yield;
  const end = vaOf(cpu.hi, cpu.lo);
  if (space.options.mmapLock === 'per-vma') yield* startWrite(cpu, space, lo);
  while (!cpu.store32(hi, lo + VmaField.Kind, VmaKind.None, Order.Release)) yield;
  yield* countMaps(cpu, space, -1);
  if (space.options.mmapLock === 'per-vma') yield* endWriteAll(cpu, space);
  yield space.mmapLock.downgrade(cpu, hi, mmapLo);
  const gather = new MmuGather();
  yield unmapRange(cpu, space, gather, start, end);
  yield freeTables(cpu, space, gather, start, end);
  yield gather.flush(cpu, space);
  yield space.mmapLock.releaseRead(cpu, hi, mmapLo);
  cpu.end(Metric.Munmap);
}

function* startWrite(cpu: Cpu, space: AddressSpace, lo: number): Program {
  const { hi } = space.mm;
  const sequence = { hi, lo: (space.mm.lo + MmField.LockSequence) | 0 };
  yield vmaStartWrite(cpu, { hi, lo }, sequence);
}

function* endWriteAll(cpu: Cpu, space: AddressSpace): Program {
  const { hi, lo } = space.mm;
  yield* vmaEndWriteAll(cpu, { hi, lo: (lo + MmField.LockSequence) | 0 });
}

/** mm->map_count. */
function* countMaps(cpu: Cpu, space: AddressSpace, change: number): Program {
  const at = (space.mm.lo + MmField.MapCount) | 0;
  while (!cpu.load32(space.mm.hi, at, Order.Relaxed)) yield;
  const count = cpu.lo + change;
  while (!cpu.store32(space.mm.hi, at, count, Order.Relaxed)) yield;
}
