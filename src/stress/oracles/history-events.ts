/**
 * How programs tell what an oracle of histories needs: a change of mappings when it is asked for
 * and when it is over, an access before it is made, a fault; where tables and dirty bitmaps are.
 * Nothing of it costs emulated time or a step.
 */

import type { Cpu } from '../../cpu/cpu.ts';
import { EventKind, FaultKind } from '../../cpu/operations.ts';
import type { Address } from '../../memory/physical-address.ts';

/** What a change does to each page of its range. */
export const ChangeKind = {
  /** Output and permissions as told. */
  Map: 0,
  Unmap: 1,
  /** Adds permissions, takes them away. */
  Allow: 2,
  Deny: 3,
} as const;
export type ChangeKind = (typeof ChangeKind)[keyof typeof ChangeKind];

/** With a Refusal: the access would have written. */
export const REFUSED_WRITE = 0x100;

/** How a change ended. */
export const Outcome = {
  Done: 0,
  /** It had no effect (-EAGAIN). */
  Nothing: 1,
  /** It was so when the programs began. */
  AtBoot: 2,
} as const;
export type Outcome = (typeof Outcome)[keyof typeof Outcome];

/** Why a translation was refused. */
export const Refusal = { Missing: 0, Denied: 1 } as const;
export type Refusal = (typeof Refusal)[keyof typeof Refusal];

export interface ToldChange {
  /** Whose addresses they are: number of the VM. */
  readonly space: number;
  readonly kind: ChangeKind;
  /** Input addresses; the size is a power of two of 4 KiB and more. */
  readonly ipa: number;
  readonly bytes: number;
  /** Physical address that the first page gets (Map). */
  readonly output?: Address;
  /** PERM_* bits. */
  readonly permissions?: number;
}

const KIND_SHIFT = 6;
const SPACE_SHIFT = 16;
const HIGH_WORD = 2 ** 32;

export function tellChange(cpu: Cpu, change: ToldChange): void {
  const { space, kind, ipa, bytes, output, permissions = 0 } = change;
  const hi = (space << SPACE_SHIFT) | Math.floor(ipa / HIGH_WORD);
  cpu.event(
    EventKind.ChangeInvoked,
    hi,
    (ipa % HIGH_WORD) | Math.log2(bytes) | (kind << KIND_SHIFT),
  );
  cpu.event(EventKind.ChangeOutput, (output?.hi ?? 0) & 0xffff, (output?.lo ?? 0) | permissions);
}

export function tellOutcome(cpu: Cpu, outcome: Outcome): void {
  cpu.event(EventKind.ChangeReturned, 0, outcome);
}

/** The CPU's next accesses as a guest are to this page. */
export function tellAccess(cpu: Cpu, space: number, ipa: number): void {
  const hi = (space << SPACE_SHIFT) | Math.floor(ipa / HIGH_WORD);
  cpu.event(EventKind.GuestAccess, hi, (ipa % HIGH_WORD) | 0);
}

/** In the handler of a stage-2 fault. */
export function tellRefusal(cpu: Cpu): void {
  const { fsc, write } = cpu.exception;
  const denied = (fsc & ~3) === FaultKind.Permission;
  const refusal = denied ? Refusal.Denied : Refusal.Missing;
  cpu.event(EventKind.GuestRefused, 0, refusal | (write ? REFUSED_WRITE : 0));
}

/** Stage-2 tables of 4K granules whose root is here. */
export function tellRoot(cpu: Cpu, space: number, root: Address, startLevel: number): void {
  cpu.event(EventKind.TableRoot, (space << SPACE_SHIFT) | (root.hi & 0xffff), root.lo | startLevel);
}

/** A bitmap (linear-map address), one bit for each page of [first, first + bytes). */
export function tellDirtyBitmap(cpu: Cpu, bitmap: Address, first: Address, bytes: number): void {
  cpu.event(EventKind.DirtyBitmap, bitmap.hi, bitmap.lo);
  cpu.event(EventKind.DirtyBitmapPages, first.hi & 0xffff, first.lo | Math.log2(bytes));
}

export interface HeardRange {
  readonly space: number;
  readonly kind: ChangeKind;
  /** In pages of 4 KiB. */
  readonly firstPage: number;
  readonly pages: number;
}

export function heardRange(hi: number, lo: number): HeardRange {
  const shift = lo & ((1 << KIND_SHIFT) - 1);
  const kind = ((lo >>> KIND_SHIFT) & 3) as ChangeKind;
  return {
    space: hi >>> SPACE_SHIFT,
    kind,
    firstPage: heardPage(hi, lo),
    pages: 2 ** (shift - 12),
  };
}

/** Number of a page of input addresses. */
export function heardPage(hi: number, lo: number): number {
  return (hi & 0xffff) * 2 ** 20 + (lo >>> 12);
}
