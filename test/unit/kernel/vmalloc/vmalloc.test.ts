/**
 * Promises: areas never overlap and hold what was written to them; what is freed is reused only
 * after a flush (the checkers of stale translations are on); after a purge all address space is one
 * free area again and every frame is back.
 */

import { describe, expect, it } from 'vitest';
import type { Cpu, Program } from '../../../../src/cpu/cpu.ts';
import { Order } from '../../../../src/cpu/operations.ts';
import { AreaField } from '../../../../src/kernel/base/area-tree.ts';
import {
  bootPageAllocator,
  metadataBytes,
} from '../../../../src/kernel/base/boot-page-allocator.ts';
import { kernelLayout } from '../../../../src/kernel/base/kernel-layout.ts';
import {
  PageAllocator,
  type PageAllocatorImage,
} from '../../../../src/kernel/base/page-allocator.ts';
import { auditPages } from '../../../../src/kernel/base/zone-audit.ts';
import {
  bootKernelTable,
  KernelTable,
  type KernelTableImage,
} from '../../../../src/kernel/kernel-table/kernel-table.ts';
import type { SmpImage } from '../../../../src/kernel/smp/call-function.ts';
import { openKernelSmp } from '../../../../src/kernel/smp/functions.ts';
import {
  bootVmalloc,
  type VmallocImage,
  VmallocRange,
  vmallocBytes,
} from '../../../../src/kernel/vmalloc/image.ts';
import { Vmalloc } from '../../../../src/kernel/vmalloc/vmalloc.ts';
import type { Machine } from '../../../../src/machine/machine.ts';
import { addBytes } from '../../../../src/memory/physical-address.ts';
import { Counter } from '../../../../src/metrics/definition.ts';
import { makeQueuedSpinlock } from '../../../../src/sync/qspinlock.ts';
import {
  S1_KERNEL_DATA_HI,
  S1_KERNEL_DATA_LO,
} from '../../../../src/translation/stage1-descriptors.ts';
import { runKernelTest } from '../../../support/kernel-run.ts';
import { makeTestMachine } from '../../../support/test-machine.ts';

interface Image {
  readonly table: KernelTableImage;
  readonly vmalloc: VmallocImage;
  readonly pages: PageAllocatorImage;
  readonly smp: SmpImage;
}

const PAGE = 4096;
const ROUNDS = 12;

function* churn(cpu: Cpu, machine: Machine, image: Image, huge: boolean): Program {
  const lock = makeQueuedSpinlock();
  const pages = new PageAllocator(image.pages, lock);
  const table = new KernelTable(image.table, pages, lock);
  const { calls, flushKernelRange } = openKernelSmp(cpu, machine, image.smp);
  const vmalloc = new Vmalloc({ image: image.vmalloc, pages, table, flushKernelRange, lock });
  const held: { hi: number; lo: number; pages: number; tag: number }[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const bytes = huge ? 2 ** 21 : (1 + (cpu.random(0) % 5)) * PAGE;
    yield* vmalloc.allocate(cpu, {
      range: cpu.random(0) % 2 === 0 ? VmallocRange.Modules : VmallocRange.Vmalloc,
      bytes,
      alignShift: 12 + (cpu.random(0) % 3),
      node: cpu.node,
      attributesHi: S1_KERNEL_DATA_HI,
      attributesLo: S1_KERNEL_DATA_LO,
      huge,
    });
    expect(cpu.ret).toBe(0);
    const area = { hi: cpu.hi, lo: cpu.lo, pages: bytes / PAGE, tag: cpu.id * 1000 + round };
    held.push(area);
    for (let page = 0; page < area.pages; page += huge ? 64 : 1) {
      const at = addBytes(area, page * PAGE + 8);
      while (!cpu.store32(at.hi, at.lo, area.tag, Order.Relaxed)) yield;
    }
    if (held.length < 3 && round < ROUNDS - 1) continue;
    yield* give(cpu, vmalloc, held.splice(cpu.random(0) % held.length, 1)[0]!);
  }
  for (const area of held) yield* give(cpu, vmalloc, area);
  yield* calls.leave(cpu);
  yield* vmalloc.purge(cpu);
}

function* give(cpu: Cpu, vmalloc: Vmalloc, area: { hi: number; lo: number; tag: number }): Program {
  while (!cpu.load32(area.hi, area.lo + 8, Order.Relaxed)) yield;
  expect(cpu.lo).toBe(area.tag);
  yield* vmalloc.free(cpu, area.hi, area.lo);
}

describe('vmalloc', () => {
  it.each([
    ['pages by TLBI', 'arm64', false],
    ['pages by IPI', 'x86', false],
    ['blocks', 'arm64', true],
  ] as const)('%s', (_, architecture, huge) => {
    const machine = { ...makeTestMachine({ cpuCount: 4, nodeCount: 2 }), architecture };
    const run = runKernelTest<Image>({
      machine,
      cpus: [0, 1, 2, 3],
      backedBytes: (huge ? 64 : 6) * 2 ** 20 + vmallocBytes(200) + metadataBytes(0),
      boot(boot, kernel) {
        const lock = makeQueuedSpinlock();
        const layout = kernelLayout(false);
        const options = { node: 0, layout, areas: 200, lock, cpus: 4, lazyPagesMax: 12 };
        const vmalloc = bootVmalloc(boot, options);
        const table = bootKernelTable(boot, kernel.map, 0, lock);
        const pages = bootPageAllocator(boot, { zoneLock: lock, movableBytes: 0 });
        return { table, vmalloc, pages, smp: kernel.smp! };
      },
      program: (cpu, image) => churn(cpu, machine, image, huge),
    });
    expect(run.counter(Counter.VmallocPurges)).toBeGreaterThan(0);
    const { memory, image } = run;
    const word = ({ hi, lo }: { hi: number; lo: number }, offset: number): number =>
      memory.peek32(hi & 0xffff, lo + offset);
    for (const [range, bytes] of [2 ** 31, 2 ** 40].entries()) {
      const root = image.vmalloc.freeRoots[range]!;
      const top = { hi: word(root, 4), lo: word(root, 0) };
      expect(word(top, AreaField.Units)).toBe(bytes / PAGE);
    }
    expect(word(image.vmalloc.busyRoot, 0)).toBe(0);
    expect(word(image.vmalloc.lazyPages, 0)).toBe(0);
    const peek = (hi: number, lo: number): number => memory.peek32(hi & 0xffff, lo);
    const frames = auditPages(image.pages, peek).reduce((sum, { allocated }) => sum + allocated, 0);
    expect(frames).toBeLessThan(20);
  });
});
