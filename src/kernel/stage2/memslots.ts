/**
 * Memslots: struct kvm_memslots and struct kvm_memory_slot (include/linux/kvm_host.h), the look-up
 * of a guest frame (__gfn_to_memslot, search_memslots) and the two sets that a change swaps.
 *
 * Readers hold SRCU; a writer changes the inactive set, swaps and waits for the readers. All vCPUs
 * share the set's last_used_slot word, so VMs with many slots in use pass that line around.
 *
 * Deviation: slots are sorted in an array and found by bisection, which reads as many slot records
 * as the kernel's balanced tree; the two sets have records of their own.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Order } from '../../cpu/operations.ts';
import { Cost } from '../../machine/costs.ts';
import type { BootMemory } from '../../memory/boot.ts';
import { type Address, addBytes, toLinear } from '../../memory/physical-address.ts';
import { ENOENT } from '../base/errno.ts';
import { addressHi, addressLo, addressOf, alignUp } from './address.ts';

export const SlotFlag = {
  /** dirty_bitmap is set: the slot is logging. */
  Logging: 1,
  /** KVM_MEMSLOT_INVALID: being removed. */
  Invalid: 2,
} as const;

/** Offsets in a set. */
const COUNT = 0;
const LAST_USED = 4;
const ORDER = 64;
const RECORD_BYTES = 64;
/** Offsets in a record. */
const BASE_PAGE = 0;
const PAGES = 8;
const FLAGS = 16;

export const SLOTS_MAX = 128;

/** Plain data: linear-map addresses of the two sets. */
export interface MemslotSets {
  readonly hi: number;
  readonly lo: readonly [number, number];
  readonly records: number;
}

/** What a slot is, apart from its state in emulated memory. */
export interface SlotExtent {
  readonly id: number;
  readonly basePage: number;
  readonly pages: number;
  readonly present: boolean;
  /** SlotFlag at boot; absent: none. */
  readonly flags?: number;
}

export function bootMemslots(
  boot: BootMemory,
  name: string,
  node: number,
  slots: readonly SlotExtent[],
): MemslotSets {
  const records = ORDER + alignUp(SLOTS_MAX * 4, 64);
  const bytes = records + slots.length * RECORD_BYTES;
  const present = slots.filter((slot) => slot.present).sort((a, b) => a.basePage - b.basePage);
  const physical: Address[] = [0, 1].map((set) =>
    boot.allocateNamed(`${name}->__memslots[${set}]`, node, bytes),
  );
  for (const address of physical) {
    boot.write32(address, COUNT, present.length);
    present.forEach((slot, position) => {
      boot.write32(address, ORDER + position * 4, slot.id);
    });
    for (const slot of slots) {
      const record = records + slot.id * RECORD_BYTES;
      const base = slot.basePage;
      boot.write64(address, record + BASE_PAGE, addressHi(base), addressLo(base));
      boot.write64(address, record + PAGES, addressHi(slot.pages), addressLo(slot.pages));
      boot.write32(address, record + FLAGS, slot.flags ?? 0);
    }
    boot.name(`${name}->memslots->last_used_slot`, addBytes(address, LAST_USED), 4);
  }
  const [first, second] = physical.map(toLinear) as [Address, Address];
  return { hi: first.hi, lo: [first.lo, second.lo], records };
}

function recordLo(sets: MemslotSets, set: number, id: number): number {
  return (sets.lo[set]! + sets.records + id * RECORD_BYTES) | 0;
}

/** kvm_memslots: which set is active; result in cpu.ret. */
export function readActiveSet(cpu: Cpu, kvmHi: number, activeLo: number): boolean {
  if (!cpu.load32(kvmHi, activeLo, Order.Acquire)) return false;
  cpu.ret = cpu.lo;
  return true;
}

/** Is the page in the slot's record? Result in cpu.ret: -1 below, 1 above, 0 inside. */
function* compare(cpu: Cpu, sets: MemslotSets, set: number, id: number, page: number): Program {
  const record = recordLo(sets, set, id);
  while (!cpu.load64(sets.hi, record + BASE_PAGE, Order.Relaxed)) yield;
  const base = addressOf(cpu.hi, cpu.lo);
  if (page < base) {
    cpu.ret = -1;
    return;
  }
  while (!cpu.load64(sets.hi, record + PAGES, Order.Relaxed)) yield;
  cpu.ret = page < base + addressOf(cpu.hi, cpu.lo) ? 0 : 1;
}

