/**
 * Mutants of what frees memory under readers, and of lists that memory comes from. M51 and on are
 * of targets that the published table has no line for.
 */

import { Order } from '../../cpu/operations.ts';
import { rcuTreeSteps } from '../../kernel/base/rcu-tree.ts';
import { srcuCountersLo, srcuSteps } from '../../kernel/base/srcu.ts';
import { hazardSteps, makeHazardPointers } from '../../sync/hazard-pointers.ts';
import { latchSteps, makeSequenceLatch } from '../../sync/seqcount-latch.ts';
import { makeTreiberStack, treiberSteps } from '../../sync/treiber-stack.ts';
import type { Mutant } from '../mutant.ts';
import { FRAMES } from '../oracles/frames.ts';
import { SHORT_GRACE_PERIOD } from '../oracles/grace-period.ts';
import { LOST_UPDATE } from '../oracles/lost-update.ts';
import { TORN_READ } from '../oracles/torn-read.ts';
import { USE_AFTER_FREE } from '../oracles/use-after-free.ts';
import { hazardTarget } from '../targets/hazard-target.ts';
import { latchTarget } from '../targets/latch-target.ts';
import { pageStackTarget } from '../targets/page-stack-target.ts';
import { pteLockTarget } from '../targets/pte-lock-target.ts';
import { rcuTreeTarget } from '../targets/rcu-tree-target.ts';
import { srcuTarget } from '../targets/srcu-target.ts';

export const RECLAMATION_MUTANTS: readonly Mutant[] = [
  {
    id: 'M41',
    name: 'latch-write-live-copy',
    change: 'the writer changes the copy that readers are sent to',
    model: 'sc',
    depth: 2,
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
    depth: 2,
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
    depth: 3,
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
    depth: 3,
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
  {
    id: 'M53',
    name: 'rcu-tree-late-report',
    change: 'nobody looks which grace period a report is for',
    model: 'sc',
    depth: 3,
    oracles: [SHORT_GRACE_PERIOD, USE_AFTER_FREE],
    make: () =>
      rcuTreeTarget(
        {
          ...rcuTreeSteps,
          *isCurrent(cpu, hi, node, sequence) {
            yield* rcuTreeSteps.isCurrent(cpu, hi, node, sequence);
            cpu.ret = 1;
          },
        },
        'M53 rcu-tree-late-report',
      ),
  },
  {
    id: 'M54',
    name: 'rcu-tree-first-scan',
    change: 'the first scan of a grace period compares with what the last one saw',
    model: 'sc',
    depth: 2,
    oracles: [SHORT_GRACE_PERIOD, USE_AFTER_FREE],
    make: () =>
      rcuTreeTarget(
        {
          ...rcuTreeSteps,
          hasBeenIdle: (cpu, image, other) => rcuTreeSteps.hasBeenIdle(cpu, image, other, false),
        },
        'M54 rcu-tree-first-scan',
      ),
  },
  {
    id: 'M55',
    name: 'srcu-one-wait',
    change: 'before the flip nobody waits for readers who came late',
    model: 'sc',
    depth: 3,
    oracles: [USE_AFTER_FREE, TORN_READ],
    make: () => srcuTarget({ ...srcuSteps, *waitForLate() {} }, 'M55 srcu-one-wait'),
  },
  {
    id: 'M56',
    name: 'srcu-enter-no-mb',
    change: 'a reader counts itself in by a load and a store, with no barrier after',
    model: 'tso',
    depth: 2,
    oracles: [USE_AFTER_FREE, TORN_READ],
    make: () =>
      srcuTarget(
        {
          ...srcuSteps,
          *countReader(cpu, domain, index) {
            const own = cpu.perCpuHi(cpu.id);
            const entries = srcuCountersLo(cpu, domain, cpu.id) + index * 4;
            while (!cpu.load32(own, entries, Order.Relaxed)) yield;
            const next = cpu.lo + 1;
            while (!cpu.store32(own, entries, next, Order.Relaxed)) yield;
          },
        },
        'M56 srcu-enter-no-mb',
      ),
  },
  {
    id: 'M57',
    name: 'pte-lock-no-recheck',
    change: 'the pmd is not looked at again under the lock of the table',
    model: 'sc',
    depth: 2,
    oracles: [TORN_READ, LOST_UPDATE],
    make: () =>
      pteLockTarget(
        () => ({
          *recheck(cpu, pmdHi, pmdLo) {
            while (!cpu.load64(pmdHi, pmdLo, Order.Relaxed)) yield;
            cpu.ret = 1;
          },
        }),
        'M57 pte-lock-no-recheck',
      ),
  },
  {
    id: 'M58',
    name: 'pte-lock-freed-at-once',
    change: 'a table is freed, with its lock, when it is out of the tree',
    model: 'sc',
    depth: 2,
    oracles: [USE_AFTER_FREE, SHORT_GRACE_PERIOD],
    make: () =>
      pteLockTarget(
        (free) => ({
          free: (cpu, _rcu, _headHi, _headLo, _id, hi, lo) => free(cpu, hi, lo),
        }),
        'M58 pte-lock-freed-at-once',
      ),
  },
];
