/**
 * Shared control words of a run: barrier, abort, and what workers publish at a meeting. Every offset
 * is here and nowhere else.
 */

import type { Machine } from '../../machine/machine.ts';
import type { PhysicalMemoryBuffers } from '../../memory/physical-memory.ts';
import { MESSAGE_DOUBLES, outboxCapacity } from './mailbox.ts';
import { OrderWitness } from './order-witness.ts';
import type { EngineBuffers } from './spec.ts';

/** Int32 indices into EngineBuffers.control; a cache line apart. */
export const Control = { Abort: 0, Arrived: 16, Generation: 32, Words: 48 } as const;

/** Why the abort word is set. */
export const Abort = { None: 0, WorkerFailed: 1, Interrupted: 2 } as const;

/** Doubles per worker in EngineBuffers.minima. */
export const Published = {
  /** Earliest pending time, last progress, unfinished CPUs: by meeting parity. */
  Parity: 4,
  Earliest: 0,
  Progress: 1,
  Unfinished: 2,
  /** For the progress display: operations marked, emulated time. */
  Marks: 8,
  Time: 9,
  Doubles: 16,
} as const;

export function createEngineBuffers(
  machine: Machine,
  memory: PhysicalMemoryBuffers,
  workerCount: number,
  witness: boolean,
): EngineBuffers {
  const outboxBytes = 2 * (1 + outboxCapacity(machine.cpuCount) * MESSAGE_DOUBLES) * 8;
  return {
    control: new SharedArrayBuffer(Control.Words * 4),
    minima: new SharedArrayBuffer(workerCount * Published.Doubles * 8),
    outboxes: Array.from(
      { length: workerCount },
      () => new SharedArrayBuffer(workerCount === 1 ? 16 : outboxBytes),
    ),
    witness: witness
      ? memory.zones.map((zone) => new SharedArrayBuffer(OrderWitness.bytes(zone.byteLength)))
      : [],
  };
}
