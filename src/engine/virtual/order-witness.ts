/**
 * Debug check (ER-T12b): every backed line keeps the emulated time of its last read and last write
 * in the order in which the host performed them. A read earlier than the last write, or a write
 * earlier than the last access, means that the host ran accesses to one line out of emulated
 * order.
 */

import { BugError } from '../../base/errors.ts';
import { lineOf, nodeOf } from '../../memory/physical-address.ts';

export class OrderWitness {
  readonly #times: readonly Float64Array<SharedArrayBuffer>[];

  constructor(buffers: readonly SharedArrayBuffer[]) {
    this.#times = buffers.map((buffer) => new Float64Array(buffer));
  }

  /** Bytes of the witness of a backed zone. */
  static bytes(backedBytes: number): number {
    return (backedBytes / 64) * 2 * 8;
  }

  access(cpu: number, paHi: number, paLo: number, write: boolean, timePs: number): void {
    const times = this.#times[nodeOf(paHi)];
    const at = 2 * (lineOf(paHi, paLo) >>> 0);
    if (times === undefined || at >= times.length || (paHi & 63) !== 0) return;
    const lastRead = times[at]!;
    const lastWrite = times[at + 1]!;
    if (timePs < lastWrite || (write && timePs < lastRead)) {
      throw new BugError(
        `order witness: CPU ${cpu} ${write ? 'writes' : 'reads'} line ` +
          `${(at / 2).toString(16)} of node ${nodeOf(paHi)} at ${timePs} ps, ` +
          `after a read at ${lastRead} and a write at ${lastWrite}`,
      );
    }
    if (write) times[at + 1] = timePs;
    else if (timePs > lastRead) times[at] = timePs;
  }
}
