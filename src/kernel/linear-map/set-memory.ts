/**
 * set_memory_{ro,rw,x,nx} and the resets of VM_FLUSH_RESET_PERMS, on areas of vmalloc and their
 * linear aliases.
 *
 * arm64 (mm/pageattr.c, v6.13: change_memory_common): with rodata=full a change to or from
 * read-only goes to the linear alias first, page by page, each with a flush of its own, as the
 * pages of an area are not contiguous; then vm_unmap_aliases, then the range itself and its flush.
 * x86 (arch/x86/mm/pat/set_memory.c: change_page_attr_set_clr, cpa_process_alias, cpa_flush): range
 * and alias, splitting what is larger than the change, then one flush; the alias follows changes of
 * writability only.
 */

import { assert } from '../../base/assert.ts';
import type { Cpu, Program } from '../../cpu/cpu.ts';
import { EventKind, Fence, Order } from '../../cpu/operations.ts';
import { type Address, addBytes, LINEAR_MAP_HI } from '../../memory/physical-address.ts';
import { outputHi, outputLo, PTE_DBM_HI, PTE_VALID } from '../../translation/descriptors.ts';
import { S1_PXN_HI, S1_READ_ONLY } from '../../translation/stage1-descriptors.ts';
import { PAGE_BYTES } from '../base/struct-page.ts';
import type { FlushKernelRange } from '../kernel-table/flush.ts';
import { KernelWalk, PTE_LEVEL } from '../kernel-table/kernel-table.ts';
import { LEAF_SHIFT } from './image.ts';
import { type SplitParts, splitBlock } from './split.ts';

/** More than any cut-off: the whole TLB is flushed. */
const FLUSH_ALL_PAGES = 2 ** 20;
/** Set in the high half of every kernel address beyond the linear map (PAGE_END). */
const LINEAR_MAP_END_HI = 0x8000;

/** Bits to set and clear in a leaf. */
export interface Change {
  readonly name: string;
  readonly setHi: number;
  readonly setLo: number;
  readonly clearHi: number;
  readonly clearLo: number;
  /** Does the linear alias follow? */
  readonly aliased: boolean;
  /** What changes in the alias, if not the same. */
  readonly alias?: Change;
}

export const SET_READ_ONLY: Change = {
  name: 'ro',
  setHi: 0,
  setLo: S1_READ_ONLY,
  clearHi: PTE_DBM_HI,
  clearLo: 0,
  aliased: true,
};
export const SET_WRITABLE: Change = {
  name: 'rw',
  setHi: PTE_DBM_HI,
  setLo: 0,
  clearHi: 0,
  clearLo: S1_READ_ONLY,
  aliased: true,
};
export const SET_EXECUTABLE: Change = {
  name: 'x',
  setHi: 0,
  setLo: 0,
  clearHi: S1_PXN_HI,
  clearLo: 0,
  aliased: false,
};
export const SET_NO_EXECUTE: Change = {
  name: 'nx',
  setHi: S1_PXN_HI,
  setLo: 0,
  clearHi: 0,
  clearLo: 0,
  aliased: false,
};
/** set_memory_rox where it is one change (x86): the alias becomes read-only. */
export const SET_ROX: Change = {
  ...SET_READ_ONLY,
  name: 'rox',
  clearHi: SET_READ_ONLY.clearHi | SET_EXECUTABLE.clearHi,
  alias: SET_READ_ONLY,
};
const SET_INVALID: Change = {
  name: 'invalid',
  setHi: 0,
  setLo: 0,
  clearHi: 0,
  clearLo: PTE_VALID,
  aliased: false,
};
/** Valid and writable again. */
const SET_DEFAULT: Change = { ...SET_WRITABLE, name: 'default', setLo: PTE_VALID };

export interface SetMemoryParts extends SplitParts {
  readonly rodata: 'off' | 'noalias' | 'full';
  readonly flushKernelRange: FlushKernelRange;
  /** vm_unmap_aliases: whatever vmalloc has not flushed yet. */
  unmapAliases(cpu: Cpu): Program;
}

export class SetMemory {
  readonly #parts: SetMemoryParts;
  /** Leaves that the change under way makes executable: told when it is complete. */
  #exposed: Address[] = [];

  constructor(parts: SetMemoryParts) {
    this.#parts = parts;
  }

