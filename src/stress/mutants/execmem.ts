/**
 * Mutants of executable memory and what it stands on: addresses of vmalloc, linear aliases, areas,
 * filler, freed programs. And the posted execmem_alloc with one of its mistakes at a time.
 */

import type { Program } from '../../cpu/cpu.ts';
import { PAGE_END } from '../../kernel/base/kernel-layout.ts';
import { makeAllocator } from '../../kernel/execmem/allocators.ts';
import type { ExecutableMemory } from '../../kernel/execmem/executable-memory.ts';
import type { ExecmemParts } from '../../kernel/execmem/parts.ts';
import { makePosted } from '../../kernel/execmem/posted.ts';
import { fixedSteps, type PostedSteps, postedSteps } from '../../kernel/execmem/posted-steps.ts';
import type { Mutant } from '../mutant.ts';
import { AREA_TILING } from '../oracles/area-tiling.ts';
import { ASSERTION } from '../oracles/assertion.ts';
import { BREAK_BEFORE_MAKE } from '../oracles/break-before-make.ts';
import { EXCLUSION } from '../oracles/exclusion.ts';
import { FILLER } from '../oracles/filler.ts';
import { FREED_TEXT } from '../oracles/freed-text.ts';
import { STALE_TLB } from '../oracles/stale-tlb.ts';
import { TORN_READ } from '../oracles/torn-read.ts';
import { USE_AFTER_FREE } from '../oracles/use-after-free.ts';
import { WRITE_XOR_EXECUTE } from '../oracles/write-xor-execute.ts';
import { bpfFreeTarget } from '../targets/bpf-free-target.ts';
import { execmemTarget } from '../targets/execmem-target.ts';
import { setMemoryTarget } from '../targets/set-memory-target.ts';
import { vmallocTarget } from '../targets/vmalloc-target.ts';

/** The posted code with one step as posted and the others as meant. */
function posted(
  facts: Pick<Mutant, 'id' | 'name' | 'change' | 'oracles'>,
  steps: Partial<PostedSteps>,
  memory: 'plenty' | 'short' = 'plenty',
): Mutant {
  return {
    ...facts,
    model: 'sc',
    make: () =>
      execmemTarget({
        name: `${facts.id} ${facts.name}`,
        allocator: 'execmem-posted',
        memory,
        make: (parts) => makePosted(parts, { ...fixedSteps, ...steps }),
      }),
  };
}

/** free() pokes nothing. */
function withoutFiller(parts: ExecmemParts): ExecutableMemory {
  let frees = false;
  const poke: ExecmemParts['poke'] = {
    *write(...given) {
      if (!frees) yield* parts.poke.write(...given);
    },
  };
  const memory = makeAllocator({ ...parts, poke });
  return {
    ...memory,
    *free(...given) {
      frees = true;
      yield* memory.free(...given);
      frees = false;
    },
  };
}

function* nothing(): Program {}

export const EXECMEM_MUTANTS: readonly Mutant[] = [
  {
    id: 'T10',
    name: 'vmalloc-reuse-before-purge',
    change: 'a purge gives addresses back without flushing what TLBs still have of them',
    model: 'sc',
    depth: 1,
    oracles: [BREAK_BEFORE_MAKE, STALE_TLB, TORN_READ],
    make: () => vmallocTarget(() => nothing, 'T10 vmalloc-reuse-before-purge'),
  },
  {
    id: 'T11',
    name: 'set-memory-alias-not-flushed',
    change: 'the linear alias of a page is made read-only without flushing it',
    model: 'sc',
    depth: 1,
    oracles: [WRITE_XOR_EXECUTE],
    make: () =>
      setMemoryTarget(
        (flush) =>
          function* (cpu, hi, lo, pages) {
            if (hi >>> 0 >= PAGE_END.hi >>> 0) yield* flush(cpu, hi, lo, pages);
          },
        'T11 set-memory-alias-not-flushed',
      ),
  },
  {
    id: 'T12',
    name: 'bpf-free-no-rcu',
    change: 'a program that was replaced is freed without a grace period',
    model: 'sc',
    depth: 2,
    oracles: [FREED_TEXT],
    make: () => bpfFreeTarget(nothing, 'T12 bpf-free-no-rcu'),
  },
  {
    id: 'T13',
    name: 'execmem-no-filler',
    change: 'what is freed keeps the program that was there',
    model: 'sc',
    oracles: [FILLER],
    make: () =>
      execmemTarget({
        name: 'T13 execmem-no-filler',
        allocator: 'typed',
        memory: 'plenty',
        make: withoutFiller,
      }),
  },
  {
    id: 'T14',
    name: 'execmem-merge-past-busy',
    change: 'free areas are merged although a busy one is between them',
    model: 'sc',
    oracles: [AREA_TILING, ASSERTION, FILLER, WRITE_XOR_EXECUTE],
    make: () =>
      execmemTarget({
        name: 'T14 execmem-merge-past-busy',
        allocator: 'typed',
        memory: 'plenty',
        parts: (parts) => ({
          ...parts,
          steps: { ...parts.steps, areas: { endsThere: (gap, bytes) => gap >= bytes } },
        }),
      }),
  },
  posted(
    {
      id: 'T15',
      name: 'posted-unlock-not-held',
      change: 'the error path of execmem_alloc releases free_text_area_lock a second time',
      oracles: [EXCLUSION],
    },
    { leaveFailed: postedSteps.leaveFailed },
    'short',
  ),
  posted(
    {
      id: 'T16',
      name: 'posted-unlink-local',
      change: 'a vm leaves all_text_vm through a local pointer, so it stays there',
      oracles: [USE_AFTER_FREE, ASSERTION, AREA_TILING],
    },
    { unlinkVm: postedSteps.unlinkVm },
  ),
  posted(
    {
      id: 'T17',
      name: 'posted-add-unlocked',
      change: 'a vm joins all_text_vm under no lock, so another one may be lost',
      oracles: [AREA_TILING],
    },
    { addVm: postedSteps.addVm },
  ),
];

export const EXECMEM_CONTROLS: readonly Mutant[] = [
  {
    id: 'C44',
    name: 'alias-until-flush',
    change: 'a linear alias is written through old translations until set_memory has flushed them',
    model: 'sc',
    oracles: [],
    make: () => setMemoryTarget(undefined, 'C44 alias-until-flush'),
  },
  {
    id: 'C45',
    name: 'execmem-posted-fixed',
    change: 'the posted code as it was meant, with frames that run out',
    model: 'sc',
    oracles: [],
    make: () =>
      execmemTarget({
        name: 'C45 execmem-posted-fixed',
        allocator: 'execmem-posted',
        code: 'fixed',
      }),
  },
];
