/**
 * Free space that is cut from the lowest area that fits and merged with its neighbours when it
 * comes back: adjust_va_to_fit_type and merge_or_add_vmap_area_augment (mm/vmalloc.c, v6.1) as the
 * posted execmem_alloc uses them on free_text_area_root; the ROX cache and the typed scheme do the
 * same to trees of their own. Callers hold the lock that protects the tree.
 *
 * Invariant: no two areas touch; none is empty.
 */

import { assert } from '../../base/assert.ts';
import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Order } from '../../cpu/operations.ts';
import { type Address, addBytes } from '../../memory/physical-address.ts';
import { AreaField, AreaTree } from '../base/area-tree.ts';
import { ENOENT } from '../base/errno.ts';
import type { AreaPool } from './area-pool.ts';

const TWO_32 = 0x1_0000_0000;

/** An area as it was read from its node. */
export interface Area {
  readonly node: Address;
  readonly start: Address;
  readonly bytes: number;
}

/** The steps that mutants replace. */
export interface FreeAreaSteps {
  /** Does an area of `bytes` end where free space begins that is `gap` bytes behind its start? */
  endsThere(gap: number, bytes: number): boolean;
}

export const freeAreaSteps: FreeAreaSteps = { endsThere: (gap, bytes) => gap === bytes };

export class FreeAreas {
  readonly tree: AreaTree;
  readonly #pool: AreaPool;
  readonly #unitBytes: number;
  readonly #steps: FreeAreaSteps;

  constructor(
    root: Address,
    pool: AreaPool,
    unitShift: number,
    steps: FreeAreaSteps = freeAreaSteps,
  ) {
    this.#steps = steps;
    this.tree = new AreaTree(root, unitShift);
    this.#pool = pool;
    this.#unitBytes = 2 ** unitShift;
  }

  /** ret = 0 and (hi, lo) = the start of what was cut; -ENOENT: nothing fits; -ENOMEM: no node. */
  *cutLowest(cpu: Cpu, bytes: number, alignShift: number): Program {
    yield* this.tree.lowestFit(cpu, bytes / this.#unitBytes, alignShift);
    if (cpu.ret < 0) {
      cpu.ret = -ENOENT;
      return;
    }
    const area = yield* this.read(cpu, { hi: cpu.hi, lo: cpu.lo });
    const alignment = 2 ** alignShift;
    const rest = (area.start.lo >>> 0) % alignment;
    const start = rest === 0 ? area.start : addBytes(area.start, alignment - rest);
    yield* this.#cut(cpu, area, start, bytes);
  }

  /** The same of a given place; it is free as a whole. */
  *cutAt(cpu: Cpu, start: Address, bytes: number): Program {
    yield* this.tree.atOrBelow(cpu, start.hi, start.lo);
    assert(cpu.ret === 0, 'what is cut is not free');
    const area = yield* this.read(cpu, { hi: cpu.hi, lo: cpu.lo });
    const before = distance(area.start, start);
    assert(before + bytes <= area.bytes, 'what is cut is not free as a whole');
    yield* this.#cut(cpu, area, start, bytes);
  }

  *#cut(cpu: Cpu, area: Area, start: Address, bytes: number): Program {
    const before = distance(area.start, start);
    const after = area.bytes - before - bytes;
    const end = addBytes(start, bytes);
    const { node } = area;
    if (before > 0 && after > 0) {
      yield* this.#pool.take(cpu);
      if (cpu.ret < 0) return;
      const rest = { hi: cpu.hi, lo: cpu.lo };
      yield* this.#resize(cpu, node, area.start, before);
      yield* this.insert(cpu, rest, end, after);
    } else if (before > 0) {
      yield* this.#resize(cpu, node, area.start, before);
    } else if (after > 0) {
      yield* this.#resize(cpu, node, end, after);
    } else {
      yield* this.tree.remove(cpu, node.hi, node.lo);
      yield* this.#pool.give(cpu, node);
    }
    cpu.hi = start.hi;
    cpu.lo = start.lo;
    cpu.ret = 0;
  }

  /**
   * Space comes back. `spare` becomes its node, or goes to the pool if a neighbour takes the space
   * in; so this cannot fail. (hi, lo) = the node of the area that has it now.
   */
  *add(cpu: Cpu, spare: Address, start: Address, bytes: number): Program {
    const next = yield* this.#touchingAt(cpu, addBytes(start, bytes), false);
    const previous = yield* this.#touchingAt(cpu, start, true);
    const total = bytes + (next?.bytes ?? 0) + (previous?.bytes ?? 0);
    if (next !== null && previous !== null) {
      yield* this.tree.remove(cpu, next.node.hi, next.node.lo);
      yield* this.#pool.give(cpu, next.node);
    }
    const kept = previous ?? next;
    if (kept === null) {
      yield* this.insert(cpu, spare, start, bytes);
    } else {
      yield* this.#resize(cpu, kept.node, previous?.start ?? start, total);
      yield* this.#pool.give(cpu, spare);
    }
    const { hi, lo } = kept?.node ?? spare;
    cpu.hi = hi;
    cpu.lo = lo;
    cpu.ret = 0;
  }

  /** The area that ends at an address (`before`), or that starts there. */
  *#touchingAt(
    cpu: Cpu,
    at: Address,
    before: boolean,
  ): Generator<Program | undefined, Area | null, undefined> {
    yield* this.tree.atOrBelow(cpu, at.hi, at.lo);
    if (cpu.ret < 0) return null;
    const area = yield* this.read(cpu, { hi: cpu.hi, lo: cpu.lo });
    const gap = distance(area.start, at);
    assert(!before || gap >= area.bytes, 'space comes back that is free already');
    const touches = before ? this.#steps.endsThere(gap, area.bytes) : gap === 0;
    return touches ? area : null;
  }

  *read(cpu: Cpu, node: Address): Generator<Program | undefined, Area, undefined> {
    while (!cpu.load32(node.hi, node.lo + AreaField.Units, Order.Relaxed)) yield;
    const bytes = (cpu.lo >>> 0) * this.#unitBytes;
    while (!cpu.load64(node.hi, node.lo + AreaField.Start, Order.Relaxed)) yield;
    return { node, start: { hi: cpu.hi, lo: cpu.lo }, bytes };
  }

  /** Writes a node and puts it in the tree, without a look at its neighbours. */
  *insert(cpu: Cpu, node: Address, start: Address, bytes: number): Program {
    yield* this.#write(cpu, node, start, bytes);
    yield* this.tree.insert(cpu, node.hi, node.lo);
  }

  *#resize(cpu: Cpu, node: Address, start: Address, bytes: number): Program {
    yield* this.#write(cpu, node, start, bytes);
    yield* this.tree.resized(cpu, node.hi, node.lo);
  }

  *#write(cpu: Cpu, { hi, lo }: Address, start: Address, bytes: number): Program {
    const units = bytes / this.#unitBytes;
    assert(Number.isInteger(units) && units > 0, `an area of ${bytes} bytes`);
    while (!cpu.store64(hi, lo + AreaField.Start, start.hi, start.lo, Order.Relaxed)) yield;
    while (!cpu.store32(hi, lo + AreaField.Units, units, Order.Relaxed)) yield;
  }
}

/** Bytes from one kernel address to another. */
export function distance(from: Address, to: Address): number {
  return (to.hi - from.hi) * TWO_32 + ((to.lo >>> 0) - (from.lo >>> 0));
}
