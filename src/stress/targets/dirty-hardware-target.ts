/**
 * Dirty state kept by hardware (FEAT_HAFDBS): a process reads and writes a page that is writable
 * and clean, its walker sets the access flag and the dirty state, and CPU 0 ages the same
 * descriptor. A page that was written and whose descriptor is clean would be dropped without being
 * written back.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Fence, Order, Register } from '../../cpu/operations.ts';
import { testAndClearYoung, type YoungSteps, youngSteps } from '../../kernel/mm/young.ts';
import { toLinear } from '../../memory/physical-address.ts';
import { createStage1Table, mapRange } from '../../translation/boot-tables.ts';
import { GRANULE_4K } from '../../translation/granule.ts';
import {
  S1_READ_ONLY,
  S1_USER_DATA_HI,
  S1_USER_DATA_LO,
} from '../../translation/stage1-descriptors.ts';
import { checkCopied } from '../oracles/dirty-log.ts';
import type { Reporter, StressImage, StressSize, StressTarget } from '../target.ts';
import { shapeOf } from './target-shape.ts';

const PAGE = 4096;
const ROOM_BYTES = 16 * PAGE;
const USER_VA = 0x40_0000;
const ASID = 1;
/** Root, three tables below it, one after the other: the last holds the page's descriptor. */
const LEVELS = 4;
const YOUNG = 'found young';
const OLD = 'found old';

export function dirtyHardwareTarget(
  steps: Partial<YoungSteps> = {},
  name = 'dirty-hardware',
): StressTarget {
  const all = { ...youngSteps, ...steps };
  return {
    name,
    group: 'protocols',
    description: 'a descriptor that is aged while hardware sets its dirty state',
    smallest: { cpus: 2, operations: 1 },
    usual: { cpus: 2, operations: 2 },
    goals: [
      { name: YOUNG, leastCpus: 2, leastOperations: 1 },
      { name: OLD, leastCpus: 2, leastOperations: 2 },
    ],
    ...shapeOf(2, ROOM_BYTES),
    boot(memory) {
      const page = memory.allocateNamed('page', 0, PAGE, PAGE);
      const clean = memory.allocateNamed('clean page', 0, 64);
      const { root } = createStage1Table(memory, 0, GRANULE_4K);
      mapRange(
        memory,
        { root, granule: GRANULE_4K, startLevel: 0, inputBits: 48 },
        {
          input: { hi: 0, lo: USER_VA },
          output: page,
          bytes: PAGE,
          attributesHi: S1_USER_DATA_HI,
          attributesLo: S1_USER_DATA_LO | S1_READ_ONLY,
          tableNode: 0,
        },
      );
      const index = (USER_VA / PAGE) % 512;
      const entry = { hi: root.hi, lo: root.lo + (LEVELS - 1) * PAGE + index * 8 };
      memory.name('pte', entry, 8);
      return { addresses: { root, page, clean, entry }, numbers: {} };
    },
    program(cpu, image, size, report) {
      if (cpu.id >= size.cpus) return null;
      return cpu.id === 0 ? age(cpu, image, size, all, report) : run(cpu, image, size);
    },
    finish(memory, image, _size, report) {
      const { page, clean, entry } = image.addresses as Addresses;
      const recorded = (memory.word(entry) & S1_READ_ONLY) === 0;
      checkCopied(memory, [{ contents: page, copy: clean, recorded }], report);
    },
  };
}

type Addresses = Readonly<
  Record<'root' | 'page' | 'clean' | 'entry', { readonly hi: number; readonly lo: number }>
>;

function* age(
  cpu: Cpu,
  image: StressImage,
  size: StressSize,
  steps: YoungSteps,
  report: Reporter,
): Program {
  const { hi, lo } = toLinear(image.addresses['entry']!);
  for (let round = 0; round < size.operations; round++) {
    yield* testAndClearYoung(cpu, hi, lo, steps);
    report.reach(cpu.ret === 1 ? YOUNG : OLD);
    cpu.mark();
  }
}

/** Reads, so that the translation of a clean page is cached, then writes. */
function* run(cpu: Cpu, image: StressImage, size: StressSize): Program {
  const { hi, lo } = image.addresses['root']!;
  while (!cpu.setRoot(Register.Ttbr0, hi, lo, ASID)) yield;
  while (!cpu.fence(Fence.Isb)) yield;
  for (let round = 1; round <= size.operations; round++) {
    while (!cpu.load32(0, USER_VA, Order.Relaxed)) yield;
    while (!cpu.store32(0, USER_VA, round, Order.Relaxed)) yield;
    cpu.mark();
  }
}
