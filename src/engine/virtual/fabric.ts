/**
 * How a CPU reaches the rest of the machine. Implemented by the worker: what belongs to the same
 * worker is called directly, everything else becomes a message that carries its time of arrival.
 * All times are in picoseconds and at least the lookahead in the future for the receiver.
 */

import type { RequestKind } from '../../cache/line-state.ts';
import type { DomainRoads } from './domain-roads.ts';

export interface Fabric {
  /** To the agent of the CPU's last-level domain, where the machine has any. */
  readonly domains: DomainRoads;
  request(
    cpu: number,
    home: number,
    arrivalPs: number,
    paHi: number,
    paLo: number,
    kind: RequestKind,
    hadCopy: boolean,
    bytes: number,
  ): void;
  writeBack(
    cpu: number,
    home: number,
    arrivalPs: number,
    paHi: number,
    paLo: number,
    dirty: boolean,
  ): void;
  /** To the DVM agent of the CPU's own node. */
  dvm(
    cpu: number,
    node: number,
    atPs: number,
    operation: number,
    context: number,
    hi: number,
    lo: number,
    pages: number,
  ): void;
  interrupt(target: number, arrivalPs: number, vector: number): void;
  wake(target: number, arrivalPs: number): void;
  /** A completed operation. */
  progress(timePs: number): void;
}
