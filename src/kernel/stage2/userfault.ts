/**
 * userfaultfd (fs/userfaultfd.c: handle_userfault, userfaultfd_ctx_read, wake_userfault;
 * mm/userfaultfd.c: mfill_atomic, mfill_atomic_install_pte): a fault of registered memory queues a
 * message and sleeps; a handler thread on another CPU reads it, fills the page in by UFFDIO_COPY
 * (or UFFDIO_CONTINUE for a minor fault) and wakes whoever waits for it.
 *
 * The frame comes from the handler's node unless the VMA has a policy: that is where first touch
 * happens. Deviations: readers poll() as the selftest does, so every new message wakes all of them;
 * one fault per vCPU at a time; EAGAIN of UFFDIO_COPY while mmap_lock is contended is not modelled.
 *
 * Layout of a context: fault_pending_wqh.lock, quit; head and tail of the pending ring on the next
 * line; the ring of vCPU numbers; then a line per vCPU: state, on the ring or not, offset in the
 * slot.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Order } from '../../cpu/operations.ts';
import { Cost } from '../../machine/costs.ts';
import type { BootMemory } from '../../memory/boot.ts';
import { toLinear } from '../../memory/physical-address.ts';
import { Counter, Metric } from '../../metrics/definition.ts';
import { rcuEnterIdle, rcuExitIdle } from '../base/rcu.ts';
import { addressHi, addressLo, addressOf, alignUp } from './address.ts';
import type { SlotImage, Vm } from './vm.ts';

export type UserfaultMode = 'missing' | 'minor';

/** Plain data; linear-map addresses with one high half. */
export interface UserfaultContext {
  readonly mode: UserfaultMode;
  readonly hi: number;
  readonly lo: number;
  /** CPUs of the handler threads. */
  readonly readers: readonly number[];
  /** By vCPU: the CPU that its thread is on. */
  readonly vcpuCpus: readonly number[];
}

const QUIT = 4;
const HEAD = 64;
const TAIL = 68;
const RING = 128;
/** Offsets in a vCPU's line. */
const IN_RING = 4;
const OFFSET = 8;
const State = { None: 0, Pending: 1, Read: 2 } as const;

export function bootUserfault(
  boot: BootMemory,
  name: string,
  node: number,
  mode: UserfaultMode,
  readers: readonly number[],
  vcpuCpus: readonly number[],
): UserfaultContext {
  const entries = entriesOffset(vcpuCpus.length);
  const bytes = entries + vcpuCpus.length * 64;
  const { hi, lo } = toLinear(boot.allocateNamed(name, node, bytes));
  return { mode, hi, lo, readers, vcpuCpus };
}

function entriesOffset(vcpus: number): number {
  return RING + alignUp(vcpus * 4, 64);
}

function entryLo(context: UserfaultContext, vcpu: number): number {
  return (context.lo + entriesOffset(context.vcpuCpus.length) + vcpu * 64) | 0;
}

/** The context of an offset in a slot: contexts divide the slot evenly. */
export function userfaultFor(slot: SlotImage, offset: number): UserfaultContext | null {
  const { userfaults } = slot;
  if (userfaults.length === 0) return null;
  const part = alignUp(Math.ceil(slot.bytes / userfaults.length), 4096);
  return userfaults[Math.floor(offset / part)]!;
}

/**
 * handle_userfault: queues the fault, looks whether the page is still missing
 * (userfaultfd_must_wait, result in cpu.ok), drops the lock, wakes the readers and sleeps until
 * woken.
 */
export function* waitForUserfault(
  cpu: Cpu,
  vm: Vm,
  context: UserfaultContext,
  vcpu: number,
  offset: number,
  mustWait: () => boolean,
  dropLock: () => Program,
): Program {
  const { hi } = context;
  const entry = entryLo(context, vcpu);
  cpu.begin(Metric.FaultUserfault);
  yield* queueMessage(cpu, vm, context, vcpu, offset);
  while (!mustWait()) yield;
  const waits = cpu.ok;
  yield* dropLock();
  if (waits) {
    for (const reader of context.readers) {
      cpu.spend(Cost.TaskWake);
      while (!cpu.wake(reader)) yield;
    }
    while (!rcuEnterIdle(cpu)) yield;
    for (;;) {
      while (!cpu.load32(hi, entry, Order.Acquire)) yield;
      if (cpu.lo === State.None) break;
      while (!cpu.idle()) yield;
    }
    while (!rcuExitIdle(cpu)) yield;
    cpu.spend(Cost.ContextSwitch);
  } else {
    yield* vm.spinlock.acquire(cpu, hi, context.lo);
    while (!cpu.store32(hi, entry, State.None, Order.Relaxed)) yield;
    yield* vm.spinlock.release(cpu, hi, context.lo);
  }
  cpu.end(Metric.FaultUserfault);
}

/**
 * Puts the vCPU on the pending ring. Whoever was woken before a reader got to his message has left
 * it there (with state None): it serves for the next fault.
 */
