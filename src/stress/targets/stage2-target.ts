/**
 * Stage 2 of a small VM under stress: CPU 0 changes tables while the other CPUs run the guest or
 * walk the same tables. What they do is a scene (stage2-scenes.ts); at the end pages that were
 * mapped are, no entry stays locked, and tables count the entries that they have.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { EventKind } from '../../cpu/operations.ts';
import { PageField, STRUCT_PAGE_BYTES } from '../../kernel/base/struct-page.ts';
import type { Stage2Options } from '../../kernel/stage2/options.ts';
import { type Stage2Steps, stage2Steps } from '../../kernel/stage2/steps.ts';
import type { Vm } from '../../kernel/stage2/vm.ts';
import type { Features } from '../../machine/machine.ts';
import type { Address } from '../../memory/physical-address.ts';
import type { ReadWriteLock } from '../../sync/lock.ts';
import type { LockBranch } from '../../sync/lock-events.ts';
import { makeQueuedReadWriteLock } from '../../sync/qrwlock.ts';
import { isValid, PERM_EXEC, PERM_READ, PERM_WRITE } from '../../translation/descriptors.ts';
import { isLockedInvalid } from '../../translation/stage2-descriptors.ts';
import {
  ChangeKind,
  Outcome,
  tellChange,
  tellOutcome,
  tellRoot,
} from '../oracles/history-events.ts';
import { LIVELOCK } from '../oracles/livelock.ts';
import { LOST_UPDATE } from '../oracles/lost-update.ts';
import { WALKED_UNLINKED } from '../oracles/table-reach.ts';
import type { Memory, Reporter, StressImage, StressSize, StressTarget } from '../target.ts';
import { goalsOf } from './lock-goals.ts';
import { bootSmallVm, GUEST_IPA, openSmallVm, type SmallVm, VMID } from './small-vm.ts';
import { shapeOf } from './target-shape.ts';

const PAGE = 4096;
const ROOM_BYTES = 48 * PAGE;
/** What boot lets the guest do with mapped pages unless the scene says else. */
const MAPPED_PERMISSIONS = PERM_READ | PERM_WRITE | PERM_EXEC;

export interface Scene {
  readonly description: string;
  readonly options: Partial<Stage2Options>;
  readonly mapped: boolean;
  readonly permissions?: number;
  readonly size: StressSize;
  /** Does the CPU run as a guest or in the host? */
  program(cpu: Cpu, vm: Vm, image: SmallVm, size: StressSize): Program;
  /** Pages (0, 1) that are mapped at the end. */
  readonly mappedAtEnd: readonly number[];
  /** What boot maps is one block. */
  readonly block?: boolean;
  /** Of the machine where it has to be another. */
  readonly features?: Partial<Features>;
  /** What a pass has to pass. */
  readonly branches?: readonly LockBranch[];
  /** A walk has to be in a table that is taken out of the tree. */
  readonly walksUnlinked?: boolean;
  /** No mapping may go to a table that is out of the tree: an entry was locked before. */
  readonly ownsDescendants?: boolean;
}

export interface Stage2TargetOptions {
  readonly scene: Scene;
  readonly steps?: Partial<Stage2Steps>;
  readonly mmuLock?: () => ReadWriteLock;
  readonly name: string;
}

export function stage2Target({ scene, steps, mmuLock, name }: Stage2TargetOptions): StressTarget {
  const all = { ...stage2Steps, ...steps };
  const smallVm = (image: StressImage): SmallVm => image.parts!['vm'] as SmallVm;
  return {
    name,
    group: 'protocols',
    description: scene.description,
    smallest: { cpus: 2, operations: 1 },
    usual: scene.size,
    ...goalsFor(scene),
    ...(scene.ownsDescendants === true ? { ownsDescendants: true } : {}),
    ...shapeFor(scene, scene.size.cpus),
    boot(memory, size) {
      const { options, mapped, permissions, block = false } = scene;
      const vm = bootSmallVm(memory, {
        index: 0,
        vmid: VMID,
        cpus: size.cpus,
        options,
        mapped,
        block,
        ...(permissions === undefined ? {} : { permissions }),
      });
      return { addresses: {}, numbers: {}, parts: { vm } };
    },
    program(cpu, image, size) {
      if (cpu.id >= size.cpus) return null;
      const lock = (mmuLock ?? makeQueuedReadWriteLock)();
      const vm = openSmallVm(smallVm(image), all, lock);
      if (cpu.id === 0) {
        tellTables(cpu, smallVm(image));
        tellMapped(cpu, smallVm(image), scene);
      }
      return scene.program(cpu, vm, smallVm(image), size);
    },
    finish: (memory, image, _size, report) => checkTables(memory, smallVm(image), scene, report),
  };
}

