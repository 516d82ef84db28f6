/**
 * Memory of a lock beside its own bytes: one block per CPU or per NUMA node, each homed where it is
 * used, found through a table that only boot writes. NUMA-aware locks keep a queue per node in
 * them.
 */

import type { Cpu } from '../cpu/cpu.ts';
import { Order } from '../cpu/operations.ts';
import type { BootMemory } from '../memory/boot.ts';
import { type Address, nodeOf, toLinear } from '../memory/physical-address.ts';

const POINTER_BYTES = 8;

/** One block on each of the nodes named; the table's address goes to `offset` in the lock. */
export function bootBlocks(
  boot: BootMemory,
  lock: Address,
  offset: number,
  nodes: Iterable<number>,
  bytes: number,
): Address[] {
  const blocks = Array.from(nodes, (node) => boot.allocate(node, bytes));
  const table = boot.allocate(nodeOf(lock.hi), blocks.length * POINTER_BYTES);
  const { hi, lo } = toLinear(table);
  boot.write64(lock, offset, hi, lo);
  blocks.map(toLinear).forEach((block, index) => {
    boot.write64(table, index * POINTER_BYTES, block.hi, block.lo);
  });
  return blocks;
}

export function bootNodeBlocks(
  boot: BootMemory,
  lock: Address,
  offset: number,
  bytes: number,
): Address[] {
  return bootBlocks(boot, lock, offset, Array(boot.machine.nodeCount).keys(), bytes);
}

/** One attempt; result in cpu.hi, cpu.lo: the table, for loadBlock. */
export function loadTable(cpu: Cpu, hi: number, lo: number, offset: number): boolean {
  return cpu.load64(hi, lo + offset, Order.Relaxed);
}

/** One attempt; result in cpu.hi, cpu.lo: the address of a block. */
export function loadBlock(cpu: Cpu, tableHi: number, tableLo: number, index: number): boolean {
  return cpu.load64(tableHi, tableLo + index * POINTER_BYTES, Order.Relaxed);
}
