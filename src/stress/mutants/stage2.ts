/**
 * Mutants of stage 2: entries, flushes, freed tables (src/kernel/stage2/steps.ts). And controls:
 * what looks like a forgotten flush and is none.
 */

import { Order, Tlbi } from '../../cpu/operations.ts';
import type { Stage2Steps } from '../../kernel/stage2/steps.ts';
import { makeUnlocked } from '../../sync/unlocked.ts';
import { isTable } from '../../translation/descriptors.ts';
import type { Mutant } from '../mutant.ts';
import { ASSERTION } from '../oracles/assertion.ts';
import { BREAK_BEFORE_MAKE } from '../oracles/break-before-make.ts';
import { SHORT_GRACE_PERIOD } from '../oracles/grace-period.ts';
import { HISTORY } from '../oracles/history.ts';
import { LIVELOCK } from '../oracles/livelock.ts';
import { LOST_MAPPING } from '../oracles/lost-mapping.ts';
import { LOST_UPDATE } from '../oracles/lost-update.ts';
import { STALE_TLB } from '../oracles/stale-tlb.ts';
import { USE_AFTER_FREE } from '../oracles/use-after-free.ts';
import {
  accessFlagScene,
  ageScene,
  collapseScene,
  lockDescendantsScene,
  meetExclusiveScene,
  meetScene,
  orphanScene,
  pruneScene,
  relaxScene,
  remapScene,
  splitScene,
  unmapScene,
} from '../targets/stage2-scenes.ts';
import { type Scene, stage2Target } from '../targets/stage2-target.ts';

type Facts = Omit<Mutant, 'make'>;

function mutated(facts: Facts, scene: Scene, steps: Partial<Stage2Steps>): Mutant {
  const name = `${facts.id} ${facts.name}`;
  return { ...facts, make: () => stage2Target({ scene, steps, name }) };
}

const LOCAL: Readonly<Record<number, Tlbi>> = {
  [Tlbi.IpaS2E1Is]: Tlbi.IpaS2E1,
  [Tlbi.VmallE1Is]: Tlbi.VmallE1,
};

