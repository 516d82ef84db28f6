/**
 * The bytes of the emulated machine: one backed zone per node, each a SharedArrayBuffer that every
 * worker thread sees. Reads and writes here are free of emulated cost: engines call them for lines
 * that a CPU holds, boot code before time 0.
 */

import { assert } from '../base/assert.ts';
import { isBacked, nodeOf } from './physical-address.ts';

/** What a worker needs to attach to the same memory. */
export interface PhysicalMemoryBuffers {
  readonly backedBytes: number;
  readonly zones: readonly SharedArrayBuffer[];
}

export class PhysicalMemory {
  readonly backedBytes: number;
  /** By node; 32-bit words. Nodes without memory have an empty zone. */
  readonly zones: readonly Int32Array<SharedArrayBuffer>[];

  constructor(buffers: PhysicalMemoryBuffers) {
    this.backedBytes = buffers.backedBytes;
    this.zones = buffers.zones.map((buffer) => new Int32Array(buffer));
  }

  static allocate(memoryBytesOfNode: Float64Array, backedBytes: number): PhysicalMemoryBuffers {
    assert(backedBytes % 4096 === 0 && backedBytes <= 2 ** 32, `backed zone of ${backedBytes}`);
    const zones: SharedArrayBuffer[] = [];
    for (const bytes of memoryBytesOfNode) {
      zones.push(new SharedArrayBuffer(bytes === 0 ? 0 : backedBytes));
    }
    return { backedBytes, zones };
  }

  isBacked(paHi: number, paLo: number): boolean {
    return isBacked(paHi, paLo, this.backedBytes);
  }

  /** The 32-bit word at an aligned physical address; 0 where memory has no bytes. */
  peek32(paHi: number, paLo: number): number {
    if (!this.isBacked(paHi, paLo)) return 0;
    return this.zones[nodeOf(paHi)]![paLo >>> 2]!;
  }

  /** Stores a 32-bit word; dropped where memory has no bytes. */
  poke32(paHi: number, paLo: number, value: number): void {
    if (!this.isBacked(paHi, paLo)) return;
    this.zones[nodeOf(paHi)]![paLo >>> 2] = value;
  }
}