  /** set_memory_*: `pages` from a vmalloc address on. ret = 0 or -ENOMEM. */
  *change(cpu: Cpu, at: Address, pages: number, change: Change): Program {
    this.#exposed = [];
    yield* this.#change(cpu, at, pages, change);
    if (cpu.ret < 0) return;
    for (const { hi, lo } of this.#exposed) cpu.event(EventKind.TextExecutable, hi, lo);
  }

  *#change(cpu: Cpu, at: Address, pages: number, change: Change): Program {
    const { rodata, flushKernelRange, machine } = this.#parts;
    if (machine.architecture === 'x86') {
      yield* this.#changeWithAlias(cpu, at, pages, change);
      return;
    }
    if (change.aliased && rodata === 'full') {
      for (let page = 0; page < pages; page++) {
        const alias = yield* this.#aliasOf(cpu, addBytes(at, page * PAGE_BYTES));
        yield* this.#apply(cpu, alias, 1, change);
        if (cpu.ret < 0) return;
        yield* flushKernelRange(cpu, alias.hi, alias.lo, 1);
      }
    }
    yield* this.#parts.unmapAliases(cpu);
    yield* this.#apply(cpu, at, pages, change);
    if (cpu.ret < 0) return;
    yield* flushKernelRange(cpu, at.hi, at.lo, pages);
    cpu.ret = 0;
  }

