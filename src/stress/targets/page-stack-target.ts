/**
 * A free list of table pages under stress: every CPU takes pages and gives them back in another
 * order, so that a page is at the head again while somebody is about to swap it out.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { EventKind } from '../../cpu/operations.ts';
import { addBytes, toLinear } from '../../memory/physical-address.ts';
import { makeTreiberStack, type PageStack, StackBranch } from '../../sync/treiber-stack.ts';
import type { StressImage, StressSize, StressTarget } from '../target.ts';
import { goalsOf } from './lock-goals.ts';
import { shapeOf } from './target-shape.ts';

const PAGE_BYTES = 4096;
const PAGES = 3;
const ROOM_BYTES = 8 * PAGE_BYTES;

export function pageStackTarget(
  make: () => PageStack = makeTreiberStack,
  name = 'treiber-stack',
): StressTarget {
  return {
    name,
    group: 'protocols',
    description: 'pages taken from a lock-free free list and given back',
    smallest: { cpus: 2, operations: 1 },
    usual: { cpus: 2, operations: 2 },
    ...goalsOf(Object.values(StackBranch)),
    ...shapeOf(2, ROOM_BYTES),
    boot(memory) {
      const head = memory.allocateNamed('free list', 0, 64);
      const pages = memory.allocateNamed('pages', 0, PAGES * PAGE_BYTES, PAGE_BYTES);
      for (let page = 0; page < PAGES; page++) {
        const at = addBytes(pages, page * PAGE_BYTES);
        const next = page + 1 < PAGES ? addBytes(at, PAGE_BYTES) : { hi: 0, lo: 0 };
        memory.write64(at, 0, next.hi, next.lo);
      }
      memory.write64(head, 0, pages.hi, pages.lo);
      return { addresses: { head: toLinear(head) }, numbers: {} };
    },
    program: (cpu, image, size) =>
      cpu.id < size.cpus ? takeAndGive(cpu, image, size, make()) : null,
    finish() {},
  };
}

function* takeAndGive(cpu: Cpu, image: StressImage, size: StressSize, stack: PageStack): Program {
  const { hi, lo } = image.addresses['head']!;
  const held: { hi: number; lo: number }[] = [];
  const take = function* (): Program {
    yield* stack.pop(cpu, hi, lo);
    if (cpu.ret === 0) return;
    held.push({ hi: cpu.hi, lo: cpu.lo });
    cpu.event(EventKind.FrameAllocated, cpu.hi & 0xffff, cpu.lo);
  };
  const give = function* (): Program {
    const page = held.shift();
    if (page === undefined) return;
    cpu.event(EventKind.FrameFreed, page.hi & 0xffff, page.lo);
    yield* stack.push(cpu, hi, lo, page.hi, page.lo);
  };
  for (let round = 0; round < size.operations; round++) {
    yield* take();
    yield* take();
    yield* give();
    yield* take();
    while (held.length > 0) yield* give();
    cpu.mark();
  }
}
