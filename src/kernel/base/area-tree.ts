/**
 * An ordered tree of address areas in emulated memory, augmented with the largest area below each
 * node, so that the lowest area that fits is found in one descent: what mm/vmalloc.c does with
 * free_vmap_area_root (find_vmap_lowest_match) and the posted execmem_alloc with free_text_area.
 *
 * Linux balances by colours, this tree by priorities (a treap: R. Seidel, C. Aragon, 1996); a
 * node's priority is a hash of its address. Paths have the same length within a small factor, which
 * is what counts here: every node on the way is a line of emulated memory. Callers hold a lock.
 *
 * Invariants: in-order starts ascend; a parent's priority is not below its children's; Largest is
 * the maximum of Units in the subtree.
 */

import { hash32 } from '../../base/random.ts';
import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Order } from '../../cpu/operations.ts';
import type { Address } from '../../memory/physical-address.ts';

/**
 * A node is a line; the rest of it belongs to its owner. Links are linear-map addresses, 0 = none.
 */
export const AreaField = {
  Left: 0,
  Right: 8,
  Parent: 16,
  /** First address of the area. */
  Start: 24,
  /** Size, in units of the tree. */
  Units: 32,
  Largest: 36,
  Owner: 40,
} as const;
export const AREA_BYTES = 64;

const TWO_32 = 0x1_0000_0000;

interface Node {
  readonly hi: number;
  readonly lo: number;
}

const NONE: Node = { hi: 0, lo: 0 };

function isNone({ hi, lo }: Node): boolean {
  return (hi | lo) === 0;
}

function same(a: Node, b: Node): boolean {
  return a.hi === b.hi && a.lo === b.lo;
}

function priorityOf({ hi, lo }: Node): number {
  return hash32(lo, hi, 0, 0) >>> 0;
}

/** As a number: kernel addresses differ in their last 48 bits only. */
function addressValue(hi: number, lo: number): number {
  return (hi & 0xffff) * TWO_32 + (lo >>> 0);
}

export class AreaTree {
  readonly #root: Address;
  readonly #unitShift: number;

  /** `root`: linear-map address of 8 zeroed bytes; a unit is 2^unitShift bytes. */
  constructor(root: Address, unitShift: number) {
    this.#root = root;
    this.#unitShift = unitShift;
  }

  /** Adds a node whose Start and Units are written; what it covers must not be in the tree. */
  *insert(cpu: Cpu, hi: number, lo: number): Program {
    const node = { hi, lo };
    while (!cpu.load64(hi, lo + AreaField.Start, Order.Relaxed)) yield;
    const start = addressValue(cpu.hi, cpu.lo);
    while (!cpu.load32(hi, lo + AreaField.Units, Order.Relaxed)) yield;
    const units = cpu.lo;
    while (!cpu.store64(hi, lo + AreaField.Left, 0, 0, Order.Relaxed)) yield;
    while (!cpu.store64(hi, lo + AreaField.Right, 0, 0, Order.Relaxed)) yield;
    while (!cpu.store32(hi, lo + AreaField.Largest, units, Order.Relaxed)) yield;
    let parent = NONE;
    let side: number = AreaField.Left;
    let at = yield* this.#top(cpu);
    while (!isNone(at)) {
      parent = at;
      while (!cpu.load32(at.hi, at.lo + AreaField.Largest, Order.Relaxed)) yield;
      if (cpu.lo >>> 0 < units >>> 0) {
        while (!cpu.store32(at.hi, at.lo + AreaField.Largest, units, Order.Relaxed)) yield;
      }
      while (!cpu.load64(at.hi, at.lo + AreaField.Start, Order.Relaxed)) yield;
      side = start < addressValue(cpu.hi, cpu.lo) ? AreaField.Left : AreaField.Right;
      at = yield* link(cpu, at, side);
    }
    yield* setLink(cpu, node, AreaField.Parent, parent);
    if (isNone(parent)) yield* this.#setTop(cpu, node);
    else yield* setLink(cpu, parent, side, node);
    while (!isNone(parent) && priorityOf(parent) < priorityOf(node)) {
      yield* this.#rotateUp(cpu, node, parent);
      parent = yield* link(cpu, node, AreaField.Parent);
    }
  }

  *remove(cpu: Cpu, hi: number, lo: number): Program {
    const node = { hi, lo };
    for (;;) {
      const left = yield* link(cpu, node, AreaField.Left);
      const right = yield* link(cpu, node, AreaField.Right);
      if (isNone(left) || isNone(right)) {
        const child = isNone(left) ? right : left;
        const parent = yield* link(cpu, node, AreaField.Parent);
        yield* this.#replace(cpu, node, child, parent);
        yield* this.#refreshUpwards(cpu, parent);
        return;
      }
      yield* this.#rotateUp(cpu, priorityOf(left) > priorityOf(right) ? left : right, node);
    }
  }

  /** Starts or sizes of a node have changed without changing the order of the tree. */
  *resized(cpu: Cpu, hi: number, lo: number): Program {
    yield* this.#refreshUpwards(cpu, { hi, lo });
  }

