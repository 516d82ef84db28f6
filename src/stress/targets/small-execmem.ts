/**
 * Executable memory of a few pages: vmalloc, set_memory, the poke window and an allocator on one
 * node, everything scaled down so that a schedule stays short. What stands for PMD_SIZE is a page
 * or two, fresh text and pokes write the first words of each chunk, of large programs the ends
 * alone are written and maintained, and the linear map of all pages that are given out is read from
 * its tables: there permissions count. Old contents of these pages are kept, as any may become
 * text.
 */

import type { Cpu } from '../../cpu/cpu.ts';
import { EventKind } from '../../cpu/operations.ts';
import { kernelLayout } from '../../kernel/base/kernel-layout.ts';
import { MigrateType } from '../../kernel/base/zone.ts';
import { bootExecmem, type ExecmemImage } from '../../kernel/execmem/boot.ts';
import { CHUNK_BYTES } from '../../kernel/execmem/chunk.ts';
import type { AllocatorName } from '../../kernel/execmem/options.ts';
import { resolveExecmemOptions } from '../../kernel/execmem/options.ts';
import { type ExecmemParts, openExecmemParts } from '../../kernel/execmem/parts.ts';
import { branchReach } from '../../kernel/execmem/reach.ts';
import { execmemSteps } from '../../kernel/execmem/scale.ts';
import type { SetMemory } from '../../kernel/linear-map/set-memory.ts';
import { fixmapSteps, makeFixmapPoke } from '../../kernel/patching/fixmap-poke.ts';
import { cleanInvalidateToPou } from '../../kernel/patching/icache.ts';
import type { PokeSource, TextPoke } from '../../kernel/patching/text-poke.ts';
import type { KernelSmp } from '../../kernel/smp/functions.ts';
import type { Machine } from '../../machine/machine.ts';
import type { BootMemory } from '../../memory/boot.ts';
import { type Address, addBytes, LINEAR_MAP_HI } from '../../memory/physical-address.ts';
import { makeQueuedSpinlock } from '../../sync/qspinlock.ts';
import { createCpuRoots, descriptorAt, type KernelMap } from '../../translation/boot-tables.ts';
import { GRANULE_4K } from '../../translation/granule.ts';
import type { KernelMapping, StressTarget } from '../target.ts';
import { bootSmallKernel, EXPLORE_ONLY, kernelMachine, PAGE } from './small-kernel.ts';
import { oneNodeShape } from './target-shape.ts';

export interface SmallExecmemOptions {
  readonly allocator: AllocatorName;
  /** Pages that stand for PMD_SIZE. */
  readonly pmdPages?: number;
  readonly lazyPagesMax?: number;
}

/** All that boot and the page allocator's data take, to the page; what is more is given out. */
const FIXED_BYTES = 26 * PAGE;
const AREAS = 40;

/** `pages`: with contents, to give out. */
export function smallExecmemShape(
  cpus: number,
  pages: number,
): Pick<StressTarget, 'machine' | 'backedBytes' | 'resized' | 'exploreOnly'> {
  const { machine, backedBytes } = oneNodeShape(cpus, FIXED_BYTES + (cpus + pages) * PAGE);
  return {
    machine: kernelMachine(machine),
    backedBytes,
    exploreOnly: EXPLORE_ONLY,
    resized: (other) => smallExecmemShape(other, pages),
  };
}

export function bootSmallExecmem(
  boot: BootMemory,
  cpus: number,
  given: SmallExecmemOptions,
): { readonly execmem: ExecmemImage; readonly kernel: KernelMapping } {
  const { machine } = boot;
  const { map, smp } = bootSmallKernel(boot, cpus);
  const userRoots = createCpuRoots(boot, GRANULE_4K).map(({ root }) => root);
  bootTables(boot, map);
  const { allocator, pmdPages = 1, lazyPagesMax = 4 } = given;
  const execmem = bootExecmem(boot, {
    options: resolveExecmemOptions({ allocator, poke: 'fixmap' }, machine),
    map,
    userRoots,
    smp,
    replicatedText: false,
    areas: AREAS,
    lazyPagesMax,
    pmdBytes: pmdPages * PAGE,
    listSize: { batch: 1, high: 2, highMax: 2 },
  });
  const start = firstPage(execmem);
  const bytes = boot.memory.backedBytes - start.lo;
  boot.symbols.push({ name: 'pages', address: start, bytes, text: true });
  return { execmem, kernel: { kernelRoots: map.roots, userRoots, linearTablesFrom: start.lo } };
}

