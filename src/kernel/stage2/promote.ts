/**
 * promote=in-place: when logging stops, tables under which the host still maps a block become
 * blocks again at once (x86: kvm_tdp_mmu_recover_huge_pages, recover_huge_pages_range, v6.13; no
 * arm64 kernel, where later faults do it). Each needs break, range flush and make, like a fault's.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { PERM_EXEC, PERM_READ, PERM_WRITE } from '../../translation/descriptors.ts';
import { s2AttributesHi, s2AttributesLo } from '../../translation/stage2-descriptors.ts';
import { addressOf } from './address.ts';
import { applyRange } from './apply-range.ts';
import {
  HOST_ENTRY_FLAGS,
  HostEntry,
  type HostEntryRead,
  newHostEntryRead,
  PMD_SHIFT,
  readUpper,
} from './host-table.ts';
import { mapWalker } from './pgtable-map.ts';
import { Walk, walkTables } from './pgtable-walk.ts';
import type { SlotImage, Vm } from './vm.ts';

const BLOCK_BYTES = 2 ** PMD_SHIFT;

export function* promoteInPlace(cpu: Cpu, vm: Vm, slot: SlotImage): Program {
  if (slot.baseIpa % BLOCK_BYTES !== 0) return;
  const entry = newHostEntryRead();
  const wholeBytes = slot.bytes - (slot.bytes % BLOCK_BYTES);
  yield* vm.mmuLock.acquire(cpu, vm.kvmHi, vm.field.mmuLock);
  yield* applyRange(cpu, vm, slot.baseIpa, slot.baseIpa + wholeBytes, true, (from, bytes) =>
    promoteChunk(cpu, vm, slot, from, bytes, entry),
  );
  yield* vm.mmuLock.release(cpu, vm.kvmHi, vm.field.mmuLock);
}

function* promoteChunk(
  cpu: Cpu,
  vm: Vm,
  slot: SlotImage,
  from: number,
  bytes: number,
  entry: HostEntryRead,
): Program {
  for (let ipa = from; ipa < from + bytes; ipa += BLOCK_BYTES) {
    const offset = ipa - slot.baseIpa;
    while (!readUpper(cpu, slot.host, offset, entry)) yield;
    const wanted = HostEntry.Present | HostEntry.Write;
    if ((entry.lo & (wanted | HostEntry.Table)) !== wanted) continue;
    const inUnit = offset % 2 ** slot.host.regionShift;
    const permissions = PERM_READ | PERM_WRITE | (vm.dic ? PERM_EXEC : 0);
    const request = {
      physical: addressOf(entry.hi, entry.lo & ~HOST_ENTRY_FLAGS) + inUnit,
      attributesHi: s2AttributesHi(permissions),
      attributesLo: s2AttributesLo(permissions, vm.fwb),
      tables: null,
      forcePages: false,
    };
    // Tables only: what is not mapped stays so.
    yield* walkTables(cpu, vm, ipa, BLOCK_BYTES, mapWalker(vm, request, Walk.TablePre));
    if (cpu.ret !== 0) return;
  }
  cpu.ret = 0;
}