  /** x86: range and aliases, then one flush; of all, if aliases changed (force_flush_all). */
  *#changeWithAlias(cpu: Cpu, at: Address, pages: number, change: Change): Program {
    yield* this.#parts.unmapAliases(cpu);
    yield* this.#apply(cpu, at, pages, change);
    for (let page = 0; page < pages && cpu.ret === 0 && change.aliased; ) {
      const covered = yield* this.#leafPages(cpu, addBytes(at, page * PAGE_BYTES), pages - page);
      const alias = yield* this.#aliasOf(cpu, addBytes(at, page * PAGE_BYTES));
      yield* this.#apply(cpu, alias, covered, change.alias ?? change);
      page += covered;
    }
    const { ret } = cpu;
    const flushed = change.aliased ? FLUSH_ALL_PAGES : pages;
    yield* this.#parts.flushKernelRange(cpu, at.hi, at.lo, flushed);
    cpu.ret = ret;
  }

  /**
   * vm_reset_perms: before pages go back to the allocator, their linear aliases are made invalid,
   * everything that vmalloc has freed and these aliases are flushed once, and the aliases become
   * writable again. Frames as physical addresses; 2^order pages each.
   */
  *resetAliases(cpu: Cpu, frames: readonly Address[], order: number): Program {
    const { rodata, machine, flushKernelRange } = this.#parts;
    for (const { hi, lo } of frames) cpu.event(EventKind.TextNotExecutable, hi, lo | order);
    if (machine.architecture === 'arm64' && rodata !== 'full') {
      yield* this.#parts.unmapAliases(cpu);
      return;
    }
    const aliases = frames.map(({ hi, lo }) => ({ hi: hi | LINEAR_MAP_HI, lo }));
    for (const alias of aliases) yield* this.#apply(cpu, alias, 2 ** order, SET_INVALID);
    yield* this.#parts.unmapAliases(cpu);
    const first = aliases[0];
    if (first !== undefined) {
      const one = aliases.length === 1 ? 2 ** order : FLUSH_ALL_PAGES;
      yield* flushKernelRange(cpu, first.hi, first.lo, one);
    }
    for (const alias of aliases) yield* this.#apply(cpu, alias, 2 ** order, SET_DEFAULT);
  }

  /** Pages that one leaf of the range covers: those are changed in the alias together. */
  *#leafPages(
    cpu: Cpu,
    at: Address,
    pagesMax: number,
  ): Generator<Program | undefined, number, undefined> {
    yield* this.#parts.table.walk(cpu, at.hi, at.lo, PTE_LEVEL, false);
    if (cpu.ret !== KernelWalk.Block) return 1;
    const blockPages = 2 ** (LEAF_SHIFT[cpu.lo]! - 12);
    return Math.min(pagesMax, blockPages - (((at.lo >>> 0) / PAGE_BYTES) % blockPages));
  }

  /** The linear-map address of the frame behind a vmalloc address. */
  *#aliasOf(cpu: Cpu, at: Address): Generator<Program | undefined, Address, undefined> {
    yield* this.frameOf(cpu, at.hi, at.lo);
    return { hi: cpu.hi | LINEAR_MAP_HI, lo: cpu.lo };
  }

  /** vmalloc_to_page: (hi, lo) = the physical address behind a kernel address, by the tables. */
  *frameOf(cpu: Cpu, hi: number, lo: number): Program {
    const { table } = this.#parts;
    yield* table.walk(cpu, hi, lo, PTE_LEVEL, false);
    let level = PTE_LEVEL;
    if (cpu.ret === KernelWalk.Block) {
      level = cpu.lo;
      yield* table.walk(cpu, hi, lo, level, false);
    }
    assert(cpu.ret === KernelWalk.Found, 'no mapping at an address whose frame is asked for');
    const entry = { hi: cpu.hi, lo: cpu.lo };
    while (!cpu.load64(entry.hi, entry.lo, Order.Relaxed)) yield;
    const shift = LEAF_SHIFT[level]!;
    const offset = (lo >>> 0) % 2 ** shift;
    const frame = { hi: outputHi(cpu.hi, shift), lo: outputLo(cpu.lo, shift) };
    const physical = addBytes(frame, offset);
    cpu.hi = physical.hi;
    cpu.lo = physical.lo;
  }

  /** Leaves only, no flush. ret = 0 or -ENOMEM: a block could not be split. */
  *#apply(cpu: Cpu, from: Address, pages: number, change: Change): Program {
    const { table } = this.#parts;
    for (let page = 0; page < pages; ) {
      const at = addBytes(from, page * PAGE_BYTES);
      yield* table.walk(cpu, at.hi, at.lo, PTE_LEVEL, false);
      let covered = 1;
      if (cpu.ret !== KernelWalk.Found) {
        const isInvalid = cpu.ret === KernelWalk.NoTable;
        const level = cpu.lo;
        const blockPages = 2 ** (LEAF_SHIFT[level]! - 12);
        const isWhole = (at.lo >>> 0) % 2 ** LEAF_SHIFT[level]! === 0 && pages - page >= blockPages;
        if (!isWhole) {
          assert(!isInvalid, 'set_memory of a part of an invalid block');
          yield* this.#split(cpu, at, level);
          if (cpu.ret < 0) return;
          continue;
        }
        covered = blockPages;
        yield* table.walk(cpu, at.hi, at.lo, level, false);
      }
      assert(cpu.ret === KernelWalk.Found, 'set_memory of what is not mapped');
      yield* changeLeaf(cpu, { hi: cpu.hi, lo: cpu.lo }, change);
      this.#tell(cpu, at, covered, change);
      page += covered;
    }
    while (!cpu.fence(Fence.DsbIshSt)) yield;
    cpu.ret = 0;
  }

  /** For checkers; (hi, lo) = the leaf's frame. Where aliases may stay writable nothing is told. */
  #tell(cpu: Cpu, at: Address, pages: number, change: Change): void {
    const { machine, rodata } = this.#parts;
    if (machine.architecture === 'arm64' && rodata !== 'full') return;
    const { hi } = cpu;
    const lo = cpu.lo | Math.log2(pages);
    if ((at.hi & LINEAR_MAP_END_HI) === 0) {
      const isWritable = (change.clearLo & S1_READ_ONLY) !== 0;
      cpu.event(isWritable ? EventKind.AliasWritable : EventKind.AliasProtected, hi, lo);
    } else if ((change.clearHi & S1_PXN_HI) !== 0) {
      this.#exposed.push({ hi, lo });
    } else if ((change.setHi & S1_PXN_HI) !== 0) {
      cpu.event(EventKind.TextNotExecutable, hi, lo);
    }
  }

  /** What may be split live: x86 always, arm64 with BBML2 without aborts. */
  *#split(cpu: Cpu, at: Address, level: number): Program {
    const { machine } = this.#parts;
    const isLegal = machine.features.bbm === '2-noabort';
    assert(isLegal, `${machine.name} splits a live block of the linear map with cpu.bbm below 2`);
    yield* splitBlock(cpu, this.#parts, at, level);
  }
}

/** (hi, lo) = the leaf's output, a frame. */
function* changeLeaf(cpu: Cpu, entry: Address, change: Change): Program {
  while (!cpu.load64(entry.hi, entry.lo, Order.Relaxed)) yield;
  const hi = (cpu.hi & ~change.clearHi) | change.setHi;
  const lo = (cpu.lo & ~change.clearLo) | change.setLo;
  while (!cpu.store64(entry.hi, entry.lo, hi, lo, Order.Relaxed)) yield;
  cpu.hi = outputHi(hi, 12);
  cpu.lo = outputLo(lo, 12);
}
