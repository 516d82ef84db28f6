/**
 * What an oracle is: it listens to one schedule and says when a rule is broken. Listening takes no
 * step of any program, so an oracle changes nothing about what can happen.
 *
 * An oracle lives for one schedule, on the engine's side. Targets tell what only they know (a
 * count that is short, a torn reading) through the functions of lost-update.ts and torn-read.ts.
 */

import type { TlbiOperation, Translated } from '../../engine/explore/observer.ts';
import type { Address } from '../../memory/physical-address.ts';
import type { Finding } from '../target.ts';

/** What `numalab list oracles` says of one. */
export interface OracleFacts {
  readonly name: string;
  readonly description: string;
  /** Where it listens; `virtual`: a rule of src/checkers, under --check. */
  readonly engines: readonly ('explore' | 'host' | 'virtual')[];
}

export interface OracleContext {
  readonly cpuCount: number;
  /** Is this CPU's program waiting for a word or a wake-up that has not come? */
  isBlocked(cpu: number): boolean;
  /** Blocked or ended, with nothing left in its store buffer; absent: as isBlocked says. */
  isStill?(cpu: number): boolean;
  /** Does it take interrupts? */
  interrupts(cpu: number): boolean;
  /** Word of memory at a physical address, now; absent where nobody can look. */
  word?(hi: number, lo: number): number;
  /** Number of the newest content of a line of declared text; absent where nobody can look. */
  newestText?(hi: number, lo: number): number;
  /** Roots of the kernel's half at boot (TTBR1), physical; absent: none is known. */
  readonly kernelRoots?: readonly Address[];
  /** x86: a valid entry may be replaced by another at once. */
  readonly needsNoBreak?: boolean;
  /** Only accesses through translations are told, and no stores, TLBIs or DSBs. */
  readonly hearsLittle?: boolean;
  /** FEAT_BBM: the size of a mapping may change without a break. */
  readonly sizesMayDiffer?: boolean;
  /** Ends the schedule; an engine may make it throw. */
  fail(finding: Finding): void;
  /** A goal of the target is reached. */
  reach(goal: string): void;
}

export interface StressOracle {
  readonly name: string;
  /** The next schedule begins; absent: made anew for each. */
  begin?(): void;
  /** Cpu.event, in the order of the schedule. */
  event?(cpu: number, kind: number, hi: number, lo: number): void;
  /** A program or a walker has read or written; physical address. */
  access?(cpu: number, hi: number, lo: number, bytes: number, writes: boolean): void;
  /** Memory has changed; the old words are told. */
  wrote?(cpu: number, hi: number, lo: number, bytes: number, oldLo: number, oldHi: number): void;
  /** A hardware walker has read a descriptor. */
  walkRead?(cpu: number, hi: number, lo: number): void;
  tlbi?(operation: TlbiOperation): void;
  /** Performed: the CPU's own TLBIs are complete. */
  dsb?(cpu: number): void;
  setRoot?(cpu: number, register: number, hi: number, lo: number): void;
  /** A word of declared text is executed: number of the content that its line had. */
  fetched?(cpu: number, hi: number, lo: number, version: number): void;
  /**
   * The CPU's next access begins, with its translation: it takes effect between here and
   * `translated`. Never told where an access is one step.
   */
  began?(cpu: number): void;
  /** An access was made through a translation. */
  translated?(translated: Translated): void;
  /** All programs have ended. */
  finish?(): void;
}

export type MakeOracle = (context: OracleContext) => StressOracle;
