/**
 * vmalloc addresses that are used again: a CPU takes areas, writes to them, hands one to the others
 * and gives it back after they have read it, with translations of it left in their TLBs. A purge
 * comes early, so addresses return soon; what an address held before must never be seen again.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Condition, Order } from '../../cpu/operations.ts';
import { PAGE_SHIFT } from '../../kernel/base/struct-page.ts';
import { MigrateType } from '../../kernel/base/zone.ts';
import type { ExecmemImage } from '../../kernel/execmem/boot.ts';
import type { FlushKernelRange } from '../../kernel/kernel-table/flush.ts';
import { VmallocRange } from '../../kernel/vmalloc/image.ts';
import { Vmalloc } from '../../kernel/vmalloc/vmalloc.ts';
import type { Machine } from '../../machine/machine.ts';
import { toLinear } from '../../memory/physical-address.ts';
import { makeQueuedSpinlock } from '../../sync/qspinlock.ts';
import { S1_KERNEL_DATA_HI, S1_KERNEL_DATA_LO } from '../../translation/stage1-descriptors.ts';
import { TORN_READ } from '../oracles/torn-read.ts';
import type { Reporter, StressImage, StressSize, StressTarget } from '../target.ts';
import { bootSmallExecmem, openSmallExecmem, smallExecmemShape } from './small-execmem.ts';
import { PAGE } from './small-kernel.ts';

const PAGES = 40;
/** Areas that the owner hands out per operation. */
const AREAS = 2;
const AGAIN = 'an address was used again';
/** In the mailbox: address, value that is there, number of the area; how many CPUs have read it. */
const Mail = { Address: 0, Number: 8, Read: 64 } as const;

/** The step that mutants replace: what a purge does before addresses are free again. */
export type PurgeFlush = (flush: FlushKernelRange) => FlushKernelRange;

export function vmallocTarget(
  purge: PurgeFlush = (flush) => flush,
  name = 'vmalloc',
): StressTarget {
  const shape = smallExecmemShape(2, PAGES);
  return {
    name,
    group: 'text',
    description: 'vmalloc areas given back and taken anew while TLBs still have the old ones',
    smallest: { cpus: 2, operations: 1 },
    usual: { cpus: 2, operations: 2 },
    goals: [{ name: AGAIN, leastCpus: 2, leastOperations: 1 }],
    ...shape,
    boot(memory, size) {
      const mail = memory.allocateNamed('mailbox', 0, 128);
      const options = { allocator: 'prog_pack', lazyPagesMax: 0 } as const;
      const { execmem, kernel } = bootSmallExecmem(memory, size.cpus, options);
      return { addresses: { mail: toLinear(mail) }, numbers: {}, kernel, parts: { execmem } };
    },
    program(cpu, image, size, report) {
      if (cpu.id >= size.cpus) return null;
      if (cpu.id === 0) return own(cpu, shape.machine, image, size, purge, report);
      return use(cpu, image, size, report);
    },
    finish() {},
  };
}

function* own(
  cpu: Cpu,
  machine: Machine,
  image: StressImage,
  size: StressSize,
  purge: PurgeFlush,
  report: Reporter,
): Program {
  const execmem = image.parts!['execmem'] as ExecmemImage;
  const { pages, table, smp } = openSmallExecmem(cpu, machine, execmem);
  const lock = makeQueuedSpinlock();
  const flushKernelRange = purge(smp.flushKernelRange);
  const vmalloc = new Vmalloc({ image: execmem.vmalloc, pages, table, flushKernelRange, lock });
  const { hi, lo } = image.addresses['mail']!;
  const seen = new Set<number>();
  for (let number = 1; number <= AREAS * size.operations; number++) {
    yield* vmalloc.allocate(cpu, {
      range: VmallocRange.Vmalloc,
      bytes: PAGE,
      alignShift: PAGE_SHIFT,
      node: 0,
      attributesHi: S1_KERNEL_DATA_HI,
      attributesLo: S1_KERNEL_DATA_LO,
    });
    const at = { hi: cpu.hi, lo: cpu.lo };
    if (seen.has(at.lo)) report.reach(AGAIN);
    seen.add(at.lo);
    while (!cpu.store32(at.hi, at.lo, number, Order.Relaxed)) yield;
    while (!cpu.store64(hi, lo + Mail.Address, at.hi, at.lo, Order.Relaxed)) yield;
    while (!cpu.store32(hi, lo + Mail.Number, number, Order.Release)) yield;
    const read = number * (size.cpus - 1);
    const { AtLeastWrapping } = Condition;
    while (!cpu.cond32(hi, lo + Mail.Read, AtLeastWrapping, -1, read, Order.Acquire)) yield;
    yield* vmalloc.free(cpu, at.hi, at.lo);
    // The frame that was given back last would come first: somebody else has it now.
    yield* pages.allocate(cpu, 0, 0, MigrateType.Unmovable);
    cpu.mark();
  }
}

function* use(cpu: Cpu, image: StressImage, size: StressSize, report: Reporter): Program {
  const { hi, lo } = image.addresses['mail']!;
  const { AtLeastWrapping } = Condition;
  for (let number = 1; number <= AREAS * size.operations; number++) {
    while (!cpu.cond32(hi, lo + Mail.Number, AtLeastWrapping, -1, number, Order.Acquire)) yield;
    while (!cpu.load64(hi, lo + Mail.Address, Order.Relaxed)) yield;
    const at = { hi: cpu.hi, lo: cpu.lo };
    while (!cpu.load32(at.hi, at.lo, Order.Relaxed)) yield;
    if (cpu.lo !== number) {
      const text = 'reads what an address of vmalloc held before';
      report.fail({ oracle: TORN_READ, cpus: [cpu.id], text, hi: at.hi, lo: at.lo });
    }
    while (!cpu.add32(hi, lo + Mail.Read, 1, Order.AcquireRelease)) yield;
    cpu.mark();
  }
}