/** Tables for the first addresses of each range: zeroing them takes more steps than all else. */
function bootTables(boot: BootMemory, map: KernelMap): void {
  const { modules, image, vmalloc } = kernelLayout(false);
  const direct = addBytes(image, -branchReach(boot.machine));
  for (const start of [modules, direct, vmalloc]) descriptorAt(boot, map.table, start, 3, 0);
}

/** Physical address of the first page that is given out. */
export function firstPage({ pages }: ExecmemImage): Address {
  const { base, first } = pages.zones[0]!.regions[MigrateType.Unmovable]!;
  return { hi: 0, lo: (base + first) * PAGE };
}

export function openSmallExecmem(cpu: Cpu, machine: Machine, image: ExecmemImage): ExecmemParts {
  const parts = openExecmemParts(cpu, machine, image);
  const frameOf = parts.setMemory.frameOf.bind(parts.setMemory);
  const lock = makeQueuedSpinlock();
  const window = { ...fixmapSteps, strideBytes: CHUNK_BYTES };
  const { flushKernelRange } = parts.smp;
  const whole = makeFixmapPoke(image.fixmap, lock, flushKernelRange, frameOf, window);
  const poke: TextPoke = {
    *write(at, hi, lo, bytes, source) {
      for (const { start, length } of ends(bytes)) {
        const to = addBytes({ hi, lo }, start);
        const part: PokeSource = (cpuOf, offset) => source(cpuOf, start + offset);
        yield* whole.write(at, to.hi, to.lo, length, part);
      }
    },
  };
  const smp: KernelSmp = {
    ...parts.smp,
    *flushIcacheRange(at, hi, lo, bytes) {
      for (const { start, length } of ends(bytes)) {
        const from = addBytes({ hi, lo }, start);
        yield* cleanInvalidateToPou(at, machine, from.hi, from.lo, length);
      }
      yield* parts.smp.kickAllCpusSync(at);
    },
  };
  const fill: ExecmemParts['steps']['fill'] = function* (at, hi, lo, bytes, word) {
    for (let done = 0; done < bytes; done += CHUNK_BYTES) {
      const to = addBytes({ hi, lo }, done);
      while (!at.store64(to.hi, to.lo, word, word, 0)) yield;
    }
  };
  cpu.event(EventKind.PokeWindow, image.fixmap.entry.hi, image.fixmap.entry.lo);
  return { ...parts, poke, smp, steps: { ...execmemSteps, fill } };
}

/** What of so many bytes is written: all of a few chunks, else the first two and the last. */
function ends(bytes: number): readonly { readonly start: number; readonly length: number }[] {
  if (bytes <= 4 * CHUNK_BYTES) return [{ start: 0, length: bytes }];
  const last = bytes - CHUNK_BYTES;
  return [
    { start: 0, length: 2 * CHUNK_BYTES },
    { start: last, length: CHUNK_BYTES },
  ];
}

/** Tells that lines of text may be executed from here on, or may not be any more. */
export function* tellText(
  cpu: Cpu,
  setMemory: SetMemory,
  kind: EventKind,
  at: Address,
  bytes: number,
): Generator<undefined, void, undefined> {
  for (let done = 0; done < bytes; done += CHUNK_BYTES) {
    const line = addBytes(at, done);
    if (done === 0 || (line.lo & (PAGE - 1)) === 0) {
      yield* setMemory.frameOf(cpu, line.hi, line.lo) as Generator<undefined, void, undefined>;
    } else {
      cpu.lo = (cpu.lo + CHUNK_BYTES) | 0;
    }
    const { hi, lo } = cpu;
    cpu.event(kind, hi | LINEAR_MAP_HI, lo);
  }
}
