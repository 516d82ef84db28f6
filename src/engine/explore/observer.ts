/**
 * What oracles may watch, on the host's side: no cost, no scheduling point. A method that is not
 * there is never called; memory can be read through the explorer at any time. To report: the
 * explorer's `fail`.
 *
 * Accesses are told when they take effect: a store under tso when it leaves its buffer.
 */

import type { Regime, Tlbi } from '../../cpu/operations.ts';
import type { ExploreFinding } from './result.ts';

/** A TLBI as issued; context: VMID and ASID that it acts on (translation/context.ts). */
export interface TlbiOperation {
  readonly issuer: number;
  readonly operation: Tlbi;
  readonly regime: Regime;
  readonly context: number;
  readonly hi: number;
  readonly lo: number;
  readonly pages: number;
}

/** A translation that an access uses, or that a walk has found. */
export interface Translated {
  readonly cpu: number;
  readonly regime: Regime;
  readonly context: number;
  readonly vaHi: number;
  readonly vaLo: number;
  readonly paHi: number;
  readonly paLo: number;
  readonly write: boolean;
}

/** A CPU whose program can't go on. */
export interface Wait {
  readonly cpu: number;
  /** In idle(); else for a word. */
  readonly idle: boolean;
  readonly hi: number;
  readonly lo: number;
}

export interface Observer {
  /** A schedule begins: memory is as booted. */
  begin?(): void;
  /** Cpu.event: EventKind and a linear-map address. */
  event?(cpu: number, kind: number, hi: number, lo: number): void;
  /** A load, await or atomic was performed: physical address. */
  read?(cpu: number, hi: number, lo: number, bytes: number): void;
  /**
   * A word of declared text is executed: physical address, number of the content that its line had
   * (explorer.text.newest: the number it has now).
   */
  fetched?(cpu: number, hi: number, lo: number, version: number): void;
  /** Memory has changed; old words where the bytes begin (the second for 8 bytes). */
  wrote?(cpu: number, hi: number, lo: number, bytes: number, oldLo: number, oldHi: number): void;
  /** A hardware walker reads (or updates) a descriptor. */
  walkRead?(cpu: number, hi: number, lo: number, update: boolean): void;
  tlbi?(operation: TlbiOperation): void;
  /** The operation has reached a CPU: its TLB holds nothing of it any more. */
  delivered?(operation: TlbiOperation, receiver: number): void;
  /** A DSB is performed: everything that this CPU issued before is complete. */
  dsb?(cpu: number): void;
  /** An access is performed through a translation (never for the linear map). */
  translated?(translated: Translated): void;
  setRoot?(cpu: number, register: number, hi: number, lo: number, tag: number): void;
  interrupt?(cpu: number, vector: number): void;
  /** All programs have ended. */
  finish?(): void;
  /** Nobody can go on; may know better than the engine's own finding. */
  stalled?(waits: readonly Wait[], finding: ExploreFinding): ExploreFinding;
  /** Nobody gets anywhere; as stalled. */
  endless?(cpus: readonly number[], finding: ExploreFinding): ExploreFinding;
}