  /**
   * The lowest area with room for `units` at a multiple of 2^alignShift bytes. ret = 0 and (hi, lo)
   * = its node, or ret = -1. As find_vmap_lowest_match: a subtree whose largest area would be too
   * small for the worst alignment may still fit, so the descent backs up where it does not.
   */
  *lowestFit(cpu: Cpu, units: number, alignShift: number): Program {
    const stack: Node[] = [];
    let at = yield* this.#top(cpu);
    for (;;) {
      while (!isNone(at)) {
        while (!cpu.load32(at.hi, at.lo + AreaField.Largest, Order.Relaxed)) yield;
        if (cpu.lo >>> 0 < units) break;
        stack.push(at);
        at = yield* link(cpu, at, AreaField.Left);
      }
      const node = stack.pop();
      if (node === undefined) break;
      while (!cpu.load32(node.hi, node.lo + AreaField.Units, Order.Relaxed)) yield;
      const size = cpu.lo >>> 0;
      if (size >= units) {
        while (!cpu.load64(node.hi, node.lo + AreaField.Start, Order.Relaxed)) yield;
        const start = addressValue(cpu.hi, cpu.lo);
        const alignment = 2 ** alignShift;
        const aligned = Math.ceil(start / alignment) * alignment;
        if (aligned + units * 2 ** this.#unitShift <= start + size * 2 ** this.#unitShift) {
          cpu.hi = node.hi;
          cpu.lo = node.lo;
          cpu.ret = 0;
          return;
        }
      }
      at = yield* link(cpu, node, AreaField.Right);
    }
    cpu.ret = -1;
  }

  /**
   * The area with the greatest start that is not above the address: ret = 0 and (hi, lo) = its
   * node, or ret = -1.
   */
  *atOrBelow(cpu: Cpu, addressHi: number, addressLo: number): Program {
    const wanted = addressValue(addressHi, addressLo);
    let best = NONE;
    let at = yield* this.#top(cpu);
    while (!isNone(at)) {
      while (!cpu.load64(at.hi, at.lo + AreaField.Start, Order.Relaxed)) yield;
      const start = addressValue(cpu.hi, cpu.lo);
      if (start <= wanted) best = at;
      if (start === wanted) break;
      at = yield* link(cpu, at, start < wanted ? AreaField.Right : AreaField.Left);
    }
    cpu.hi = best.hi;
    cpu.lo = best.lo;
    cpu.ret = isNone(best) ? -1 : 0;
  }

  *#top(cpu: Cpu): Generator<Program | undefined, Node, undefined> {
    while (!cpu.load64(this.#root.hi, this.#root.lo, Order.Relaxed)) yield;
    return { hi: cpu.hi, lo: cpu.lo };
  }

  *#setTop(cpu: Cpu, { hi, lo }: Node): Program {
    while (!cpu.store64(this.#root.hi, this.#root.lo, hi, lo, Order.Relaxed)) yield;
  }

  /** Puts `child` where `node` hangs under `parent`. */
  *#replace(cpu: Cpu, node: Node, child: Node, parent: Node): Program {
    if (isNone(parent)) {
      yield* this.#setTop(cpu, child);
    } else {
      const left = yield* link(cpu, parent, AreaField.Left);
      const side = same(left, node) ? AreaField.Left : AreaField.Right;
      yield* setLink(cpu, parent, side, child);
    }
    if (!isNone(child)) yield* setLink(cpu, child, AreaField.Parent, parent);
  }

  /** `node` takes the place of its parent. */
  *#rotateUp(cpu: Cpu, node: Node, parent: Node): Program {
    const above = yield* link(cpu, parent, AreaField.Parent);
    const left = yield* link(cpu, parent, AreaField.Left);
    const isLeft = same(left, node);
    const inner = isLeft ? AreaField.Right : AreaField.Left;
    const outer = isLeft ? AreaField.Left : AreaField.Right;
    const middle = yield* link(cpu, node, inner);
    yield* setLink(cpu, parent, outer, middle);
    if (!isNone(middle)) yield* setLink(cpu, middle, AreaField.Parent, parent);
    yield* this.#replace(cpu, parent, node, above);
    yield* setLink(cpu, node, inner, parent);
    yield* setLink(cpu, parent, AreaField.Parent, node);
    yield* refresh(cpu, parent);
    yield* refresh(cpu, node);
  }

  *#refreshUpwards(cpu: Cpu, from: Node): Program {
    let at = from;
    while (!isNone(at)) {
      yield* refresh(cpu, at);
      at = yield* link(cpu, at, AreaField.Parent);
    }
  }
}

function* link(
  cpu: Cpu,
  { hi, lo }: Node,
  field: number,
): Generator<Program | undefined, Node, undefined> {
  while (!cpu.load64(hi, (lo + field) | 0, Order.Relaxed)) yield;
  return { hi: cpu.hi, lo: cpu.lo };
}

function* setLink(cpu: Cpu, { hi, lo }: Node, field: number, to: Node): Program {
  while (!cpu.store64(hi, (lo + field) | 0, to.hi, to.lo, Order.Relaxed)) yield;
}

/** Largest of a node from its own size and its children's. */
function* refresh(cpu: Cpu, node: Node): Program {
  const { hi, lo } = node;
  while (!cpu.load32(hi, lo + AreaField.Units, Order.Relaxed)) yield;
  let largest = cpu.lo >>> 0;
  for (const side of [AreaField.Left, AreaField.Right]) {
    const child = yield* link(cpu, node, side);
    if (isNone(child)) continue;
    while (!cpu.load32(child.hi, child.lo + AreaField.Largest, Order.Relaxed)) yield;
    largest = Math.max(largest, cpu.lo >>> 0);
  }
  while (!cpu.store32(hi, lo + AreaField.Largest, largest, Order.Relaxed)) yield;
}
