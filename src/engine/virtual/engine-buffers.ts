/** Shared buffers of a run, allocated by the main thread. */

import type { Machine } from '../../machine/machine.ts';
import type { PhysicalMemoryBuffers } from '../../memory/physical-memory.ts';
import { Control, Published } from './control.ts';
import { MESSAGE_DOUBLES, OVERFLOW_BYTES_MAX, outboxCapacity } from './mailbox.ts';
import { OrderWitness } from './order-witness.ts';
import type { EngineBuffers } from './spec.ts';

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
    overflows: Array.from(
      { length: 2 * workerCount },
      () => new SharedArrayBuffer(0, { maxByteLength: workerCount === 1 ? 0 : OVERFLOW_BYTES_MAX }),
    ),
    witness: witness
      ? memory.zones.map((zone) => new SharedArrayBuffer(OrderWitness.bytes(zone.byteLength)))
      : [],
    tableMarks: memory.zones.map((zone) => new SharedArrayBuffer(zone.byteLength / 4096)),
  };
}
