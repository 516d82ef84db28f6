/**
 * Mutants of kernel text: copies and their patching, roots of nodes, the window that text is poked
 * through, linear aliases. And controls of theirs.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Fence, Order, Scope, Tlbi } from '../../cpu/operations.ts';
import { flushLocally } from '../../kernel/kernel-table/flush.ts';
import { storeRootEntry } from '../../kernel/kernel-table/kernel-table.ts';
import { POKE_WINDOW } from '../../kernel/patching/fixmap-poke.ts';
import type { TextCopy } from '../../kernel/text/image.ts';
import {
  type TextPatchParts,
  type TextPatchSteps,
  textPatchSteps,
} from '../../kernel/text/patch.ts';
import { makeSetRootEntry } from '../../kernel/text/propagate.ts';
import { type Address, addBytes, toLinear } from '../../memory/physical-address.ts';
import type { Mutant } from '../mutant.ts';
import { BREAK_BEFORE_MAKE } from '../oracles/break-before-make.ts';
import { DEADLOCK } from '../oracles/deadlock.ts';
import { REPLICA_EQUALITY } from '../oracles/replica-equality.ts';
import { ROOT_TABLES } from '../oracles/root-tables.ts';
import { STALE_TEXT } from '../oracles/stale-text.ts';
import { WRITE_XOR_EXECUTE } from '../oracles/write-xor-execute.ts';
import { ktextPatchTarget } from '../targets/ktext-patch-target.ts';
import { ktextRootsTarget, type MakeSetRootEntry } from '../targets/ktext-roots-target.ts';
import { textPokeTarget } from '../targets/text-poke-target.ts';

type Facts = Pick<Mutant, 'id' | 'name' | 'change' | 'depth' | 'oracles'>;

function patching(facts: Facts, patch: Partial<TextPatchSteps>): Mutant {
  const make = () =>
    ktextPatchTarget({ patch: { ...textPatchSteps, ...patch } }, `${facts.id} ${facts.name}`);
  return { ...facts, model: 'sc', make };
}

function roots(facts: Facts, setter: MakeSetRootEntry): Mutant {
  return {
    ...facts,
    model: 'sc',
    make: () => ktextRootsTarget(setter, `${facts.id} ${facts.name}`),
  };
}

function aliasOf({ physical }: TextCopy, offset: number): Address {
  return toLinear(addBytes(physical, offset));
}

/** A word of a copy by its alias, then what makes it visible, or what is left of that. */
function patchBy(
  maintain: (cpu: Cpu, hi: number, lo: number) => Program,
): Pick<TextPatchSteps, 'patchCopy' | 'maintainOriginal'> {
  return {
    *patchCopy(cpu, _parts, copy, offset, word) {
      const { hi, lo } = aliasOf(copy, offset);
      while (!cpu.store32(hi, lo, word, Order.Relaxed)) yield;
      yield* maintain(cpu, hi, lo);
    },
    *maintainOriginal(cpu, { image }: TextPatchParts, offset) {
      const { hi, lo } = aliasOf(image.copies[0]!, offset);
      yield* maintain(cpu, hi, lo);
    },
  };
}

function* clean(cpu: Cpu, hi: number, lo: number): Program {
  while (!cpu.cleanLineToPou(hi, lo & ~63)) yield;
  while (!cpu.dsb(Scope.InnerShareable)) yield;
}

function* invalidate(cpu: Cpu, hi: number, lo: number): Program {
  while (!cpu.tlbi(Tlbi.IcIvau, hi, lo & ~63, 0)) yield;
  while (!cpu.dsb(Scope.InnerShareable)) yield;
}

