/**
 * Dirty logging under stress, as a live migration uses it: CPU 0 takes the log (KVM_GET_DIRTY_LOG)
 * and copies what it names, the other CPUs are vCPUs that write, through the whole fault path. At
 * the end each page is in the log or equal to its copy (tools/testing/selftests/kvm/
 * dirty_log_test.c).
 *
 * Guests write by atomics: a store that waits in a store buffer would be performed behind a flush
 * that in hardware waits for it.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Condition, EventKind, Order, Regime } from '../../cpu/operations.ts';
import { rcuExitIdle } from '../../kernel/base/rcu.ts';
import { getDirtyLog } from '../../kernel/stage2/dirty-log.ts';
import { SlotFlag } from '../../kernel/stage2/memslots.ts';
import { type Stage2Steps, stage2Steps } from '../../kernel/stage2/steps.ts';
import { HOST_WRITABLE_HI } from '../../kernel/stage2/unprotect-lockless.ts';
import { runVcpu } from '../../kernel/stage2/vcpu.ts';
import { openVms, type Vm } from '../../kernel/stage2/vm.ts';
import { type Address, addBytes, toLinear } from '../../memory/physical-address.ts';
import { PERM_EXEC, PERM_READ } from '../../translation/descriptors.ts';
import { checkCopied, type LoggedPage } from '../oracles/dirty-log.ts';
import { tellDirtyBitmap } from '../oracles/history-events.ts';
import type { Memory, Reporter, StressImage, StressSize, StressTarget } from '../target.ts';
import { GUEST_VA, type SmallVm } from './small-vm.ts';
import { bootSmallKvm, type SmallKvm } from './small-vm-kvm.ts';
import { shapeOf } from './target-shape.ts';

const PAGE = 4096;
const PAGES = 2;
const ROOM_BYTES = 64 * PAGE;
const COPIED = 'a page was copied';
const AGAIN = 'a page was written again after its copy';

export interface DirtyLogTargetOptions {
  readonly name: string;
  readonly writeProtect: 'locked' | 'lockless';
  readonly steps?: Partial<Stage2Steps>;
}

export function dirtyLogTarget({ name, writeProtect, steps }: DirtyLogTargetOptions): StressTarget {
  const all = { ...stage2Steps, ...steps };
  const kvmOf = (image: StressImage): SmallKvm => image.parts!['kvm'] as SmallKvm;
  return {
    name,
    group: 'protocols',
    description: `pages written while their dirty log is taken, faults ${writeProtect}`,
    smallest: { cpus: 2, operations: 1 },
    usual: { cpus: 2, operations: 3 },
    goals: [
      { name: COPIED, leastCpus: 2, leastOperations: 1 },
      { name: AGAIN, leastCpus: 2, leastOperations: 3 },
    ],
    ...shapeOf(2, ROOM_BYTES),
    boot(memory, { cpus }) {
      const kvm = bootSmallKvm(memory, {
        vms: 1,
        vmidBits: 8,
        cpus,
        options: { faults: 'parallel', prune: 'rcu-callback', manualProtect: false, writeProtect },
        mapped: true,
        permissions: PERM_READ | PERM_EXEC,
        softwareHi: HOST_WRITABLE_HI,
        contents: true,
        slotBytes: PAGES * PAGE,
        slotFlags: SlotFlag.Logging,
      });
      const copies = memory.allocateNamed('copies', 0, 64);
      return { addresses: { copies }, numbers: {}, parts: { kvm } };
    },
    program(cpu, image, size) {
      if (cpu.id >= size.cpus) return null;
      if (cpu.id === 0) tellBitmap(cpu, kvmOf(image));
      return takePart(cpu, kvmOf(image), image.addresses['copies']!, size, all);
    },
    finish(memory, image, _size, report) {
      const pages = pagesAtEnd(memory, kvmOf(image), image.addresses['copies']!);
      checkCopied(memory, pages, report);
      tellGoals(memory, pages, report);
    },
  };
}

/** What boot has made: pages that are protected, and the bitmap that has to name who writes. */
function tellBitmap(cpu: Cpu, { vms, kvm }: SmallKvm): void {
  const { bitmapHi, bitmapLo } = kvm.vms[0]!.slots[0]!;
  const { hi, lo } = vms[0]!.blocks[0]!;
  tellDirtyBitmap(cpu, { hi: bitmapHi, lo: bitmapLo }, { hi, lo }, PAGES * PAGE);
  cpu.event(EventKind.PageWriteProtected, hi, lo | Math.log2(PAGES * PAGE));
  cpu.event(EventKind.WriteProtectFlushed, 0, 0);
}