export const STAGE2_MUTANTS: readonly Mutant[] = [
  mutated(
    {
      id: 'P01',
      name: 'bbm-skip-break',
      change: 'a valid entry is replaced by one with another frame, with no break between',
      model: 'sc',
      depth: 2,
      oracles: [BREAK_BEFORE_MAKE],
    },
    remapScene,
    { breaks: () => false },
  ),
  mutated(
    {
      id: 'P02',
      name: 'bbm-no-tlbi',
      change: 'a broken entry is made anew without a TLBI',
      model: 'sc',
      depth: 2,
      oracles: [BREAK_BEFORE_MAKE, STALE_TLB],
    },
    remapScene,
    { breakFlushes: () => false },
  ),
  mutated(
    {
      id: 'P03',
      name: 'bbm-no-dsb-before',
      change: 'the TLBI is issued before the cleared entry is visible',
      model: 'tso',
      depth: 2,
      oracles: [BREAK_BEFORE_MAKE, STALE_TLB, USE_AFTER_FREE],
    },
    collapseScene,
    { storesVisible: () => true },
  ),
  mutated(
    {
      id: 'P04',
      name: 'bbm-no-dsb-after',
      change: 'the entry is made anew before the TLBI is complete',
      model: 'sc',
      depth: 2,
      oracles: [BREAK_BEFORE_MAKE, STALE_TLB],
    },
    remapScene,
    { tlbiComplete: () => true },
  ),
  mutated(
    {
      id: 'P05',
      name: 'tlbi-local',
      change: 'the TLBI reaches the issuing CPU only',
      model: 'sc',
      depth: 2,
      oracles: [STALE_TLB, HISTORY, BREAK_BEFORE_MAKE],
    },
    unmapScene,
    { form: (operation) => LOCAL[operation] ?? operation },
  ),
  mutated(
    {
      id: 'P06',
      name: 'tlbi-wrong-vmid',
      change: 'the TLBI is for another VMID',
      model: 'sc',
      depth: 2,
      oracles: [STALE_TLB, HISTORY],
    },
    unmapScene,
    {
      flushedVmid(cpu, vm) {
        if (!cpu.load64(vm.kvmHi, vm.field.vmid, Order.Relaxed)) return false;
        cpu.lo += 1;
        return true;
      },
    },
  ),
  mutated(
    {
      id: 'P07',
      name: 'tlbi-wrong-range',
      change: 'a table that is replaced is flushed as if it were one page',
      model: 'sc',
      depth: 2,
      oracles: [BREAK_BEFORE_MAKE, STALE_TLB],
    },
    collapseScene,
    { flushesRange: () => false },
  ),
  mutated(
    {
      id: 'P09',
      name: 'free-no-rcu',
      change: 'a table page is freed at once while a shared walker may be inside',
      model: 'sc',
      depth: 2,
      oracles: [USE_AFTER_FREE, SHORT_GRACE_PERIOD],
    },
    pruneScene,
    { freesAtOnce: () => true },
  ),
  mutated(
    {
      id: 'P10',
      name: 'free-before-tlbi',
      change: 'a table page is freed without a TLBI for the entry that led to it',
      model: 'sc',
      depth: 2,
      oracles: [USE_AFTER_FREE, BREAK_BEFORE_MAKE],
    },
    collapseScene,
    { breakFlushes: ({ oldLo, level }) => !isTable(oldLo, level) },
  ),
  mutated(
    {
      id: 'P11',
      name: 'no-lock-descendants',
      change: 'the entries of a table are not locked before a block takes its place',
      model: 'sc',
      depth: 2,
      oracles: [LOST_MAPPING],
    },
    lockDescendantsScene,
    { locksDescendants: () => false },
  ),
  mutated(
    {
      id: 'P12',
      name: 'cmpxchg-plain',
      change: 'a shared walker writes its entry by a plain store',
      model: 'sc',
      depth: 2,
      oracles: [LOST_UPDATE, BREAK_BEFORE_MAKE, HISTORY],
    },
    meetScene,
    {
      trySet(cpu, { entryHi, entryLo }, hi, lo) {
        if (!cpu.store64(entryHi, entryLo, hi, lo, Order.Relaxed)) return false;
        cpu.ok = true;
        return true;
      },
    },
  ),
  mutated(
    {
      id: 'P13',
      name: 'locked-pte-leak',
      change: 'a collapse that gives up leaves entries locked',
      model: 'sc',
      depth: 2,
      oracles: [LIVELOCK, LOST_UPDATE],
    },
    lockDescendantsScene,
    { unlock: () => true },
  ),
  mutated(
    {
      id: 'P14',
      name: 'locked-pte-counted',
      change: 'the locked marker counts as a mapping of its own',
      model: 'sc',
      depth: 2,
      oracles: [LOST_UPDATE],
    },
    remapScene,
    { breakPuts: () => false },
  ),
  mutated(
    {
      id: 'P15',
      name: 'make-relaxed',
      change: 'a new table entry is stored without release',
      model: 'needs armv8',
      oracles: [],
    },
    meetScene,
    {
      make: (cpu, { entryHi, entryLo }, hi, lo) =>
        cpu.store64(entryHi, entryLo, hi, lo, Order.Relaxed),
    },
  ),
  {
    id: 'P20',
    name: 'unlocked-write',
    change: 'entries are written without mmu_lock',
    model: 'sc',
    depth: 2,
    oracles: [LOST_UPDATE, BREAK_BEFORE_MAKE, HISTORY, ASSERTION],
    make: () =>
      stage2Target({
        scene: meetExclusiveScene,
        mmuLock: makeUnlocked,
        name: 'P20 unlocked-write',
      }),
  },
  mutated(
    {
      id: 'P21',
      name: 'relax-skip-local-flush',
      change: 'no local flush where the permission was found relaxed already',
      model: 'sc',
      depth: 2,
      oracles: [LIVELOCK],
    },
    relaxScene,
    { relaxFlushes: (changed) => changed },
  ),
  mutated(
    {
      id: 'P23',
      name: 'stage1-before-stage2',
      change: "the guest's stage 1 is invalidated before stage 2's entry",
      model: 'sc',
      depth: 2,
      oracles: [STALE_TLB, HISTORY],
    },
    unmapScene,
    { stage1Before: (cpu, operation) => cpu.tlbi(operation, 0, 0, 0), stage1After: () => true },
  ),
];

/** The scenes themselves, with every step as the kernel has it. */
const SCENES: Readonly<Record<string, Scene>> = {
  remap: remapScene,
  collapse: collapseScene,
  unmap: unmapScene,
  prune: pruneScene,
  meet: meetScene,
  'meet exclusive': meetExclusiveScene,
  'lock descendants': lockDescendantsScene,
  relax: relaxScene,
};

/** What would be a mistake elsewhere. */
const CHANGED: readonly Mutant[] = [
  mutated(
    {
      id: 'C28',
      name: 'stage2-orphan-install',
      change: 'P11 in the merged series: a mapping may go to a table that is out of the tree',
      model: 'sc',
      depth: 2,
      oracles: [],
    },
    orphanScene,
    { locksDescendants: () => false },
  ),
  mutated(
    {
      id: 'C29',
      name: 'stage2-clear-young-no-flush',
      change: 'access flags are cleared without a flush, by a store that hardware races with',
      model: 'sc',
      oracles: [],
    },
    ageScene,
    {},
  ),
  mutated(
    {
      id: 'C30',
      name: 'stage2-access-flag-no-tlbi',
      change: 'a fault sets the access flag without a TLBI',
      model: 'sc',
      oracles: [],
    },
    accessFlagScene,
    {},
  ),
  mutated(
    {
      id: 'C31',
      name: 'stage2-split-no-break',
      change: 'a block is split without break or flush, on a CPU that allows it (FEAT_BBM level 2)',
      model: 'sc',
      oracles: [],
    },
    splitScene,
    {},
  ),
];

export const STAGE2_CONTROLS: readonly Mutant[] = [
  ...CHANGED,
  ...Object.entries(SCENES).map(
    ([name, scene], index): Mutant => ({
      id: `C${String(20 + index)}`,
      name: `stage2-${name.replaceAll(' ', '-')}`,
      change: `nothing: ${scene.description}`,
      model: 'sc',
      oracles: [],
      make: () => stage2Target({ scene, name: `stage2 ${name}` }),
    }),
  ),
];
