/**
 * What every lock reports, at the right side of the ordering that makes it true: the acquisition
 * after the acquiring access, the release before the releasing store (after it, somebody else may
 * already own the lock).
 */

import type { Cpu } from '../cpu/cpu.ts';
import { EventKind } from '../cpu/operations.ts';
import { Counter } from '../metrics/definition.ts';

/** `contended`: the acquisition could not be had at once. */
export function noteAcquired(cpu: Cpu, hi: number, lo: number, contended: boolean): void {
  cpu.event(EventKind.LockAcquired, hi, lo);
  countAcquisition(cpu, contended);
}

/**
 * Before noting an acquisition that would have given up instead of waiting: no deadlock hangs on
 * it.
 */
export function noteTried(cpu: Cpu, hi: number, lo: number): void {
  cpu.event(EventKind.LockTried, hi, lo);
}

export function noteReleased(cpu: Cpu, hi: number, lo: number): void {
  cpu.event(EventKind.LockReleased, hi, lo);
}

export function noteReadAcquired(cpu: Cpu, hi: number, lo: number, contended: boolean): void {
  cpu.event(EventKind.ReadLockAcquired, hi, lo);
  countAcquisition(cpu, contended);
}

export function noteReadReleased(cpu: Cpu, hi: number, lo: number): void {
  cpu.event(EventKind.ReadLockReleased, hi, lo);
}

function countAcquisition(cpu: Cpu, contended: boolean): void {
  cpu.count(Counter.LockAcquisitions, 1);
  if (contended) cpu.count(Counter.LockContentions, 1);
}