export const TEXT_MUTANTS: readonly Mutant[] = [
  patching(
    {
      id: 'T01',
      name: 'ktext-missed-copy',
      change: 'a patch leaves the copies of other nodes as they are',
      oracles: [REPLICA_EQUALITY],
      depth: 1,
    },
    { *patchCopy() {} },
  ),
  patching(
    {
      id: 'T02',
      name: 'ktext-no-original-alias',
      change: "a patcher of another node does not maintain the original's alias",
      oracles: [STALE_TEXT],
      depth: 1,
    },
    { *maintainOriginal() {} },
  ),
  patching(
    {
      id: 'T03',
      name: 'ktext-no-ic',
      change: 'copies are cleaned to the point of unification, instruction caches left alone',
      oracles: [STALE_TEXT],
      depth: 1,
    },
    patchBy(clean),
  ),
  patching(
    {
      id: 'T04',
      name: 'ktext-clean-after-ic',
      change: 'instruction caches are invalidated before the data is clean',
      oracles: [STALE_TEXT],
      depth: 1,
    },
    patchBy(function* (cpu, hi, lo) {
      yield* invalidate(cpu, hi, lo);
      yield* clean(cpu, hi, lo);
      while (!cpu.fence(Fence.Isb)) yield;
    }),
  ),
  {
    id: 'T05',
    name: 'ktext-no-kick',
    change: 'a patch is relied on without an IPI to every CPU: none synchronises its context',
    model: 'sc',
    depth: 1,
    oracles: [STALE_TEXT],
    make: () => ktextPatchTarget({ *kick() {} }, 'T05 ktext-no-kick'),
  },
  roots(
    {
      id: 'T06',
      name: 'ktext-root-not-propagated',
      change: 'a new top-level entry is written to swapper_pg_dir alone',
      oracles: [ROOT_TABLES],
      depth: 1,
    },
    (image, lock) => makeSetRootEntry(image, lock, { *toCopy() {} }),
  ),
  roots(
    {
      id: 'T07',
      name: 'ktext-swapper-first',
      change: 'a new top-level entry is in swapper_pg_dir before it is in the other roots',
      oracles: [ROOT_TABLES],
      depth: 2,
    },
    ({ copies }) =>
      function* (cpu, index, hi, lo) {
        for (const { root } of copies) yield* storeRootEntry(cpu, root, index, hi, lo);
      },
  ),
  {
    id: 'T08',
    name: 'poke-local-flush',
    change: 'the closed window is flushed on the CPU that poked, as if nobody else had it',
    model: 'sc',
    depth: 2,
    oracles: [WRITE_XOR_EXECUTE, BREAK_BEFORE_MAKE],
    make: () =>
      textPokeTarget({
        name: 'T08 poke-local-flush',
        steps: { flush: (cpu) => flushLocally(cpu, POKE_WINDOW.hi, POKE_WINDOW.lo, 1) },
      }),
  },
  {
    id: 'T09',
    name: 'poke-local-flush-no-dvm',
    change: 'the same without DVM and without break-before-make: the IPIs of the flush left out',
    model: 'sc',
    depth: 2,
    oracles: [WRITE_XOR_EXECUTE],
    make: () =>
      textPokeTarget({
        name: 'T09 poke-local-flush-no-dvm',
        architecture: 'x86',
        steps: { flush: (cpu) => flushLocally(cpu, POKE_WINDOW.hi, POKE_WINDOW.lo, 1) },
      }),
  },
  {
    id: 'P22',
    name: 'ipi-broadcast-irqs-off',
    change: 'a poke waits for IPIs under patch_lock with interrupts off, on a machine without DVM',
    model: 'sc',
    depth: 2,
    oracles: [DEADLOCK],
    make: () => textPokeTarget({ name: 'P22 ipi-broadcast-irqs-off', architecture: 'x86' }),
  },
];

export const TEXT_CONTROLS: readonly Mutant[] = [
  {
    id: 'C41',
    name: 'ktext-old-until-kick',
    change: 'instructions are executed while they are patched: old or new, until the kick returns',
    model: 'sc',
    oracles: [],
    make: () => ktextPatchTarget({}, 'C41 ktext-old-until-kick'),
  },
  {
    id: 'C42',
    name: 'ktext-roots-backwards',
    change: 'roots of other nodes get a new entry in the opposite order, swapper_pg_dir last',
    model: 'sc',
    oracles: [],
    make: () =>
      ktextRootsTarget(
        ({ copies }) =>
          function* (cpu, index, hi, lo) {
            for (const { root } of copies.toReversed()) {
              yield* storeRootEntry(cpu, root, index, hi, lo);
            }
          },
        'C42 ktext-roots-backwards',
      ),
  },
  {
    id: 'C43',
    name: 'poke-window-looked-up',
    change: 'CPUs look the window up while others have it open, and poke after the flush',
    model: 'sc',
    oracles: [],
    make: () => textPokeTarget({ name: 'C43 poke-window-looked-up' }),
  },
];
