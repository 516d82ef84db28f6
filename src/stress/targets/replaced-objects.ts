/**
 * What targets of reclamation share: a pointer to a line of two equal words, which an updater
 * replaces and readers look at, as rcutorture does (kernel/rcu/rcutorture.c). Every object is used
 * once, so that a freed one is known by its line.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { EventKind, Order } from '../../cpu/operations.ts';
import type { BootMemory } from '../../memory/boot.ts';
import { type Address, toLinear } from '../../memory/physical-address.ts';
import { checkEqual } from '../oracles/torn-read.ts';
import type { Reporter, StressImage } from '../target.ts';

const OBJECT_BYTES = 64;

/** `replacements`: how often the pointer is changed. */
export function bootObjects(
  memory: BootMemory,
  replacements: number,
): Readonly<Record<string, Address>> {
  const pointer = memory.allocateNamed('pointer', 0, OBJECT_BYTES);
  const objects = memory.allocateNamed('objects', 0, (replacements + 1) * OBJECT_BYTES);
  const first = toLinear(objects);
  memory.write64(pointer, 0, first.hi, first.lo);
  return { pointer: toLinear(pointer), objects: first };
}

/** Makes the pointer name object `round` (1 ...); returns the old one, which is its updater's. */
export function* replaceObject(
  cpu: Cpu,
  image: StressImage,
  round: number,
): Generator<Program | undefined, Address, undefined> {
  const pointer = image.addresses['pointer']!;
  const { hi, lo } = image.addresses['objects']!;
  const fresh = lo + round * OBJECT_BYTES;
  while (!cpu.store64(hi, fresh, round, round, Order.Relaxed)) yield;
  while (!cpu.store64(pointer.hi, pointer.lo, hi, fresh, Order.Release)) yield;
  const old = { hi, lo: fresh - OBJECT_BYTES };
  cpu.event(EventKind.ObjectUnlinked, old.hi, old.lo);
  return old;
}

/**
 * Poisons an object that nobody can use any more: a reader that is still inside sees words that
 * differ. By an atomic, so that no store of this CPU is on its way to what may be another's.
 */
export function* freeObject(cpu: Cpu, { hi, lo }: Address): Program {
  while (!cpu.swap64(hi, lo, -1, 0, Order.Release)) yield;
  cpu.event(EventKind.ObjectFreed, hi, lo);
}

/** One look at the object that the pointer names, inside a section; cpu.lo = its first word. */
export function* useObject(cpu: Cpu, image: StressImage, report: Reporter): Program {
  const pointer = image.addresses['pointer']!;
  while (!cpu.load64(pointer.hi, pointer.lo, Order.Acquire)) yield;
  const { hi, lo } = cpu;
  while (!cpu.load32(hi, lo, Order.Relaxed)) yield;
  const first = cpu.lo;
  while (!cpu.load32(hi, lo + 4, Order.Relaxed)) yield;
  checkEqual(cpu.id, first, cpu.lo, { hi, lo }, report);
  cpu.lo = first;
}
