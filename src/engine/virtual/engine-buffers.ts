/** Shared buffers of a run, allocated by the main thread. */

import type { Machine } from '../../machine/machine.ts';
import type { PhysicalMemoryBuffers } from '../../memory/physical-memory.ts';
import { CHANNEL_BYTES } from './channel.ts';
import { Control, Published } from './control.ts';
import { DOORBELL_BYTES } from './doorbell.ts';
import { OVERFLOW_BYTES_MAX, outboxBytes } from './mailbox.ts';
import { OrderWitness } from './order-witness.ts';
import { reportsBytes } from './reports.ts';
import type { EngineBuffers } from './spec.ts';

export function createEngineBuffers(
  machine: Machine,
  memory: PhysicalMemoryBuffers,
  workerCount: number,
  witness: boolean,
): EngineBuffers {
  // With more workers than nodes some share a node: they never use channels.
  const mayBeApart = workerCount > 1 && workerCount <= machine.nodeCount;
  return {
    control: new SharedArrayBuffer(Control.Words * 4),
    minima: new SharedArrayBuffer(workerCount * Published.Doubles * 8),
    outboxes: Array.from(
      { length: workerCount },
      () => new SharedArrayBuffer(workerCount === 1 ? 16 : outboxBytes(machine.cpuCount)),
    ),
    overflows: Array.from(
      { length: 2 * workerCount },
      () => new SharedArrayBuffer(0, { maxByteLength: workerCount === 1 ? 0 : OVERFLOW_BYTES_MAX }),
    ),
    reports: new SharedArrayBuffer(mayBeApart ? reportsBytes(workerCount) : 0),
    doorbells: new SharedArrayBuffer(workerCount * DOORBELL_BYTES),
    channels: Array.from(
      { length: mayBeApart ? workerCount * workerCount : 0 },
      () => new SharedArrayBuffer(CHANNEL_BYTES),
    ),
    witness: witness
      ? memory.zones.map((zone) => new SharedArrayBuffer(OrderWitness.bytes(zone.byteLength)))
      : [],
    tableMarks: memory.zones.map((zone) => new SharedArrayBuffer(zone.byteLength / 4096)),
  };
}
