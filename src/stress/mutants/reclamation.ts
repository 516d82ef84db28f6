/** Mutants of what frees memory under readers, and of lists that memory comes from. */

import { Order } from '../../cpu/operations.ts';
import { hazardSteps, makeHazardPointers } from '../../sync/hazard-pointers.ts';
import { latchSteps, makeSequenceLatch } from '../../sync/seqcount-latch.ts';
import { makeTreiberStack, treiberSteps } from '../../sync/treiber-stack.ts';
import type { Mutant } from '../mutant.ts';
import { FRAMES } from '../oracles/frames.ts';
import { TORN_READ } from '../oracles/torn-read.ts';
import { USE_AFTER_FREE } from '../oracles/use-after-free.ts';
import { hazardTarget } from '../targets/hazard-target.ts';
import { latchTarget } from '../targets/latch-target.ts';
import { pageStackTarget } from '../targets/page-stack-target.ts';

export const RECLAMATION_MUTANTS: readonly Mutant[] = [
  {
    id: 'M41',
    name: 'latch-write-live-copy',
    change: 'the writer changes the copy that readers are sent to',
    model: 'sc',
    oracles: [TORN_READ],
    make: () =>
      latchTarget(
        () =>
          makeSequenceLatch({
            ...latchSteps,
            update: (cpu, hi, lo, write, steps) =>
              latchSteps.update(cpu, hi, lo, (self, copy) => write(self, 1 - copy), steps),
          }),
        'M41 latch-write-live-copy',
      ),
  },
  {
    id: 'M44',
    name: 'hp-no-fence',
    change: 'no barrier between publishing an address and reading its source again',
    model: 'tso',
    oracles: [USE_AFTER_FREE, TORN_READ],
    make: () =>
      hazardTarget(
        () => makeHazardPointers({ ...hazardSteps, fence: () => true }),
        'M44 hp-no-fence',
      ),
  },
  {
    id: 'M45',
    name: 'hp-no-recheck',
    change: 'the source is not read again after its address was published',
    model: 'sc',
    oracles: [USE_AFTER_FREE, TORN_READ],
    make: () =>
      hazardTarget(
        () =>
          makeHazardPointers({
            ...hazardSteps,
            *recheck(cpu, sourceHi, sourceLo) {
              while (!cpu.load64(sourceHi, sourceLo, Order.Acquire)) yield;
              cpu.ret = 1;
            },
          }),
        'M45 hp-no-recheck',
      ),
  },
  {
    id: 'M46',
    name: 'aba-stack',
    change: 'the head has no tag',
    model: 'sc',
    oracles: [FRAMES],
    make: () =>
      pageStackTarget(
        () =>
          makeTreiberStack({
            ...treiberSteps,
            *swing(cpu, hi, lo, seenHi, seenLo, pageHi, pageLo) {
              const order = Order.AcquireRelease;
              const headHi = pageHi & 0xffff;
              while (!cpu.cas64(hi, lo, seenHi, seenLo, headHi, pageLo, order)) yield;
            },
          }),
        'M46 aba-stack',
      ),
  },
];