function goalsFor({ branches = [], walksUnlinked }: Scene): ReturnType<typeof goalsOf> {
  const { goals, branches: byNumber } = goalsOf(branches);
  if (walksUnlinked !== true) return { goals, branches: byNumber };
  const walked = { name: WALKED_UNLINKED, leastCpus: 2, leastOperations: 1 };
  return { goals: [...goals, walked], branches: byNumber };
}

function shapeFor(scene: Scene, cpus: number): ReturnType<typeof shapeOf> {
  const { machine, backedBytes } = shapeOf(cpus, ROOM_BYTES);
  const features = { ...machine.features, ...scene.features };
  const resized = (other: number): ReturnType<typeof shapeOf> => shapeFor(scene, other);
  return { machine: { ...machine, features }, backedBytes, resized };
}

/** The tables that boot has made, for oracles of descriptors. */
export function tellTables(cpu: Cpu, { bootTables, caches, cached, index, root }: SmallVm): void {
  const used = bootTables.pages - caches.length * cached;
  for (let page = 0; page < used; page++) {
    cpu.event(EventKind.TablePageAllocated, bootTables.hi & 0xffff, bootTables.lo + page * PAGE);
  }
  tellRoot(cpu, index, root, 1);
}

/** What boot has mapped, for the oracle of histories. */
function tellMapped(cpu: Cpu, { blocks, index }: SmallVm, { mapped, permissions }: Scene): void {
  if (!mapped) return;
  const change = { space: index, kind: ChangeKind.Map, ipa: GUEST_IPA, bytes: 2 * PAGE };
  const output = blocks[0]!;
  tellChange(cpu, { ...change, output, permissions: permissions ?? MAPPED_PERMISSIONS });
  tellOutcome(cpu, Outcome.AtBoot);
}

/** Every page that was mapped is, and each table counts the entries that it has. */
function checkTables(memory: Memory, image: SmallVm, scene: Scene, report: Reporter): void {
  for (let page = 0; page < 2; page++) {
    let { hi, lo } = image.root;
    for (let level = 1, found = 0; found === 0; level++) {
      const index = Math.floor((GUEST_IPA + page * PAGE) / 2 ** (12 + 9 * (3 - level))) % 512;
      const at = { hi, lo: lo + index * 8 };
      const entry = { hi: memory.word({ hi, lo: at.lo + 4 }), lo: memory.word(at) };
      if (isLockedInvalid(entry.lo)) {
        const text = 'an entry stays locked: every fault on it is retried for ever';
        report.fail({ oracle: LIVELOCK, cpus: [], text, ...at });
      }
      if (!isValid(entry.lo)) {
        if (!scene.mappedAtEnd.includes(page)) break;
        const text = `a page that was mapped is not at the end (level ${level})`;
        report.fail({ oracle: LOST_UPDATE, cpus: [], text, ...at });
      }
      if (level === 3 || (entry.lo & 2) === 0) found = 1;
      else {
        checkCount(memory, image, { hi: entry.hi & 0xffff, lo: entry.lo & ~0xfff }, report);
        hi = entry.hi & 0xffff;
        lo = entry.lo & ~0xfff;
      }
    }
  }
}

function checkCount(memory: Memory, image: SmallVm, table: Address, report: Reporter): void {
  const { bootTables } = image;
  let entries = 1;
  for (let offset = 0; offset < PAGE; offset += 8) {
    const lo = table.lo + offset;
    const words = memory.word({ hi: table.hi, lo }) | memory.word({ hi: table.hi, lo: lo + 4 });
    if (words !== 0) entries++;
  }
  const index = (table.lo - bootTables.lo) >>> 12;
  const at = bootTables.structLo + index * STRUCT_PAGE_BYTES + PageField.RefCount;
  const count = memory.word({ hi: table.hi, lo: at });
  if (count === entries) return;
  const text = `a table of ${entries - 1} entries counts ${count - 1}`;
  report.fail({ oracle: LOST_UPDATE, cpus: [], text, hi: table.hi, lo: at });
}
