/**
 * Write protection that is resolved without a lock (src/kernel/stage2/unprotect-lockless.ts), while
 * the page's table goes and comes back as the table of another page, with the same frame behind it:
 * the entry looks as it did (Documentation/virt/kvm/locking.rst, "fast page fault"). What keeps the
 * table from coming back is the walk's read-side section. The write of the other page must be in
 * the dirty log.
 *
 * CPU 1 writes the first page as a guest. CPU 0 is the VMM: it unmaps that page, waits until its
 * table is free, maps the other page with that very table, and writes there as a guest.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Condition, FaultKind, Order, Regime } from '../../cpu/operations.ts';
import { rcuExitIdle } from '../../kernel/base/rcu.ts';
import { Rcu } from '../../kernel/base/rcu-callbacks.ts';
import { addressOf, alignDown } from '../../kernel/stage2/address.ts';
import { SlotFlag } from '../../kernel/stage2/memslots.ts';
import { mapRange } from '../../kernel/stage2/pgtable-map.ts';
import { Walk } from '../../kernel/stage2/pgtable-walk.ts';
import { type Stage2Steps, stage2Steps } from '../../kernel/stage2/steps.ts';
import { freeTablePage } from '../../kernel/stage2/table-page.ts';
import { unmapRange } from '../../kernel/stage2/unmap.ts';
import { HOST_WRITABLE_HI, unprotectLockless } from '../../kernel/stage2/unprotect-lockless.ts';
import { openVms, type Vm } from '../../kernel/stage2/vm.ts';
import type { BootMemory } from '../../memory/boot.ts';
import { type Address, addBytes } from '../../memory/physical-address.ts';
import { outputHi, outputLo, PERM_EXEC, PERM_READ } from '../../translation/descriptors.ts';
import { s2AttributesHi, s2AttributesLo } from '../../translation/stage2-descriptors.ts';
import { checkCopied } from '../oracles/dirty-log.ts';
import type { Reporter, StressImage, StressTarget } from '../target.ts';
import { BLOCK_BYTES, GUEST_IPA, GUEST_VA, type SmallVm } from './small-vm.ts';
import { bootSmallKvm, type SmallKvm } from './small-vm-kvm.ts';
import { asGuest, exclusively, giveUp } from './stage2-scenes.ts';
import { shapeOf } from './target-shape.ts';

const PAGE = 4096;
const ROOM_BYTES = 72 * PAGE;
/** Same place in their tables; the third page keeps the table above from going as well. */
const FIRST_IPA = GUEST_IPA + PAGE;
const OTHER_IPA = FIRST_IPA + BLOCK_BYTES;
const KEPT_IPA = FIRST_IPA + 2 * BLOCK_BYTES;
const READ_ONLY = PERM_READ | PERM_EXEC;
/** The word of the frame that the other page's guest writes. */
const WRITTEN = 8;
/** Words of SmallVm.done: the guest is about to write; it has ended. */
const STARTED = 4;
const DONE = 0;
const ALLOWED = 'a write was allowed without a lock';
const TOO_LATE = 'the page was gone';

export function dirtyReuseTarget(
  steps: Partial<Stage2Steps> = {},
  name = 'write-protect-lockless',
): StressTarget {
  const all = { ...stage2Steps, ...steps };
  const kvmOf = (image: StressImage): SmallKvm => image.parts!['kvm'] as SmallKvm;
  const { machine, backedBytes } = shapeOf(2, ROOM_BYTES);
  return {
    name,
    group: 'protocols',
    description: 'write faults resolved without a lock while their table becomes another one',
    smallest: { cpus: 2, operations: 1 },
    usual: { cpus: 2, operations: 1 },
    goals: [
      { name: ALLOWED, leastCpus: 2, leastOperations: 1 },
      { name: TOO_LATE, leastCpus: 2, leastOperations: 1 },
    ],
    machine,
    backedBytes,
    boot(memory, { cpus }) {
      const kvm = bootSmallKvm(memory, {
        vms: 1,
        vmidBits: 8,
        cpus,
        options: { faults: 'exclusive', prune: 'rcu-callback', writeProtect: 'lockless' },
        mapped: true,
        firstMapped: 1,
        distant: [
          { ipa: OTHER_IPA, mapped: false },
          { ipa: KEPT_IPA, mapped: true },
        ],
        permissions: READ_ONLY,
        softwareHi: HOST_WRITABLE_HI,
        contents: true,
        slotBytes: KEPT_IPA + PAGE - GUEST_IPA,
        slotFlags: SlotFlag.Logging,
      });
      const table = tableOf(memory, kvm.vms[0]!.root);
      const clean = memory.allocateNamed('clean page', 0, 64);
      return { addresses: { table, clean }, numbers: {}, parts: { kvm } };
    },
    program(cpu, image, size, report) {
      if (cpu.id >= size.cpus) return null;
      const kvm = kvmOf(image);
      const vm = openVm(kvm, all);
      const small = kvm.vms[0]!;
      if (cpu.id === 0) return actAsVmm(cpu, vm, small, image.addresses['table']!);
      return actAsGuest(cpu, vm, small, report);
    },
    finish(memory, image, _size, report) {
      const { kvm, vms } = kvmOf(image);
      const { bitmapHi, bitmapLo } = kvm.vms[0]!.slots[0]!;
      const bit = (OTHER_IPA - GUEST_IPA) / PAGE;
      const word = memory.word({ hi: bitmapHi & 0xffff, lo: bitmapLo + (bit >>> 5) * 4 });
      const contents = addBytes(vms[0]!.blocks[0]!, PAGE + WRITTEN);
      const recorded = (word & (1 << (bit & 31))) !== 0;
      const page = { contents, copy: image.addresses['clean']!, recorded };
      checkCopied(memory, [page], report);
    },
  };
}