function* takePart(
  cpu: Cpu,
  { vms, kvm }: SmallKvm,
  copies: Address,
  size: StressSize,
  steps: Stage2Steps,
): Program {
  const vm = openVms(kvm, steps)[0]!;
  const small = vms[0]!;
  while (!rcuExitIdle(cpu)) yield;
  if (cpu.id === 0) {
    const { hi, lo } = small.done;
    while (!cpu.cond32(hi, lo, Condition.NotEqual, -1, 0, Order.Acquire)) yield;
    for (let round = 0; round < size.operations; round++) {
      yield* getDirtyLog(cpu, vm, vm.image.slots[0]!);
      yield* copyDirty(cpu, vm, small.blocks[0]!, copies);
      cpu.mark();
    }
  } else {
    yield* runVcpu(cpu, vm, cpu.id, (at) => write(at, small, size.operations));
  }
  yield* vm.rcu.finish(cpu);
}

/** What user space does with the bitmap that it was given. */
function* copyDirty(cpu: Cpu, vm: Vm, frames: Address, copies: Address): Program {
  const { bitmapHi, userBitmapLo } = vm.image.slots[0]!;
  while (!cpu.load32(bitmapHi, userBitmapLo, Order.Relaxed)) yield;
  const dirty = cpu.lo;
  for (let page = 0; page < PAGES; page++) {
    if ((dirty & (1 << page)) === 0) continue;
    const from = toLinear(addBytes(frames, page * PAGE));
    const to = toLinear(addBytes(copies, page * 8));
    while (!cpu.load32(from.hi, from.lo, Order.Relaxed)) yield;
    const word = cpu.lo;
    while (!cpu.store32(to.hi, to.lo, word, Order.Relaxed)) yield;
  }
}

/** Page after page; the first write is told, so that there is something in the log. */
function* write(cpu: Cpu, { done }: SmallVm, rounds: number): Program {
  for (let round = 0; round < rounds; round++) {
    const page = (round + cpu.id) % PAGES;
    while (!cpu.add32(0, (GUEST_VA + page * PAGE) | 0, 1, Order.Relaxed)) yield;
    cpu.mark();
    if (round > 0) continue;
    cpu.setRegime(Regime.Host);
    while (!cpu.store32(done.hi, done.lo, 1, Order.Release)) yield;
    cpu.setRegime(Regime.Guest);
  }
}

function pagesAtEnd(memory: Memory, { vms, kvm }: SmallKvm, copies: Address): LoggedPage[] {
  const { bitmapHi, bitmapLo } = kvm.vms[0]!.slots[0]!;
  const bits = memory.word({ hi: bitmapHi & 0xffff, lo: bitmapLo });
  return Array.from({ length: PAGES }, (_, page) => ({
    contents: addBytes(vms[0]!.blocks[0]!, page * PAGE),
    copy: addBytes(copies, page * 8),
    recorded: (bits & (1 << page)) !== 0,
  }));
}

function tellGoals(memory: Memory, pages: readonly LoggedPage[], report: Reporter): void {
  for (const { contents, copy } of pages) {
    const copied = memory.word(copy);
    if (copied !== 0) report.reach(COPIED);
    if (copied !== 0 && memory.word(contents) !== copied) report.reach(AGAIN);
  }
}