/**
 * The slot of a guest page in a set, under SRCU. cpu.ret = its id (cpu.lo = its flags), or -ENOENT
 * if there is none or it is being removed.
 */
export function* findSlot(cpu: Cpu, sets: MemslotSets, set: number, page: number): Program {
  cpu.spend(Cost.MemslotLookup);
  const setLo = sets.lo[set]!;
  while (!cpu.load32(sets.hi, setLo + LAST_USED, Order.Relaxed)) yield;
  const last = cpu.lo - 1;
  let found = -1;
  if (last >= 0) {
    const record = recordLo(sets, set, last);
    while (!cpu.load64(sets.hi, record + BASE_PAGE, Order.Relaxed)) yield;
    const base = addressOf(cpu.hi, cpu.lo);
    if (page >= base) {
      while (!cpu.load64(sets.hi, record + PAGES, Order.Relaxed)) yield;
      if (page < base + addressOf(cpu.hi, cpu.lo)) found = last;
    }
  }
  if (found < 0) {
    yield* bisect(cpu, sets, set, page);
    found = cpu.ret;
    if (found < 0) return;
    while (!cpu.store32(sets.hi, setLo + LAST_USED, found + 1, Order.Relaxed)) yield;
  }
  while (!readSlotFlags(cpu, sets, set, found)) yield;
  cpu.ret = (cpu.lo & SlotFlag.Invalid) === 0 ? found : -ENOENT;
}

function* bisect(cpu: Cpu, sets: MemslotSets, set: number, page: number): Program {
  const setLo = sets.lo[set]!;
  while (!cpu.load32(sets.hi, setLo + COUNT, Order.Relaxed)) yield;
  let low = 0;
  let high = cpu.lo - 1;
  while (low <= high) {
    const middle = (low + high) >>> 1;
    while (!cpu.load32(sets.hi, setLo + ORDER + middle * 4, Order.Relaxed)) yield;
    const id = cpu.lo;
    yield* compare(cpu, sets, set, id, page);
    if (cpu.ret === 0) {
      cpu.ret = id;
      return;
    }
    if (cpu.ret < 0) high = middle - 1;
    else low = middle + 1;
  }
  cpu.ret = -ENOENT;
}

/** cpu.lo = the slot's flags in a set. */
export function readSlotFlags(cpu: Cpu, sets: MemslotSets, set: number, id: number): boolean {
  return cpu.load32(sets.hi, recordLo(sets, set, id) + FLAGS, Order.Relaxed);
}

/** Writers only, on the inactive set. */
export function* writeSlotFlags(
  cpu: Cpu,
  sets: MemslotSets,
  set: number,
  id: number,
  flags: number,
): Program {
  while (!cpu.store32(sets.hi, recordLo(sets, set, id) + FLAGS, flags, Order.Relaxed)) yield;
}

/** Adds the slot to a set, or takes it out, keeping the order of addresses. Inactive set only. */
export function* setSlotPresent(
  cpu: Cpu,
  sets: MemslotSets,
  set: number,
  slot: SlotExtent,
  present: boolean,
): Program {
  const setLo = sets.lo[set]!;
  while (!cpu.load32(sets.hi, setLo + COUNT, Order.Relaxed)) yield;
  const count = cpu.lo;
  const kept: number[] = [];
  let inserted = !present;
  for (let position = 0; position < count; position++) {
    while (!cpu.load32(sets.hi, setLo + ORDER + position * 4, Order.Relaxed)) yield;
    const id = cpu.lo;
    if (id === slot.id) continue;
    if (!inserted) {
      yield* compare(cpu, sets, set, id, slot.basePage);
      if (cpu.ret < 0) {
        kept.push(slot.id);
        inserted = true;
      }
    }
    kept.push(id);
  }
  if (!inserted) kept.push(slot.id);
  for (let position = 0; position < kept.length; position++) {
    const at = setLo + ORDER + position * 4;
    while (!cpu.store32(sets.hi, at, kept[position]!, Order.Relaxed)) yield;
  }
  while (!cpu.store32(sets.hi, setLo + LAST_USED, 0, Order.Relaxed)) yield;
  while (!cpu.store32(sets.hi, setLo + COUNT, kept.length, Order.Relaxed)) yield;
}
