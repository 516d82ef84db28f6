/**
 * The page allocator under stress (src/kernel/base/page-allocator.ts): CPUs take pages and blocks
 * of one node through their page lists, hand pages to each other and give them back. At the end
 * every page is on one list, held by who has it, or was never handed out.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Order } from '../../cpu/operations.ts';
import { bootPageAllocator } from '../../kernel/base/boot-page-allocator.ts';
import { PageAllocator, type PageAllocatorImage } from '../../kernel/base/page-allocator.ts';
import { MigrateType } from '../../kernel/base/zone.ts';
import { auditPages } from '../../kernel/base/zone-audit.ts';
import type { BootMemory } from '../../memory/boot.ts';
import { toLinear } from '../../memory/physical-address.ts';
import type { Lock } from '../../sync/lock.ts';
import { spinlockByName } from '../../sync/registry.ts';
import { FRAMES } from '../oracles/frames.ts';
import type { Memory, Reporter, StressImage, StressSize, StressTarget } from '../target.ts';
import { shapeOf } from './target-shape.ts';

const PAGE = 4096;
/** Tables and struct pages; what is left becomes pages with contents. */
const ROOM_BYTES = 48 * PAGE;
const MOVABLE_BYTES = 64 * PAGE;
const HANDED_OVER = 'a page was given back by another CPU';

export function bootSmallPages(memory: BootMemory, zoneLock: Lock): PageAllocatorImage {
  return bootPageAllocator(memory, {
    zoneLock,
    movableBytes: MOVABLE_BYTES,
    // Lists are filled and drained at nearly every step.
    listSize: { batch: 1, high: 2, highMax: 2 },
  });
}

export function pageAllocatorTarget(
  zoneLock: () => Lock = () => spinlockByName('spinlock'),
  name = 'page-allocator',
): StressTarget {
  return {
    name,
    group: 'protocols',
    description: 'pages of one node taken, handed over and given back through per-CPU lists',
    smallest: { cpus: 1, operations: 1 },
    usual: { cpus: 2, operations: 2 },
    goals: [{ name: HANDED_OVER, leastCpus: 2, leastOperations: 1 }],
    ...shapeOf(2, ROOM_BYTES),
    boot(memory) {
      const mailbox = toLinear(memory.allocateNamed('mailbox', 0, 64));
      const pages = bootSmallPages(memory, zoneLock());
      return { addresses: { mailbox }, numbers: {}, parts: { pages } };
    },
    program(cpu, image, size, report) {
      if (cpu.id >= size.cpus) return null;
      return takeAndGive(cpu, image, size, zoneLock(), report);
    },
    finish(memory, image, _size, report) {
      const { hi, lo } = image.addresses['mailbox']!;
      const left = memory.word({ hi: hi & 0xffff, lo }) === 0 ? 0 : 1;
      checkPages(memory, image.parts!['pages'] as PageAllocatorImage, left, report);
    },
  };
}

/** Every page is somewhere, and so many are held. */
export function checkPages(
  memory: Memory,
  pages: PageAllocatorImage,
  held: number,
  report: Reporter,
): void {
  let text = '';
  try {
    const census = auditPages(pages, (hi, lo) => memory.word({ hi: hi & 0xffff, lo }));
    const allocated = census.reduce((sum, region) => sum + region.allocated, 0);
    if (allocated !== held) text = `${allocated} pages are handed out, ${held} are held`;
  } catch (error) {
    text = (error as Error).message;
  }
  if (text !== '') report.fail({ oracle: FRAMES, cpus: [], text, hi: 0, lo: 0 });
}

function* takeAndGive(
  cpu: Cpu,
  image: StressImage,
  size: StressSize,
  lock: Lock,
  report: Reporter,
): Program {
  const { hi, lo } = image.addresses['mailbox']!;
  const pages = new PageAllocator(image.parts!['pages'] as PageAllocatorImage, lock);
  for (let round = 0; round < size.operations; round++) {
    yield* pages.allocate(cpu, 0, 1, MigrateType.Movable);
    const block = { hi: cpu.hi, lo: cpu.lo };
    yield* pages.allocate(cpu, 0, 0, MigrateType.Movable);
    const own = { hi: cpu.hi, lo: cpu.lo };
    yield* pages.free(cpu, block.hi, block.lo, 1);
    // Whose page comes out is left to chance; 0 is no page of the allocator.
    while (!cpu.swap64(hi, lo, own.hi, own.lo, Order.AcquireRelease)) yield;
    const other = { hi: cpu.hi, lo: cpu.lo };
    if (other.lo !== 0) {
      if (round === 0) report.reach(HANDED_OVER);
      yield* pages.free(cpu, other.hi, other.lo, 0);
    }
    cpu.mark();
  }
}
