/** vmalloc, the kernel's table and set_memory over one page allocator, as kernel tests use them. */

import type { Cpu } from '../../src/cpu/cpu.ts';
import { bootPageAllocator } from '../../src/kernel/base/boot-page-allocator.ts';
import { kernelLayout } from '../../src/kernel/base/kernel-layout.ts';
import { PageAllocator, type PageAllocatorImage } from '../../src/kernel/base/page-allocator.ts';
import {
  bootKernelTable,
  KernelTable,
  type KernelTableImage,
} from '../../src/kernel/kernel-table/kernel-table.ts';
import {
  bootLinearMap,
  type LinearMapImage,
  splitAtBoot,
} from '../../src/kernel/linear-map/image.ts';
import { SetMemory, type SetMemoryParts } from '../../src/kernel/linear-map/set-memory.ts';
import type { SmpImage } from '../../src/kernel/smp/call-function.ts';
import { openKernelSmp } from '../../src/kernel/smp/functions.ts';
import { bootVmalloc, type VmallocImage } from '../../src/kernel/vmalloc/image.ts';
import { Vmalloc } from '../../src/kernel/vmalloc/vmalloc.ts';
import type { Machine } from '../../src/machine/machine.ts';
import type { BootMemory } from '../../src/memory/boot.ts';
import { makeQueuedSpinlock } from '../../src/sync/qspinlock.ts';
import type { BootedKernel } from '../../workloads/workload.ts';

export interface KernelMemoryImage {
  readonly table: KernelTableImage;
  readonly vmalloc: VmallocImage;
  readonly linear: LinearMapImage;
  readonly pages: PageAllocatorImage;
  readonly smp: SmpImage;
}

/** `byPages`: memory with contents is mapped by pages, as arm64 with rodata=full has it. */
export function bootKernelMemory(
  boot: BootMemory,
  kernel: BootedKernel,
  byPages: boolean,
): KernelMemoryImage {
  const lock = makeQueuedSpinlock();
  const { machine } = boot;
  const layout = kernelLayout(false);
  const options = { node: 0, layout, areas: 200, lock, cpus: machine.cpuCount, lazyPagesMax: 16 };
  const vmalloc = bootVmalloc(boot, options);
  const table = bootKernelTable(boot, kernel.map, 0, lock);
  if (byPages) {
    for (let node = 0; node < machine.nodeCount; node++) {
      splitAtBoot(boot, kernel.map, node, { hi: node << 6, lo: 0 }, boot.memory.backedBytes);
    }
  }
  const linear = bootLinearMap(boot, kernel.map, 0, lock);
  const pages = bootPageAllocator(boot, { zoneLock: lock, movableBytes: 0 });
  return { table, vmalloc, linear, pages, smp: kernel.smp! };
}

export function openKernelMemory(
  cpu: Cpu,
  machine: Machine,
  image: KernelMemoryImage,
  rodata: SetMemoryParts['rodata'] = 'full',
) {
  const lock = makeQueuedSpinlock();
  const pages = new PageAllocator(image.pages, lock);
  const table = new KernelTable(image.table, pages, lock);
  const smp = openKernelSmp(cpu, machine, image.smp);
  const { flushKernelRange } = smp;
  const vmalloc = new Vmalloc({ image: image.vmalloc, pages, table, flushKernelRange, lock });
  const setMemory = new SetMemory({
    machine,
    image: image.linear,
    pages,
    table,
    lock,
    rodata,
    flushKernelRange,
    unmapAliases: (at) => vmalloc.purge(at),
  });
  return { pages, table, smp, vmalloc, setMemory };
}
