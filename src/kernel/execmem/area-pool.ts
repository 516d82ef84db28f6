/**
 * Nodes of the trees of areas that the allocators of executable memory keep: vmap_area_cachep of
 * the posted execmem_alloc, the maple tree's nodes of the ROX cache, the free areas of the typed
 * scheme.
 *
 * Deviation: a list under a lock of its own, made before time 0, instead of a slab; so many areas
 * and no more can exist at once, beyond that an allocation fails.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Order } from '../../cpu/operations.ts';
import type { BootMemory } from '../../memory/boot.ts';
import { type Address, addBytes, toLinear } from '../../memory/physical-address.ts';
import type { Lock } from '../../sync/lock.ts';
import { AREA_BYTES, AreaField } from '../base/area-tree.ts';
import { ENOMEM } from '../base/errno.ts';

/** Link of a node that is in no tree. */
export const NEXT = AreaField.Left;

/** Plain data; linear-map addresses. */
export interface AreaPoolImage {
  readonly lock: Address;
  readonly head: Address;
}

/** Backed bytes of a pool. */
export function areaPoolBytes(areas: number): number {
  return areas * AREA_BYTES + 128;
}

export function bootAreaPool(
  boot: BootMemory,
  node: number,
  areas: number,
  lock: Lock,
): AreaPoolImage {
  const words = boot.allocateNamed('execmem area lock', node, 64);
  lock.init?.(boot, words);
  const head = boot.allocateNamed('execmem areas', node, 64);
  const nodes = boot.allocateNamed('execmem area', node, areas * AREA_BYTES);
  for (let index = 0; index < areas; index++) {
    const next = index === areas - 1 ? null : toLinear(addBytes(nodes, (index + 1) * AREA_BYTES));
    boot.write64(nodes, index * AREA_BYTES + NEXT, next?.hi ?? 0, next?.lo ?? 0);
  }
  const first = toLinear(nodes);
  boot.write64(head, 0, first.hi, first.lo);
  return { lock: toLinear(words), head: toLinear(head) };
}

export class AreaPool {
  readonly #image: AreaPoolImage;
  readonly #lock: Lock;

  constructor(image: AreaPoolImage, lock: Lock) {
    this.#image = image;
    this.#lock = lock;
  }

  /** ret = 0 and (hi, lo) = a node of any contents, or ret = -ENOMEM. */
  *take(cpu: Cpu): Program {
    const { lock, head } = this.#image;
    yield* this.#lock.acquire(cpu, lock.hi, lock.lo);
    while (!cpu.load64(head.hi, head.lo, Order.Relaxed)) yield;
    const { hi, lo } = cpu;
    const found = (hi | lo) !== 0;
    if (found) {
      while (!cpu.load64(hi, lo + NEXT, Order.Relaxed)) yield;
      const next = { hi: cpu.hi, lo: cpu.lo };
      while (!cpu.store64(head.hi, head.lo, next.hi, next.lo, Order.Relaxed)) yield;
    }
    yield* this.#lock.release(cpu, lock.hi, lock.lo);
    cpu.hi = hi;
    cpu.lo = lo;
    cpu.ret = found ? 0 : -ENOMEM;
  }

  *give(cpu: Cpu, node: Address): Program {
    const { lock, head } = this.#image;
    yield* this.#lock.acquire(cpu, lock.hi, lock.lo);
    while (!cpu.load64(head.hi, head.lo, Order.Relaxed)) yield;
    const first = { hi: cpu.hi, lo: cpu.lo };
    while (!cpu.store64(node.hi, node.lo + NEXT, first.hi, first.lo, Order.Relaxed)) yield;
    while (!cpu.store64(head.hi, head.lo, node.hi, node.lo, Order.Relaxed)) yield;
    yield* this.#lock.release(cpu, lock.hi, lock.lo);
  }
}
