/**
 * The tag of a cached translation, packed into 32 bits: VMID [31:16], ASID [15:0]. The regime needs
 * no bit of its own: VMID 0 belongs to the host (as in Linux, whose allocator never hands it to a
 * VM), so entries of the host regime have VMID 0 and entries of a guest never have.
 */

import { assert } from '../base/assert.ts';
import { Regime } from '../cpu/operations.ts';

/** Compares VMIDs only: for global entries and forms that take every ASID. */
export const VMID_MASK = 0xffff0000 | 0;
export const ASID_MASK = 0xffff;

/** Signed 32-bit tag. The host has no VMID: pass 0 (it is ignored). */
export function packContext(regime: Regime, vmid: number, asid: number): number {
  if (regime === Regime.Host) return asid & ASID_MASK;
  assert(vmid > 0 && vmid <= 0xffff, `VMID ${vmid} of a guest is outside 1..65535`);
  return (vmid << 16) | (asid & ASID_MASK);
}

export function vmidOf(context: number): number {
  return context >>> 16;
}

export function asidOf(context: number): number {
  return context & ASID_MASK;
}

export function regimeOf(context: number): Regime {
  return context >>> 16 === 0 ? Regime.Host : Regime.Guest;
}
