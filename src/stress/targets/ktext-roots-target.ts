/**
 * A new top-level entry while CPUs of other nodes, with roots of their own, use it: each CPU sets
 * the entry of a subtree that boot has made, then every CPU reads through every entry that
 * swapper_pg_dir has, as code does that finds memory in a list and not by a walk.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Fence, Level, Order } from '../../cpu/operations.ts';
import { kernelLayout, PGDIR_BYTES, rootIndex } from '../../kernel/base/kernel-layout.ts';
import type { SetRootEntry } from '../../kernel/kernel-table/kernel-table.ts';
import { finishKernelText } from '../../kernel/text/boot.ts';
import type { KernelTextImage } from '../../kernel/text/image.ts';
import { makeSetRootEntry } from '../../kernel/text/propagate.ts';
import type { BootMemory } from '../../memory/boot.ts';
import { type Address, addBytes, toLinear } from '../../memory/physical-address.ts';
import type { Lock } from '../../sync/lock.ts';
import { makeQueuedSpinlock } from '../../sync/qspinlock.ts';
import { createStage1Table, mapRange } from '../../translation/boot-tables.ts';
import { isValid } from '../../translation/descriptors.ts';
import { GRANULE_4K } from '../../translation/granule.ts';
import { S1_KERNEL_DATA_HI, S1_KERNEL_DATA_LO } from '../../translation/stage1-descriptors.ts';
import { checkRootEntry, checkRoots, tellLateRoot } from '../oracles/root-tables.ts';
import type { Reporter, StressImage, StressSize, StressTarget } from '../target.ts';
import {
  bootSmallKernel,
  bootSmallText,
  kernelRoots,
  kernelShape,
  PAGE,
  SMALL_TEXT_BYTES,
} from './small-kernel.ts';

const ROOM_BYTES = SMALL_TEXT_BYTES + 64 * PAGE;
const USED = 'an entry that another CPU has set was used';
const EARLY = 'an entry was not there yet';

/** The step that mutants replace: how an entry gets into all roots. */
export type MakeSetRootEntry = (image: KernelTextImage, lock: Lock) => SetRootEntry;

export function ktextRootsTarget(
  setter: MakeSetRootEntry = makeSetRootEntry,
  name = 'ktext-roots',
): StressTarget {
  return {
    name,
    group: 'text',
    description: 'top-level entries that appear while CPUs with other roots use them',
    smallest: { cpus: 2, operations: 1 },
    usual: { cpus: 3, operations: 1 },
    goals: [USED, EARLY].map((goal) => ({ name: goal, leastCpus: 2, leastOperations: 1 })),
    ...kernelShape(3, ROOM_BYTES),
    boot(memory, size) {
      const { map } = bootSmallKernel(memory, size.cpus);
      const text = bootSmallText(memory, map, { text: 'replicated' });
      finishKernelText(memory, text);
      const entries = Array.from({ length: size.cpus }, (_, cpu) => bootSubtree(memory, cpu));
      return { addresses: {}, numbers: {}, kernel: kernelRoots(map), parts: { text, entries } };
    },
    program(cpu, image, size, report) {
      return cpu.id < size.cpus ? setAndUse(cpu, image, size, setter, report) : null;
    },
    finish(memory, image, _size, report) {
      checkRoots(memory, image.parts!['text'] as KernelTextImage, report);
    },
  };
}

function slotOf(cpu: number): Address {
  return addBytes(kernelLayout(true).vmalloc, cpu * PGDIR_BYTES);
}

/** A page with the CPU's number, mapped below a root that nobody uses; its entry is what is set. */
function bootSubtree(boot: BootMemory, cpu: number): Address {
  const page = boot.allocate(0, PAGE, PAGE);
  boot.write32(page, 0, cpu + 1);
  const spare = createStage1Table(boot, 0, GRANULE_4K);
  mapRange(boot, spare, {
    input: slotOf(cpu),
    output: page,
    bytes: PAGE,
    attributesHi: S1_KERNEL_DATA_HI,
    attributesLo: S1_KERNEL_DATA_LO,
    tableNode: 0,
  });
  const at = rootIndex(slotOf(cpu)) * 8;
  return { hi: boot.read32(spare.root, at + 4), lo: boot.read32(spare.root, at) };
}

function* setAndUse(
  cpu: Cpu,
  image: StressImage,
  size: StressSize,
  setter: MakeSetRootEntry,
  report: Reporter,
): Program {
  const text = image.parts!['text'] as KernelTextImage;
  const entry = (image.parts!['entries'] as readonly Address[])[cpu.id]!;
  const set = setter(text, makeQueuedSpinlock());
  cpu.setVector(Level.Host, function* () {
    yield;
    tellLateRoot(report, cpu.id, cpu.exception.farHi, cpu.exception.farLo);
  });
  const index = rootIndex(slotOf(cpu.id));
  yield* set(cpu, index, entry.hi, entry.lo);
  // set_pgd: walkers see the entry before it returns.
  while (!cpu.fence(Fence.DsbIshSt)) yield;
  while (!cpu.fence(Fence.Isb)) yield;
  const swapper = toLinear(text.copies[0]!.root);
  for (let other = 0; other < size.cpus * size.operations; other++) {
    const slot = slotOf(other % size.cpus);
    while (!cpu.load64(swapper.hi, swapper.lo + rootIndex(slot) * 8, Order.Acquire)) yield;
    if (!isValid(cpu.lo)) {
      report.reach(EARLY);
      continue;
    }
    while (!cpu.load32(slot.hi, slot.lo, Order.Relaxed)) yield;
    if (other % size.cpus !== cpu.id) report.reach(USED);
    else checkRootEntry(report, text, index, [cpu.id], report);
    cpu.mark();
  }
}
