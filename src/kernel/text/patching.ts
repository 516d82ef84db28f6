/**
 * What patching of kernel text needs of a run: the poke window, calls between CPUs, EL2 where text
 * is replicated by stage 2. Boot once, open once per CPU.
 *
 * The frame behind an address of the image is known (page_to_phys of lm_alias in patch_map), so no
 * table is walked for it.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import type { Machine } from '../../machine/machine.ts';
import type { BootMemory } from '../../memory/boot.ts';
import { type Address, addBytes, LINEAR_MAP_HI } from '../../memory/physical-address.ts';
import type { Lock } from '../../sync/lock.ts';
import type { KernelMap } from '../../translation/boot-tables.ts';
import { PAGE_END } from '../base/kernel-layout.ts';
import {
  bootFixmap,
  type FixmapImage,
  type FrameOf,
  makeFixmapPoke,
} from '../patching/fixmap-poke.ts';
import {
  bootPokingMm,
  makeTemporaryMmPoke,
  type PokingMmImage,
} from '../patching/temporary-mm-poke.ts';
import type { TextPoke } from '../patching/text-poke.ts';
import type { SmpImage } from '../smp/call-function.ts';
import { type KernelSmp, openKernelSmp } from '../smp/functions.ts';
import { Hyp } from './hyp.ts';
import { hasHostStage2, type KernelTextImage } from './image.ts';
import type { TextPatchParts } from './patch.ts';

/** Plain data. */
export interface TextPatchingImage {
  readonly text: KernelTextImage;
  /** arm64: the window of all CPUs; x86: poking_mm. */
  readonly fixmap: FixmapImage | null;
  readonly poking: PokingMmImage | null;
  readonly smp: SmpImage;
}

export interface TextPatchingBoot {
  readonly map: KernelMap;
  readonly userRoots: readonly Address[];
  readonly text: KernelTextImage;
  readonly smp: SmpImage;
}

export interface TextPatching {
  readonly parts: TextPatchParts;
  readonly smp: KernelSmp;
  readonly hyp: Hyp;
}

export function bootTextPatching(
  boot: BootMemory,
  { map, userRoots, text, smp }: TextPatchingBoot,
  patchLock: Lock,
): TextPatchingImage {
  const node = boot.nearestNodeWithMemory(0);
  const isX86 = boot.machine.architecture === 'x86';
  return {
    text,
    smp,
    fixmap: isX86 ? null : bootFixmap(boot, map, node, patchLock),
    poking: isX86 ? bootPokingMm(boot, node, patchLock, userRoots) : null,
  };
}

export function openTextPatching(
  cpu: Cpu,
  machine: Machine,
  { text, fixmap, poking, smp }: TextPatchingImage,
  patchLock: Lock,
): TextPatching {
  const own = openKernelSmp(cpu, machine, smp);
  const hyp = new Hyp(cpu, machine, text);
  const window =
    fixmap === null
      ? makeTemporaryMmPoke(poking!, patchLock, frameOf(text))
      : makeFixmapPoke(fixmap, patchLock, own.flushKernelRange, frameOf(text));
  const traps = hasHostStage2(text);
  const poke: TextPoke = {
    write: (at, hi, lo, bytes, source) =>
      window.write(at, hi, lo, bytes, traps ? hyp.remember(source) : source),
  };
  return { parts: { machine, image: text, poke }, smp: own, hyp };
}

/** Addresses of the image, and of copies in the linear map. */
function frameOf({ start, copies }: KernelTextImage): FrameOf {
  return (cpu, hi, lo) => {
    const inImage = hi >>> 0 >= PAGE_END.hi >>> 0;
    const linear = { hi: hi & ~LINEAR_MAP_HI, lo };
    const physical = inImage ? addBytes(copies[0]!.physical, (lo - start.lo) >>> 0) : linear;
    cpu.hi = physical.hi;
    cpu.lo = physical.lo;
    return (function* (): Program {})();
  };
}
