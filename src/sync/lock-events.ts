/**
 * What every lock reports, at the right side of the ordering that makes it true: the acquisition
 * after the acquiring access, the release before the releasing store (after it, somebody else may
 * already own the lock). And which way it went: branches of its slow paths and hand-overs, by which
 * a stress run knows that a clean pass has been there.
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

/** Sizes of a stress run from which on a branch can be passed. */
export interface BranchSize {
  readonly cpus: number;
  readonly operations: number;
}

/** A branch of a lock's code, for the lock's own file to declare and to tell. */
export interface LockBranch {
  /** What the event carries; another one for every branch of every lock. */
  readonly number: number;
  readonly name: string;
  /** Any of these, with the parts that the stress target gives every lock. */
  readonly from: readonly BranchSize[];
  /** Why no size is enough; '' = one is. */
  readonly unreachable: string;
}

/** `from`: CPUs and rounds of each. */
export function lockBranch(
  lock: string,
  name: string,
  ...from: readonly (readonly [cpus: number, operations: number])[]
): LockBranch {
  const sizes = from.map(([cpus, operations]) => ({ cpus, operations }));
  return { number: hashName(`${lock}: ${name}`), name, from: sizes, unreachable: '' };
}

/** A branch that the stress target cannot get into, with the reason. */
export function distantBranch(lock: string, name: string, unreachable: string): LockBranch {
  return { number: hashName(`${lock}: ${name}`), name, from: [], unreachable };
}

/** No cost and no scheduling: engines that don't stress ignore it. */
export function notePassed(cpu: Cpu, branch: LockBranch): void {
  cpu.event(EventKind.BranchPassed, branch.number, 0);
}

/** FNV-1a. */
function hashName(name: string): number {
  let hash = 0x811c9dc5 | 0;
  for (let at = 0; at < name.length; at++) {
    hash = Math.imul(hash ^ name.charCodeAt(at), 0x01000193);
  }
  return hash;
}
