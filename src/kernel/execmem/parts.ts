/** What allocators of executable memory are made of, opened for one CPU. */

import { BugError } from '../../base/errors.ts';
import type { Cpu } from '../../cpu/cpu.ts';
import type { Machine } from '../../machine/machine.ts';
import { makeMutex } from '../../sync/mutex.ts';
import { makeQueuedSpinlock } from '../../sync/qspinlock.ts';
import { PageAllocator } from '../base/page-allocator.ts';
import { KernelTable, type SetRootEntry } from '../kernel-table/kernel-table.ts';
import { SetMemory } from '../linear-map/set-memory.ts';
import { makeFixmapPoke } from '../patching/fixmap-poke.ts';
import { makeTemporaryMmPoke } from '../patching/temporary-mm-poke.ts';
import type { TextPoke } from '../patching/text-poke.ts';
import { type KernelSmp, openKernelSmp } from '../smp/functions.ts';
import { Vmalloc } from '../vmalloc/vmalloc.ts';
import type { ExecmemImage } from './boot.ts';
import { type ExecmemSteps, execmemSteps } from './scale.ts';

export interface ExecmemParts {
  readonly machine: Machine;
  readonly image: ExecmemImage;
  readonly smp: KernelSmp;
  readonly pages: PageAllocator;
  readonly table: KernelTable;
  readonly vmalloc: Vmalloc;
  readonly setMemory: SetMemory;
  readonly poke: TextPoke;
  readonly steps: ExecmemSteps;
}

/** Who fills text has to ask first. */
const NO_POKE: TextPoke = {
  write(): never {
    throw new BugError('a poke on an architecture without one');
  },
};

export function openExecmemParts(
  cpu: Cpu,
  machine: Machine,
  image: ExecmemImage,
  setRootEntry?: SetRootEntry,
): ExecmemParts {
  const lock = makeQueuedSpinlock();
  const smp = openKernelSmp(cpu, machine, image.smp);
  const { flushKernelRange } = smp;
  const pages = new PageAllocator(image.pages, lock);
  const table = new KernelTable(image.table, pages, lock, setRootEntry);
  const vmalloc = new Vmalloc({
    image: image.vmalloc,
    pages,
    table,
    flushKernelRange,
    lock,
    resetPermissions: (at, frames, order) => setMemory.resetAliases(at, frames, order),
  });
  const setMemory: SetMemory = new SetMemory({
    machine,
    image: image.linear,
    pages,
    table,
    lock,
    rodata: image.options.rodata,
    flushKernelRange,
    unmapAliases: (at) => vmalloc.purge(at),
  });
  const frameOf = setMemory.frameOf.bind(setMemory);
  const pokes = {
    fixmap: () => makeFixmapPoke(image.fixmap, lock, flushKernelRange, frameOf),
    'temporary-mm': () => makeTemporaryMmPoke(image.pokingMm, makeMutex(), frameOf),
    none: () => NO_POKE,
  };
  const poke = pokes[image.options.poke]();
  return { machine, image, smp, pages, table, vmalloc, setMemory, poke, steps: execmemSteps };
}
