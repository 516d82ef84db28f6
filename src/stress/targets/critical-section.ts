/**
 * What programs do inside a lock, so that a lock that is wrong shows: a ghost owner word that is
 * swapped in and out (two owners see each other on any engine, also where no oracle listens), and
 * counts that are raised by a load and a store (an overlap, or a stale reading, loses a raise).
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Order } from '../../cpu/operations.ts';
import type { Address } from '../../memory/physical-address.ts';
import { EXCLUSION } from '../oracles/exclusion.ts';
import { checkEqual } from '../oracles/torn-read.ts';
import type { Reporter } from '../target.ts';

/** Linear-map addresses of what one lock guards; a line each. */
export interface Guarded {
  readonly owner: Address;
  readonly count: Address;
  /** Raised after `count`: readers see both equal. */
  readonly again: Address;
}

/** One writer's section; `both`: the second count too, for readers to compare. */
export function* writeSection(
  cpu: Cpu,
  guarded: Guarded,
  both: boolean,
  report: Reporter,
): Program {
  const { owner, count, again } = guarded;
  while (!cpu.swap32(owner.hi, owner.lo, cpu.id + 1, Order.Relaxed)) yield;
  if (cpu.lo !== 0) notAlone(cpu, cpu.lo - 1, owner, report);
  yield* raise(cpu, count);
  if (both) yield* raise(cpu, again);
  while (!cpu.swap32(owner.hi, owner.lo, 0, Order.Relaxed)) yield;
  if (cpu.lo !== cpu.id + 1) notAlone(cpu, cpu.lo - 1, owner, report);
}

/** One reader's section. */
export function* readSection(cpu: Cpu, guarded: Guarded, report: Reporter): Program {
  const { owner, count, again } = guarded;
  while (!cpu.load32(count.hi, count.lo, Order.Relaxed)) yield;
  const first = cpu.lo;
  while (!cpu.load32(again.hi, again.lo, Order.Relaxed)) yield;
  checkEqual(cpu.id, first, cpu.lo, count, report);
  while (!cpu.load32(owner.hi, owner.lo, Order.Relaxed)) yield;
  if (cpu.lo !== 0) notAlone(cpu, cpu.lo - 1, owner, report);
}

export function* raise(cpu: Cpu, { hi, lo }: Address): Program {
  while (!cpu.load32(hi, lo, Order.Relaxed)) yield;
  const next = (cpu.lo + 1) | 0;
  while (!cpu.store32(hi, lo, next, Order.Relaxed)) yield;
}

function notAlone(cpu: Cpu, other: number, { hi, lo }: Address, report: Reporter): void {
  const text = 'is inside a section with another CPU';
  const cpus = other < 0 ? [cpu.id] : [cpu.id, other];
  report.fail({ oracle: EXCLUSION, cpus, text, hi, lo });
}
