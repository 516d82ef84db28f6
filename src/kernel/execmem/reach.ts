/**
 * PC-relative reach: how far a call from new text to the kernel's may go by one instruction (BL on
 * arm64: +-128 MiB; CALL on x86: +-2 GiB), and the ranges that follow from it
 * (arch/arm64/kernel/module.c, v6.5: module_init_limits: a direct region around the image, then the
 * region of 2 GiB whose calls need PLT entries).
 *
 * Deviation: the direct region is not moved by KASLR but left out (modulesRange=far).
 */

import type { Machine } from '../../machine/machine.ts';
import type { Address } from '../../memory/physical-address.ts';
import type { KernelLayout } from '../base/kernel-layout.ts';
import { VmallocRange } from '../vmalloc/image.ts';
import { distance } from './free-areas.ts';
import type { ExecmemOptions } from './options.ts';

const MIB = 2 ** 20;

/** Plain data. */
export interface ReachImage {
  /** _text, and how long the kernel is from there. */
  readonly kernel: Address;
  readonly kernelBytes: number;
  readonly reachBytes: number;
  /** Where text is looked for, in this order. */
  readonly ranges: readonly VmallocRange[];
  /** The same in a kernel with CONFIG_MODULES. */
  readonly moduleRanges: readonly VmallocRange[];
}

export function branchReach(machine: Machine): number {
  return machine.architecture === 'x86' ? 2048 * MIB : 128 * MIB;
}

/** Bytes at the end of the modules range from where all of the kernel is in reach. */
export function directBytes(
  machine: Machine,
  { modulesRange }: ExecmemOptions,
  layout: KernelLayout,
  kernelBytes: number,
): number {
  if (modulesRange === 'far') return 0;
  return Math.max(0, Math.min(layout.modulesBytes, branchReach(machine) - kernelBytes));
}

export function reachOf(
  machine: Machine,
  options: ExecmemOptions,
  layout: KernelLayout,
  kernelBytes: number,
): ReachImage {
  const direct = directBytes(machine, options, layout, kernelBytes);
  const moduleRanges = [
    ...(direct > 0 ? [VmallocRange.Direct] : []),
    ...(direct < layout.modulesBytes && options.trampolines ? [VmallocRange.Modules] : []),
  ];
  return {
    kernel: layout.image,
    kernelBytes,
    reachBytes: branchReach(machine),
    ranges: options.modulesRange === 'none' ? [VmallocRange.Vmalloc] : moduleRanges,
    moduleRanges,
  };
}

/** Is some call between this text and the kernel too far for one instruction? */
export function isOutOfReach(
  { kernel, kernelBytes, reachBytes }: ReachImage,
  at: Address,
  bytes: number,
): boolean {
  const toKernel = distance(at, kernel) + kernelBytes;
  const toText = distance(kernel, at) + bytes;
  return Math.max(toKernel, toText) > reachBytes;
}
