/**
 * set_memory_ro and _x of a page whose linear alias others have in their TLBs: CPU 0 takes a page,
 * writes code, protects it and says so; the others have read and may have written the page through
 * the alias before, and try to write once it is said to be protected. That must fault.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Condition, EventKind, Level, Order } from '../../cpu/operations.ts';
import { PAGE_SHIFT } from '../../kernel/base/struct-page.ts';
import type { ExecmemImage } from '../../kernel/execmem/boot.ts';
import type { FlushKernelRange } from '../../kernel/kernel-table/flush.ts';
import { SET_EXECUTABLE, SET_READ_ONLY, SetMemory } from '../../kernel/linear-map/set-memory.ts';
import { VmallocRange } from '../../kernel/vmalloc/image.ts';
import type { Machine } from '../../machine/machine.ts';
import { LINEAR_MAP_HI, toLinear } from '../../memory/physical-address.ts';
import { makeQueuedSpinlock } from '../../sync/qspinlock.ts';
import { S1_KERNEL_DATA_HI, S1_KERNEL_DATA_LO } from '../../translation/stage1-descriptors.ts';
import type { Reporter, StressImage, StressSize, StressTarget } from '../target.ts';
import {
  bootSmallExecmem,
  openSmallExecmem,
  smallExecmemShape,
  tellText,
} from './small-execmem.ts';
import { PAGE } from './small-kernel.ts';

const PAGES = 24;
const REFUSED = 'a write through the alias was refused';
const EARLY = 'the alias was used before it was protected';
const CODE = 0x91000001 | 0;
/** In the mailbox: the page's alias, then how far CPU 0 is, then CPUs that are through. */
const Mail = { Address: 0, Stage: 8, Through: 64 } as const;
const Stage = { Taken: 1, Protected: 2 } as const;

/** The step that mutants replace. */
export type FlushAlias = (flush: FlushKernelRange) => FlushKernelRange;

export function setMemoryTarget(
  alias: FlushAlias = (flush) => flush,
  name = 'set-memory',
): StressTarget {
  const shape = smallExecmemShape(2, PAGES);
  const goals = [REFUSED, EARLY].map((goal) => ({
    name: goal,
    leastCpus: 2,
    leastOperations: 1,
  }));
  return {
    name,
    group: 'text',
    description: 'a page made read-only and executable while CPUs have its linear alias',
    smallest: { cpus: 2, operations: 1 },
    usual: { cpus: 2, operations: 1 },
    goals,
    ...shape,
    boot(memory, size) {
      const mail = memory.allocateNamed('mailbox', 0, 128);
      const options = { allocator: 'module_alloc' } as const;
      const { execmem, kernel } = bootSmallExecmem(memory, size.cpus, options);
      return { addresses: { mail: toLinear(mail) }, numbers: {}, kernel, parts: { execmem } };
    },
    program(cpu, image, size, report) {
      if (cpu.id >= size.cpus) return null;
      if (cpu.id === 0) return protect(cpu, shape.machine, image, size, alias);
      return writeThroughAlias(cpu, image, report);
    },
    finish() {},
  };
}

/** Rounds would need another page each: one is enough. */
function* protect(
  cpu: Cpu,
  machine: Machine,
  image: StressImage,
  size: StressSize,
  alias: FlushAlias,
): Program {
  const execmem = image.parts!['execmem'] as ExecmemImage;
  const parts = openSmallExecmem(cpu, machine, execmem);
  const { pages, table, vmalloc, smp } = parts;
  const setMemory = new SetMemory({
    machine,
    image: execmem.linear,
    pages,
    table,
    lock: makeQueuedSpinlock(),
    rodata: 'full',
    flushKernelRange: alias(smp.flushKernelRange),
    unmapAliases: (at) => vmalloc.purge(at),
  });
  const { hi, lo } = image.addresses['mail']!;
  yield* vmalloc.allocate(cpu, {
    range: VmallocRange.Modules,
    bytes: PAGE,
    alignShift: PAGE_SHIFT,
    node: 0,
    attributesHi: S1_KERNEL_DATA_HI,
    attributesLo: S1_KERNEL_DATA_LO,
    resetPermissions: true,
  });
  const at = { hi: cpu.hi, lo: cpu.lo };
  yield* setMemory.frameOf(cpu, at.hi, at.lo);
  const frame = { hi: cpu.hi, lo: cpu.lo };
  while (!cpu.store64(hi, lo, frame.hi | LINEAR_MAP_HI, frame.lo, Order.Relaxed)) yield;
  while (!cpu.store32(hi, lo + Mail.Stage, Stage.Taken, Order.Release)) yield;
  while (!cpu.store32(at.hi, at.lo, CODE, Order.Relaxed)) yield;
  yield* setMemory.change(cpu, at, 1, SET_READ_ONLY);
  yield* setMemory.change(cpu, at, 1, SET_EXECUTABLE);
  yield* tellText(cpu, setMemory, EventKind.TextPublished, at, 64);
  while (!cpu.store32(hi, lo + Mail.Stage, Stage.Protected, Order.Release)) yield;
  const others = size.cpus - 1;
  while (!cpu.cond32(hi, lo + Mail.Through, Condition.Equal, -1, others, Order.Acquire)) yield;
  yield* tellText(cpu, setMemory, EventKind.TextRetracted, at, 64);
  yield* vmalloc.free(cpu, at.hi, at.lo);
  cpu.mark();
}

function* writeThroughAlias(cpu: Cpu, image: StressImage, report: Reporter): Program {
  const { hi, lo } = image.addresses['mail']!;
  const { AtLeastWrapping } = Condition;
  cpu.setVector(Level.Host, function* () {
    report.reach(REFUSED);
    while (!cpu.load32(hi, lo + Mail.Stage, Order.Relaxed)) yield;
    cpu.skipAttempt();
  });
  while (!cpu.cond32(hi, lo + Mail.Stage, AtLeastWrapping, -1, Stage.Taken, Order.Acquire)) yield;
  while (!cpu.load64(hi, lo, Order.Relaxed)) yield;
  const alias = { hi: cpu.hi, lo: cpu.lo };
  // The end of the page is nobody's, so an early write there does no harm.
  while (!cpu.store32(alias.hi, alias.lo + PAGE - 4, cpu.id, Order.Relaxed)) yield;
  while (!cpu.load32(hi, lo + Mail.Stage, Order.Acquire)) yield;
  if (cpu.lo === Stage.Taken) report.reach(EARLY);
  const last = Stage.Protected;
  while (!cpu.cond32(hi, lo + Mail.Stage, AtLeastWrapping, -1, last, Order.Acquire)) yield;
  while (!cpu.store32(alias.hi, alias.lo, -1, Order.Relaxed)) yield;
  while (!cpu.add32(hi, lo + Mail.Through, 1, Order.AcquireRelease)) yield;
  cpu.mark();
}
