/**
 * A kernel of a few pages for stress targets: a linear map, one root for every CPU (or one per node
 * with replicated text), calls between CPUs. On machines whose instruction caches need maintenance,
 * unless told: that is where there is something to forget.
 */

import type { ExploreTranslation } from '../../engine/explore/mmu.ts';
import { splitAtBoot } from '../../kernel/linear-map/image.ts';
import { bootSmp, type SmpImage } from '../../kernel/smp/call-function.ts';
import { bootKernelText } from '../../kernel/text/boot.ts';
import type { KernelTextImage } from '../../kernel/text/image.ts';
import { resolveTextOptions, type TextOptions } from '../../kernel/text/options.ts';
import type { Machine } from '../../machine/machine.ts';
import type { BootMemory } from '../../memory/boot.ts';
import { paHiOf, paLoOf } from '../../memory/physical-address.ts';
import { makeQueuedSpinlock } from '../../sync/qspinlock.ts';
import { createLinearMap, type KernelMap } from '../../translation/boot-tables.ts';
import { GRANULE_4K } from '../../translation/granule.ts';
import type { StressTarget } from '../target.ts';
import { shapeOf } from './target-shape.ts';

export const PAGE = 4096;
export const EXPLORE_ONLY = 'its kernel map and old instructions are choices of the explore engine';

/** x86: flushes by IPI, no instruction cache to maintain. */
export type Architecture = Machine['architecture'];

export function kernelMachine(machine: Machine, architecture: Architecture = 'arm64'): Machine {
  const coherent = architecture === 'x86';
  const features = { ...machine.features, dic: coherent, idc: coherent };
  return { ...machine, architecture, features };
}

/** As shapeOf, on such a machine. */
export function kernelShape(
  cpus: number,
  roomBytes: number,
  architecture: Architecture = 'arm64',
): Pick<StressTarget, 'machine' | 'backedBytes' | 'resized' | 'exploreOnly'> {
  const { machine, backedBytes } = shapeOf(cpus, roomBytes);
  return {
    machine: kernelMachine(machine, architecture),
    backedBytes,
    exploreOnly: EXPLORE_ONLY,
    resized: (other) => kernelShape(other, roomBytes, architecture),
  };
}

export interface SmallKernel {
  readonly map: KernelMap;
  readonly smp: SmpImage;
}

/** `byPages`: memory with contents is mapped by pages, as arm64 with rodata=full has it. */
export function bootSmallKernel(boot: BootMemory, cpus: number, byPages = false): SmallKernel {
  const table = createLinearMap(boot, 0, GRANULE_4K);
  const map: KernelMap = { table, roots: Array.from(boot.machine.nodeOfCpu, () => table.root) };
  for (let node = 0; byPages && node < boot.machine.nodeCount; node++) {
    const start = { hi: paHiOf(node, 0), lo: paLoOf(0) };
    splitAtBoot(boot, map, node, start, boot.memory.backedBytes);
  }
  const smp = bootSmp(
    boot,
    Array.from({ length: cpus }, (_, cpu) => cpu),
  );
  return { map, smp };
}

/** What StressImage.kernel is, once boot has done all else. */
export function kernelRoots(map: KernelMap): Pick<ExploreTranslation, 'kernelRoots'> & {
  readonly kernelRoots: KernelMap['roots'];
} {
  return { kernelRoots: map.roots };
}

/** The least image that boot makes; old contents are kept of its first page alone. */
export function bootSmallText(
  boot: BootMemory,
  map: KernelMap,
  options: Partial<TextOptions>,
): KernelTextImage {
  const given = { textSize: 65536, hotText: 1024, rodataSize: 0 };
  const text = bootKernelText(boot, {
    map,
    options: { ...resolveTextOptions(given), ...options },
    lock: makeQueuedSpinlock(),
    seed: 1,
    trampoline: null,
  });
  boot.symbols.forEach((symbol, index) => {
    if (symbol.text === true) boot.symbols[index] = { ...symbol, bytes: PAGE };
  });
  return text;
}

/** Bytes per node that the image takes, its alignment included. */
export const SMALL_TEXT_BYTES = 160 * 1024;