/** A table that is freed here is empty: its entries are not looked at once more. */
function openVm({ kvm }: SmallKvm, steps: Stage2Steps): Vm {
  const vm = openVms(kvm, steps)[0]!;
  const free = (cpu: Cpu, hi: number, lo: number): Program =>
    freeTablePage(cpu, vm, hi, alignDown(lo >>> 0, PAGE) | 0);
  return { ...vm, rcu: new Rcu(kvm.rcu, [free]) };
}

/** The last-level table of the first page: root (level 1), one table below it. */
function tableOf(memory: BootMemory, root: Address): Address {
  let { hi, lo } = root;
  for (let level = 1; level < 3; level++) {
    const index = Math.floor(FIRST_IPA / 2 ** (12 + 9 * (3 - level))) % 512;
    const entry = {
      hi: memory.read32({ hi, lo }, index * 8 + 4),
      lo: memory.read32({ hi, lo }, index * 8),
    };
    hi = outputHi(entry.hi, 12);
    lo = outputLo(entry.lo, 12);
  }
  return { hi, lo };
}

function* actAsVmm(cpu: Cpu, vm: Vm, small: SmallVm, table: Address): Program {
  yield* waitFor(cpu, small, STARTED);
  while (!rcuExitIdle(cpu)) yield;
  yield* exclusively(cpu, vm, unmapRange(cpu, vm, FIRST_IPA, PAGE, false));
  yield* vm.rcu.barrier(cpu);
  yield* handOutAgain(cpu, small, table);
  const { hi, lo } = addBytes(small.blocks[0]!, PAGE);
  const request = {
    physical: addressOf(hi, lo),
    attributesHi: s2AttributesHi(READ_ONLY) | HOST_WRITABLE_HI,
    attributesLo: s2AttributesLo(READ_ONLY, vm.fwb),
    tables: small.caches[cpu.id]!,
    forcePages: false,
  };
  yield* exclusively(cpu, vm, mapRange(cpu, vm, OTHER_IPA, PAGE, request, Walk.HandleFault));
  yield* waitFor(cpu, small, DONE);
  yield* vm.rcu.finish(cpu);
  yield* asGuest(cpu, vm, small, (at) => resolve(at, vm), writeAt(cpu, OTHER_IPA));
}

/** The page allocator gives the freed table, which is zeroed, to the next who asks. */
function* handOutAgain(cpu: Cpu, { caches }: SmallVm, { hi, lo }: Address): Program {
  const cache = caches[cpu.id]!;
  while (!cpu.load32(cache.hi, cache.lo, Order.Relaxed)) yield;
  const count = cpu.lo;
  while (!cpu.store64(cache.hi, cache.lo + 8 + count * 8, hi, lo, Order.Relaxed)) yield;
  while (!cpu.store32(cache.hi, cache.lo, count + 1, Order.Relaxed)) yield;
}

function* actAsGuest(cpu: Cpu, vm: Vm, small: SmallVm, report: Reporter): Program {
  const abort = function* (at: Cpu): Program {
    yield* resolve(at, vm);
    report.reach(at.ret === 0 ? ALLOWED : TOO_LATE);
  };
  yield* asGuest(cpu, vm, small, abort, readThenWrite(cpu, small));
  yield* tell(cpu, small, DONE);
}

/** The translation is cached when CPU 0 begins, so the write faults at once. */
function* readThenWrite(cpu: Cpu, small: SmallVm): Program {
  while (!cpu.load32(0, guestLo(FIRST_IPA), Order.Relaxed)) yield;
  cpu.setRegime(Regime.Host);
  yield* tell(cpu, small, STARTED);
  cpu.setRegime(Regime.Guest);
  yield* writeAt(cpu, FIRST_IPA);
}

function* tell(cpu: Cpu, { done }: SmallVm, word: number): Program {
  while (!cpu.store32(done.hi, done.lo + word, 1, Order.Release)) yield;
}

function* waitFor(cpu: Cpu, { done }: SmallVm, word: number): Program {
  while (!cpu.cond32(done.hi, done.lo + word, Condition.NotEqual, -1, 0, Order.Acquire)) yield;
}

/** Result in cpu.ret: 0 = the guest may try again; else it has given up. */
function* resolve(cpu: Cpu, vm: Vm): Program {
  const { fsc, ipaHi, ipaLo } = cpu.exception;
  cpu.ret = -1;
  if ((fsc & ~3) === FaultKind.Permission) {
    const ipa = alignDown(addressOf(ipaHi, ipaLo), PAGE);
    yield* unprotectLockless(cpu, vm, vm.image.slots[0]!, ipa);
  }
  if (cpu.ret === 0) return;
  yield* giveUp(cpu);
  cpu.ret = -1;
}

function guestLo(ipa: number): number {
  return (GUEST_VA + (ipa - GUEST_IPA) + WRITTEN) | 0;
}

function* writeAt(cpu: Cpu, ipa: number): Program {
  const value = ipa === OTHER_IPA ? 1 : 0;
  while (!cpu.store32(0, guestLo(ipa), value, Order.Relaxed)) yield;
  cpu.mark();
}