function* queueMessage(
  cpu: Cpu,
  vm: Vm,
  context: UserfaultContext,
  vcpu: number,
  offset: number,
): Program {
  const { hi, lo } = context;
  const entry = entryLo(context, vcpu);
  yield* vm.spinlock.acquire(cpu, hi, lo);
  const offsetAt = entry + OFFSET;
  while (!cpu.store64(hi, offsetAt, addressHi(offset), addressLo(offset), Order.Relaxed)) yield;
  while (!cpu.store32(hi, entry, State.Pending, Order.Relaxed)) yield;
  while (!cpu.load32(hi, entry + IN_RING, Order.Relaxed)) yield;
  if (cpu.lo === 0) {
    while (!cpu.store32(hi, entry + IN_RING, 1, Order.Relaxed)) yield;
    while (!cpu.load32(hi, lo + TAIL, Order.Relaxed)) yield;
    const tail = cpu.lo;
    const place = lo + RING + (tail % context.vcpuCpus.length) * 4;
    while (!cpu.store32(hi, place, vcpu, Order.Relaxed)) yield;
    while (!cpu.store32(hi, lo + TAIL, tail + 1, Order.Release)) yield;
  }
  yield* vm.spinlock.release(cpu, hi, lo);
}

/**
 * Takes the first message off the ring. cpu.ok, offset in (hi, lo); not ok = it was empty or stale.
 */
function* takeMessage(cpu: Cpu, vm: Vm, context: UserfaultContext): Program {
  const { hi, lo } = context;
  let offset = -1;
  yield* vm.spinlock.acquire(cpu, hi, lo);
  while (!cpu.load32(hi, lo + HEAD, Order.Relaxed)) yield;
  const head = cpu.lo;
  while (!cpu.load32(hi, lo + TAIL, Order.Relaxed)) yield;
  if (cpu.lo !== head) {
    const place = lo + RING + (head % context.vcpuCpus.length) * 4;
    while (!cpu.load32(hi, place, Order.Relaxed)) yield;
    const entry = entryLo(context, cpu.lo);
    while (!cpu.store32(hi, lo + HEAD, head + 1, Order.Relaxed)) yield;
    while (!cpu.store32(hi, entry + IN_RING, 0, Order.Relaxed)) yield;
    while (!cpu.load32(hi, entry, Order.Relaxed)) yield;
    if (cpu.lo === State.Pending) {
      while (!cpu.store32(hi, entry, State.Read, Order.Relaxed)) yield;
      while (!cpu.load64(hi, entry + OFFSET, Order.Relaxed)) yield;
      offset = addressOf(cpu.hi, cpu.lo);
    }
  }
  yield* vm.spinlock.release(cpu, hi, lo);
  cpu.ok = offset >= 0;
  cpu.hi = addressHi(Math.max(0, offset));
  cpu.lo = addressLo(Math.max(0, offset));
}

/** poll() and read(): waits for a message. cpu.ok = got one, offset in (hi, lo); not ok = quit. */
export function* readUserfault(cpu: Cpu, vm: Vm, context: UserfaultContext): Program {
  const { hi, lo } = context;
  for (;;) {
    cpu.spend(Cost.Syscall);
    while (!cpu.load32(hi, lo + TAIL, Order.Acquire)) yield;
    const tail = cpu.lo;
    while (!cpu.load32(hi, lo + HEAD, Order.Relaxed)) yield;
    if (cpu.lo === tail) {
      while (!cpu.load32(hi, lo + QUIT, Order.Acquire)) yield;
      if (cpu.lo !== 0) {
        cpu.ok = false;
        return;
      }
      yield* sleepUntilWoken(cpu);
      continue;
    }
    cpu.spend(Cost.Syscall);
    yield* takeMessage(cpu, vm, context);
    if (!cpu.ok) continue;
    cpu.count(Counter.UserfaultMessages, 1);
    return;
  }
}

function* sleepUntilWoken(cpu: Cpu): Program {
  while (!rcuEnterIdle(cpu)) yield;
  while (!cpu.idle()) yield;
  while (!rcuExitIdle(cpu)) yield;
  cpu.spend(Cost.ContextSwitch);
}

/** wake_userfault: everybody who waits for [offset, offset + bytes). */
export function* wakeUserfaults(
  cpu: Cpu,
  vm: Vm,
  context: UserfaultContext,
  offset: number,
  bytes: number,
): Program {
  const { hi, lo, vcpuCpus } = context;
  yield* vm.spinlock.acquire(cpu, hi, lo);
  for (let vcpu = 0; vcpu < vcpuCpus.length; vcpu++) {
    const entry = entryLo(context, vcpu);
    while (!cpu.load32(hi, entry, Order.Relaxed)) yield;
    if (cpu.lo === State.None) continue;
    while (!cpu.load64(hi, entry + OFFSET, Order.Relaxed)) yield;
    const at = addressOf(cpu.hi, cpu.lo);
    if (at < offset || at >= offset + bytes) continue;
    while (!cpu.store32(hi, entry, State.None, Order.Release)) yield;
    cpu.spend(Cost.TaskWake);
    while (!cpu.wake(vcpuCpus[vcpu]!)) yield;
  }
  yield* vm.spinlock.release(cpu, hi, lo);
}

/** Tells the handlers to end once the ring is empty. */
export function* stopUserfaults(cpu: Cpu, context: UserfaultContext): Program {
  while (!cpu.store32(context.hi, context.lo + QUIT, 1, Order.Release)) yield;
  for (const reader of context.readers) {
    while (!cpu.wake(reader)) yield;
  }
}
