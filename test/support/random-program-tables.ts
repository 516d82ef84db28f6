/**
 * Page tables that change while others use them: break-before-make remapping, write protection, and
 * a stage-2 entry that comes and goes, with the handlers that repair what then faults.
 *
 * A frame that is taken away is poisoned as soon as the DSB has returned: whoever still reads it
 * through the window proves that a translation survived.
 */

import type { Cpu, Program } from '../../src/cpu/cpu.ts';
import { FaultKind, Fence, Order, Register, Scope, Tlbi } from '../../src/cpu/operations.ts';
import { makeTicketLock } from '../../src/sync/ticket.ts';
import { S1_READ_ONLY } from '../../src/translation/stage1-descriptors.ts';
import {
  FRAME_POISON,
  FRAME_VALID,
  type GuestImage,
  type RandomImage,
  type RemappedPage,
} from './random-program-memory.ts';

const lock = makeTicketLock();

/** Moves the page to its other frame: break, TLBI, DSB, use of the old frame, make. */
export function* remapPage(cpu: Cpu, page: RemappedPage, choice: number): Program {
  const { entry, va } = page;
  yield* lock.acquire(cpu, page.lock.hi, page.lock.lo);
  while (!cpu.load64(entry.hi, entry.lo, Order.Relaxed)) yield;
  const current = frameIndex(page, cpu.hi, cpu.lo);
  const old = page.frames[current]!;
  const fresh = page.frames[1 - current]!;
  while (!cpu.store64(entry.hi, entry.lo, 0, 0, Order.Relaxed)) yield;
  while (!cpu.fence(Fence.DsbIshSt)) yield;
  const operation = [Tlbi.VaE1Is, Tlbi.VaLE1Is, Tlbi.VaaE1Is, Tlbi.RvaE1Is][choice % 4]!;
  while (!cpu.tlbi(operation, va.hi, va.lo, 1)) yield;
  if (choice % 3 === 0) cpu.compute(choice % 30_000);
  while (!cpu.dsb(Scope.InnerShareable)) yield;
  while (!cpu.store32(old.hi, old.lo, FRAME_POISON, Order.Relaxed)) yield;
  const tag = (choice >>> 8) & 0xffffff;
  while (!cpu.store32(fresh.hi, fresh.lo, FRAME_VALID | tag, Order.Relaxed)) yield;
  const { hi, lo } = descriptorOf(page, 1 - current);
  while (!cpu.store64(entry.hi, entry.lo, hi, lo, Order.Release)) yield;
  yield* lock.release(cpu, page.lock.hi, page.lock.lo);
  cpu.mark();
}

/** Takes the right to write away; the fault handler gives it back. */
export function* protectPage(cpu: Cpu, page: RemappedPage, choice: number): Program {
  const { entry, va } = page;
  yield* lock.acquire(cpu, page.lock.hi, page.lock.lo);
  while (!cpu.set32(entry.hi, entry.lo, S1_READ_ONLY, Order.Relaxed)) yield;
  while (!cpu.fence(Fence.DsbIshSt)) yield;
  while (!cpu.tlbi(Tlbi.VaLE1Is, va.hi, va.lo, 0)) yield;
  if (choice % 4 !== 0) while (!cpu.dsb(Scope.InnerShareable)) yield;
  yield* lock.release(cpu, page.lock.hi, page.lock.lo);
}

function descriptorOf(page: RemappedPage, index: number): { hi: number; lo: number } {
  const frame = page.frames[index]!;
  return { hi: (frame.hi & 0xffff) | page.attributesHi, lo: frame.lo | page.attributesLo };
}

function frameIndex(page: RemappedPage, hi: number, lo: number): number {
  const first = page.frames[0]!;
  return (lo & ~4095) === first.lo && (hi & 0xffff) === (first.hi & 0xffff) ? 0 : 1;
}

/** Synchronous exceptions of the host: repairs the window's page, or skips the access. */
export function makeHostHandler(image: RandomImage, skipEvery: number): (cpu: Cpu) => Program {
  let faults = 0;
  return function* repair(cpu: Cpu): Program {
    const { farHi, farLo, fsc } = cpu.exception;
    const page = image.pages.find(({ va }) => va.hi === farHi && va.lo === (farLo & ~4095))!;
    const kind = fsc & 0b111100;
    if (kind === FaultKind.Permission) {
      while (!cpu.clear32(page.entry.hi, page.entry.lo, S1_READ_ONLY, Order.Relaxed)) yield;
      while (!cpu.tlbi(Tlbi.VaE1, farHi, farLo & ~4095, 0)) yield;
      return;
    }
    if (++faults % skipEvery === 0) {
      cpu.skipAttempt();
      return;
    }
    // Being remapped: once the lock has been ours, the new descriptor is there.
    yield* lock.acquire(cpu, page.lock.hi, page.lock.lo);
    yield* lock.release(cpu, page.lock.hi, page.lock.lo);
  };
}

/** Unmaps one page of the guest for everybody, as KVM does. */
export function* invalidateGuestPage(cpu: Cpu, guest: GuestImage, choice: number): Program {
  const index = choice % guest.pages.length;
  const entry = guest.entries[index]!;
  const ipa = guest.ipas[index]!;
  const { hi, lo } = guest.stage2Root;
  yield* lock.acquire(cpu, guest.lock.hi, guest.lock.lo);
  while (!cpu.setRoot(Register.Vttbr, hi, lo, guest.vmid)) yield;
  while (!cpu.store64(entry.hi, entry.lo, 0, 0, Order.Relaxed)) yield;
  while (!cpu.fence(Fence.DsbIshSt)) yield;
  while (!cpu.tlbi(Tlbi.IpaS2E1Is, ipa.hi, ipa.lo, 0)) yield;
  while (!cpu.dsb(Scope.InnerShareable)) yield;
  while (!cpu.tlbi(Tlbi.VmallE1Is, 0, 0, 0)) yield;
  while (!cpu.dsb(Scope.InnerShareable)) yield;
  yield* lock.release(cpu, guest.lock.hi, guest.lock.lo);
}

/** Exceptions to EL2: maps the page of the guest again. */
export function makeGuestHandler(guest: GuestImage): (cpu: Cpu) => Program {
  return function* map(cpu: Cpu): Program {
    const { ipaHi, ipaLo } = cpu.exception;
    const index = guest.ipas.findIndex(({ hi, lo }) => hi === ipaHi && lo === ipaLo);
    const entry = guest.entries[index]!;
    const { hi, lo } = guest.descriptors[index]!;
    yield* lock.acquire(cpu, guest.lock.hi, guest.lock.lo);
    while (!cpu.store64(entry.hi, entry.lo, hi, lo, Order.Release)) yield;
    yield* lock.release(cpu, guest.lock.hi, guest.lock.lo);
  };
}
