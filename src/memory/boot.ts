/**
 * Building the emulated memory before time 0 (ER-D20): one thread, direct writes, all lines
 * uncached. A workload's boot function gets this object, allocates its objects, writes their first
 * contents, names the words that people will want to see by name, and returns plain data (addresses
 * and numbers) from which every CPU's program starts.
 *
 * The boot allocator takes backed memory from the start of each node and unbacked memory from the
 * end of the backed zone upwards; what it leaves is for the emulated page allocator.
 */

import { assert } from '../base/assert.ts';
import { UserError } from '../base/errors.ts';
import { formatBytes } from '../base/units.ts';
import type { Machine } from '../machine/machine.ts';
import { type Address, paHiOf, paLoOf } from './physical-address.ts';
import type { PhysicalMemory } from './physical-memory.ts';

/** A named stretch of backed memory, for hot lines and failure reports. */
export interface NamedMemory {
  readonly name: string;
  readonly address: Address;
  readonly bytes: number;
  /** Instructions: engines that choose what a CPU executes keep old contents of it. */
  readonly text?: boolean;
}

export class BootMemory {
  readonly machine: Machine;
  readonly memory: PhysicalMemory;
  readonly symbols: NamedMemory[] = [];
  readonly #backedNext: Float64Array;
  readonly #unbackedNext: Float64Array;
  /** One past the last byte that may be allocated, by node. */
  readonly #backedEnd: Float64Array;
  readonly #unbackedEnd: Float64Array;

  constructor(machine: Machine, memory: PhysicalMemory) {
    this.machine = machine;
    this.memory = memory;
    this.#backedNext = new Float64Array(machine.nodeCount);
    this.#unbackedNext = new Float64Array(machine.nodeCount).fill(memory.backedBytes);
    this.#backedEnd = new Float64Array(machine.nodeCount).fill(memory.backedBytes);
    this.#unbackedEnd = Float64Array.from(machine.memoryBytesOfNode);
  }

  /** The node itself, or the nearest one that has memory (by hop, then by number). */
  nearestNodeWithMemory(node: number): number {
    const { machine } = this;
    let best = -1;
    for (let other = 0; other < machine.nodeCount; other++) {
      if (machine.memoryBytesOfNode[other] === 0) continue;
      const hop = machine.hopPs[node * machine.nodeCount + other]!;
      if (best < 0 || hop < machine.hopPs[node * machine.nodeCount + best]!) best = other;
    }
    assert(best >= 0, 'no node has memory');
    return best;
  }

  /** Backed memory with contents, zeroed. Physical address, aligned (64 bytes unless told). */
  allocate(node: number, bytes: number, alignment = 64): Address {
    const home = this.nearestNodeWithMemory(node);
    const start = alignUp(this.#backedNext[home]!, alignment);
    if (start + bytes > this.#backedEnd[home]!) {
      throw new UserError(
        `node ${home} is out of emulated memory with contents: ` +
          `${formatBytes(this.memory.backedBytes)} are set aside per node; ` +
          'lower the number of CPUs or the memory of the workload',
      );
    }
    this.#backedNext[home] = start + bytes;
    return { hi: paHiOf(home, start), lo: paLoOf(start) };
  }

  /** As allocate, and gives the memory a name that reports use ("kvm->mmu_lock"). */
  allocateNamed(name: string, node: number, bytes: number, alignment = 64): Address {
    const address = this.allocate(node, bytes, alignment);
    this.name(name, address, bytes);
    return address;
  }

  name(name: string, address: Address, bytes: number): void {
    this.symbols.push({ name, address, bytes });
  }

  /** As allocateNamed, for instructions. */
  allocateText(name: string, node: number, bytes: number, alignment = 4096): Address {
    const address = this.allocate(node, bytes, alignment);
    this.symbols.push({ name, address, bytes, text: true });
    return address;
  }

  /** Memory without bytes. */
  allocateUnbacked(node: number, bytes: number, alignment = 4096): Address {
    const home = this.nearestNodeWithMemory(node);
    const start = alignUp(this.#unbackedNext[home]!, alignment);
    const limit = this.#unbackedEnd[home]!;
    if (start + bytes > limit) {
      throw new UserError(
        `node ${home} of ${this.machine.name} has ${formatBytes(limit)} of memory, ` +
          `${formatBytes(start + bytes)} are needed; lower the memory of the workload or spread it`,
      );
    }
    this.#unbackedNext[home] = start + bytes;
    return { hi: paHiOf(home, start), lo: paLoOf(start) };
  }

  /** First byte of the backed zone of a node that nobody has allocated yet. */
  backedFree(node: number): number {
    return this.#backedNext[node]!;
  }

  /** First byte without contents of a node that nobody has allocated yet. */
  unbackedFree(node: number): number {
    return this.#unbackedNext[node]!;
  }

  /** One past the last byte with contents of a node that may be allocated. */
  backedEnd(node: number): number {
    return this.#backedEnd[node]!;
  }

  /** One past the last byte without contents of a node that may be allocated. */
  unbackedEnd(node: number): number {
    return this.#unbackedEnd[node]!;
  }

  /** Hands all that is left of a node's memory to the emulated page allocator: later calls fail. */
  takeRest(node: number): void {
    this.#backedNext[node] = this.#backedEnd[node]!;
    this.#unbackedNext[node] = this.#unbackedEnd[node]!;
  }

  /**
   * Runs one of several boots with an equal share, 1 in `sharers`, of what is left of every node,
   * so that each may take "the rest" for a page allocator of its own. Names get the prefix.
   */
  withShare<Result>(sharers: number, prefix: string, boot: (own: BootMemory) => Result): Result {
    assert(sharers >= 1, `${sharers} sharers`);
    const backedEnd = this.#backedEnd.slice();
    const unbackedEnd = this.#unbackedEnd.slice();
    const firstSymbol = this.symbols.length;
    const share = (next: number, end: number): number =>
      sharers === 1 ? end : alignDown(next + Math.max(0, end - next) / sharers, SHARE_ALIGNMENT);
    for (let node = 0; node < this.machine.nodeCount; node++) {
      this.#backedEnd[node] = share(this.#backedNext[node]!, backedEnd[node]!);
      this.#unbackedEnd[node] = share(this.#unbackedNext[node]!, unbackedEnd[node]!);
    }
    const result = boot(this);
    for (let index = firstSymbol; index < this.symbols.length; index++) {
      const symbol = this.symbols[index]!;
      this.symbols[index] = { ...symbol, name: `${prefix}${symbol.name}` };
    }
    this.#backedEnd.set(backedEnd);
    this.#unbackedEnd.set(unbackedEnd);
    return result;
  }

  write32(address: Address, offset: number, value: number): void {
    const lo = address.lo + offset;
    assert(this.memory.isBacked(address.hi, lo), 'boot write to memory without bytes');
    this.memory.poke32(address.hi, lo, value);
  }

  write64(address: Address, offset: number, hi: number, lo: number): void {
    this.write32(address, offset, lo);
    this.write32(address, offset + 4, hi);
  }

  read32(address: Address, offset: number): number {
    return this.memory.peek32(address.hi, address.lo + offset);
  }
}

const SHARE_ALIGNMENT = 65536;

function alignDown(value: number, alignment: number): number {
  return Math.floor(value / alignment) * alignment;
}

function alignUp(value: number, alignment: number): number {
  return Math.ceil(value / alignment) * alignment;
}
