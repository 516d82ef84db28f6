/**
 * The steps that random programs are made of. A step is plain data (its kind and three random
 * numbers), so that a failing program can be printed and cut down; what it does is written over the
 * CPU operations alone.
 */

import { assert } from '../../src/base/assert.ts';
import type { Cpu, Program } from '../../src/cpu/cpu.ts';
import {
  Condition,
  Fence,
  Order,
  Regime,
  Register,
  Scope,
  Tlbi,
} from '../../src/cpu/operations.ts';
import type { Machine } from '../../src/machine/machine.ts';
import type { Address } from '../../src/memory/physical-address.ts';
import { Metric } from '../../src/metrics/definition.ts';
import { makeMcsLock } from '../../src/sync/mcs.ts';
import { makeTicketLock } from '../../src/sync/ticket.ts';
import { FRAME_VALID, type RandomImage } from './random-program-memory.ts';
import { invalidateGuestPage, protectPage, remapPage } from './random-program-tables.ts';

export interface Step {
  readonly kind: StepKind;
  readonly a: number;
  readonly b: number;
  readonly c: number;
}

export interface Scene {
  readonly machine: Machine;
  readonly image: RandomImage;
  readonly activeCpus: readonly number[];
}

type Action = (cpu: Cpu, scene: Scene, step: Step) => Program;

const ticket = makeTicketLock();
const mcs = makeMcsLock();

function at<T>(list: readonly T[], index: number): T {
  return list[index % list.length]!;
}

/** Critical section over a counter that is changed by a plain load and a plain store. */
function* locked(cpu: Cpu, scene: Scene, step: Step): Program {
  const { ticketLocks, mcsLocks, counters } = scene.image;
  const index = step.a % (ticketLocks.length + mcsLocks.length);
  const lock = index < ticketLocks.length ? ticket : mcs;
  const { hi, lo } = [...ticketLocks, ...mcsLocks][index]!;
  const counter = counters[index]!;
  cpu.begin(Metric.LockWait);
  yield* lock.acquire(cpu, hi, lo);
  cpu.end(Metric.LockWait);
  while (!cpu.load32(counter.hi, counter.lo, Order.Relaxed)) yield;
  const before = cpu.lo;
  cpu.compute(step.b % 3 === 0 ? 0 : step.b % 40_000);
  while (!cpu.store32(counter.hi, counter.lo, before + 1, Order.Relaxed)) yield;
  yield* lock.release(cpu, hi, lo);
  cpu.mark();
}

function* compareAndSwap(cpu: Cpu, hi: number, lo: number, desired: number): Program {
  while (!cpu.load32(hi, lo, Order.Relaxed)) yield;
  const expected = cpu.lo;
  while (!cpu.cas32(hi, lo, expected, desired, Order.AcquireRelease)) yield;
}

function* atomic(cpu: Cpu, { image }: Scene, step: Step): Program {
  const { hi, lo } = at(image.words, step.a);
  const v = step.c | 0;
  switch (step.b % 10) {
    case 0:
      while (!cpu.add32(hi, lo, v, Order.AcquireRelease)) yield;
      break;
    case 1:
      while (!cpu.swap32(hi, lo, v, Order.Acquire)) yield;
      break;
    case 2:
      yield* compareAndSwap(cpu, hi, lo, v);
      break;
    case 3:
      while (!cpu.add64(hi, lo, v >> 3, v, Order.Relaxed)) yield;
      break;
    case 4:
      while (!cpu.swap64(hi, lo, v >> 5, v, Order.Relaxed)) yield;
      break;
    case 5:
      while (!cpu.cas64(hi, lo, 0, v, v, v, Order.Relaxed)) yield;
      break;
    case 6:
      while (!cpu.set32(hi, lo, v, Order.Relaxed)) yield;
      break;
    case 7:
      while (!cpu.clear32(hi, lo, v, Order.Relaxed)) yield;
      break;
    case 8:
      while (!cpu.swap16(hi, lo + 2, v, Order.Relaxed)) yield;
      break;
    default:
      while (!cpu.store16(hi, lo, v, Order.Relaxed)) yield;
  }
}

/** A load or store, of a shared word, a conflicting line, a user page or memory without bytes. */
function* access(cpu: Cpu, { image }: Scene, step: Step): Program {
  const { words, conflicts, userPages, emptyPages } = image;
  const base = at(at([words, conflicts, conflicts, userPages, emptyPages], step.b), step.a);
  const lo = base.lo + 8 * (step.c % 8);
  switch ((step.c >>> 3) % 7) {
    case 0:
    case 1:
      while (!cpu.load32(base.hi, lo, Order.Relaxed)) yield;
      break;
    case 2:
      while (!cpu.load64(base.hi, lo, Order.Relaxed)) yield;
      break;
    case 3:
      while (!cpu.load8(base.hi, lo + (step.c % 4), Order.Relaxed)) yield;
      break;
    case 4:
      while (!cpu.store32(base.hi, lo, step.c, Order.Release)) yield;
      break;
    case 5:
      while (!cpu.store64(base.hi, lo, step.a, step.c, Order.Release)) yield;
      break;
    default:
      while (!cpu.store8(base.hi, lo + (step.a % 4), step.c, Order.Release)) yield;
  }
}

/** Many accesses to few cache sets: evictions, write-backs that meet snoops. */
function* storm(cpu: Cpu, { image }: Scene, step: Step): Program {
  const { conflicts } = image;
  for (let i = 0; i < 6 + (step.a % 10); i++) {
    const { hi, lo } = at(conflicts, step.b + i * (1 + (step.c % 5)));
    if (((step.c >>> i) & 1) === 0) while (!cpu.load32(hi, lo, Order.Relaxed)) yield;
    else while (!cpu.store32(hi, lo, cpu.id + i, Order.Relaxed)) yield;
  }
}

/** A condition with a deadline on a word that others change. */
function* wait(cpu: Cpu, { image }: Scene, step: Step): Program {
  const { hi, lo } = at(image.words, step.a);
  const deadline = cpu.deadline(20_000 + (step.b % 900_000));
  const kinds = Object.values(Condition);
  const kind = at(kinds, step.c);
  const mask = at([-1, 0xff, 1 << 16], step.c >>> 4);
  while (!cpu.cond32Until(hi, lo, kind, mask, step.c >>> 8, deadline, Order.Acquire)) yield;
  if (!cpu.ok) cpu.mark();
  // What the wait saw decides what is done next: a difference between engines shows.
  cpu.compute((cpu.lo >>> 0) % 997);
}

function* think(cpu: Cpu, { machine }: Scene, step: Step): Program {
  const g = machine.gridPs;
  const drawn = cpu.random(0) % 60_000;
  cpu.compute(at([drawn, step.b % 1_000, g, 3 * g, g - 1, 500_000], step.a));
  while (!cpu.fence(Fence.DmbIsh)) yield;
}

function* ipi(cpu: Cpu, { activeCpus }: Scene, step: Step): Program {
  while (!cpu.ipi(at(activeCpus, step.a), step.b % 3)) yield;
}

function* masked(cpu: Cpu, scene: Scene, step: Step): Program {
  const before = cpu.interrupts(false);
  yield* access(cpu, scene, step);
  cpu.compute(step.a % 100_000);
  yield* atomic(cpu, scene, step);
  cpu.interrupts(before);
}

/** Sleeps until somebody's wake or interrupt; the last CPU wakes everybody until all are done. */
function* idle(cpu: Cpu, { activeCpus }: Scene, step: Step): Program {
  if (cpu.id === activeCpus[0] || step.a % 3 === 0) {
    while (!cpu.wake(at(activeCpus, step.b))) yield;
    return;
  }
  while (!cpu.idle()) yield;
}

/** Reads through the remapped window: the old frame must never be seen after its remapping. */
function* readWindow(cpu: Cpu, { image }: Scene, step: Step): Program {
  const { hi, lo } = at(image.pages, step.a).va;
  const byCondition = step.b % 4 === 0;
  if (byCondition) {
    const deadline = cpu.deadline(step.c % 400_000);
    const changed = Condition.NotEqual;
    while (!cpu.cond32Until(hi, lo, changed, -1, FRAME_VALID, deadline, Order.Acquire)) yield;
  } else if (step.b % 16 === 2) {
    while (!cpu.cleanInvalidateLine(hi, lo + 128)) yield;
    return;
  } else if (step.b % 4 === 1) {
    while (!cpu.add32(hi, lo + 64, 1, Order.Relaxed)) yield;
    return;
  } else {
    while (!cpu.load32(hi, lo, Order.Relaxed)) yield;
  }
  const seen = cpu.lo & 0xff000000;
  assert(
    seen === FRAME_VALID || seen === 0,
    `CPU ${cpu.id} reads a frame that was taken away: ${cpu.lo.toString(16)}`,
  );
}

function* wholeLines(cpu: Cpu, { image }: Scene, step: Step): Program {
  const { hi, lo } = at(at([image.words, image.conflicts], step.c), step.a);
  const page = at(image.emptyPages, step.a);
  if (step.c % 29 === 0) {
    // A huge page, some of whose lines are in caches.
    const block = image.hugePage;
    while (!cpu.load32(block.hi, block.lo + (step.a % 4096) * 64, Order.Relaxed)) yield;
    while (!cpu.copyPage(block.hi, block.lo, hi, lo & ~4095, 2 ** 21)) yield;
    return;
  }
  switch (step.b % 5) {
    case 0:
      while (!cpu.zeroLine(hi, lo)) yield;
      break;
    case 1:
      while (!cpu.cleanInvalidateLine(hi, lo)) yield;
      break;
    case 2:
      while (!cpu.zeroPage(page.hi, page.lo, 4096)) yield;
      break;
    case 3:
      while (!cpu.cleanInvalidatePage(page.hi, page.lo, 4096)) yield;
      break;
    default:
      while (!cpu.copyPage(page.hi, page.lo, hi, lo & ~4095, 4096)) yield;
  }
}

function* fetch(cpu: Cpu, { image }: Scene, step: Step): Program {
  let seen = 0;
  for (let i = 0; i < 1 + (step.b % 8); i++) {
    const { hi, lo } = at(image.text, step.a + (i >>> 1));
    while (!cpu.fetch(hi, lo + 4 * (step.c % 4))) yield;
    seen = (seen * 31 + cpu.lo) | 0;
    if (step.c % 32 === i) while (!cpu.fence(Fence.Isb)) yield;
  }
  // What was executed shows in memory.
  const { hi, lo } = at(image.words, step.b);
  while (!cpu.add32(hi, lo + 8, seen, Order.Relaxed)) yield;
  if (step.c % 8 === 0) {
    while (!cpu.tlbi(Tlbi.IcIalluIs, 0, 0, 0)) yield;
    while (!cpu.dsb(Scope.InnerShareable)) yield;
    while (!cpu.fence(Fence.Isb)) yield;
  }
}

/** Stores to text by its alias, and some or all of what makes others execute it. */
function* patch(cpu: Cpu, { image, activeCpus }: Scene, step: Step): Program {
  const { hi, lo } = at(image.textAliases, step.a);
  const text = at(image.text, step.a);
  while (!cpu.store32(hi, lo + 4 * (step.b % 4), step.b, Order.Relaxed)) yield;
  if (step.c % 3 !== 0) {
    while (!cpu.cleanLineToPou(hi, lo)) yield;
    while (!cpu.dsb(Scope.InnerShareable)) yield;
  }
  const by = step.c % 2 === 0 ? text : at(image.textAliases, step.a);
  if (step.c % 5 !== 0) while (!cpu.tlbi(Tlbi.IcIvau, by.hi, by.lo + 4, 0)) yield;
  if (step.c % 7 !== 0) while (!cpu.dsb(Scope.InnerShareable)) yield;
  if (step.c % 4 === 0) while (!cpu.ipi(at(activeCpus, step.b), 0)) yield;
  else while (!cpu.fence(Fence.Isb)) yield;
  while (!cpu.fetch(text.hi, text.lo + 4 * (step.b % 4))) yield;
  const word = at(image.words, step.b);
  const seen = cpu.lo;
  while (!cpu.add32(word.hi, word.lo + 12, seen, Order.Relaxed)) yield;
}

const MAINTENANCE = [
  Tlbi.VaE1,
  Tlbi.VaE1Is,
  Tlbi.VaLE1Is,
  Tlbi.VaaE1Is,
  Tlbi.RvaE1Is,
  Tlbi.AsidE1Is,
  Tlbi.VmallHost,
  Tlbi.VmallHostIs,
  Tlbi.AllE1Is,
  Tlbi.VmallE1Is,
  Tlbi.VmallS12E1Is,
] as const;

/** Maintenance of addresses that others use, for nothing but the trouble. */
function* maintain(cpu: Cpu, { image }: Scene, step: Step): Program {
  const address: Address = at([...image.userPages, ...image.words, image.pages[0]!.va], step.b);
  const operation = at(MAINTENANCE, step.a);
  while (!cpu.tlbi(operation, address.hi, address.lo & ~4095, 1 + (step.c % 8))) yield;
  if (step.c % 3 === 0) cpu.compute(step.c % 50_000);
  if (step.c % 5 !== 0) while (!cpu.dsb(at(Object.values(Scope), step.c))) yield;
}

function* translate(cpu: Cpu, { image }: Scene, step: Step): Program {
  const { hi, lo } = at([...image.userPages, ...image.words], step.a);
  while (!cpu.translate(hi, lo, step.b % 2 === 0)) yield;
  if (cpu.ok) cpu.compute((cpu.lo >>> 12) % 100);
}

function* barriers(cpu: Cpu, _scene: Scene, step: Step): Program {
  while (!cpu.fence(at(Object.values(Fence), step.a))) yield;
  const deadline = cpu.deadline(step.b % 3_000);
  cpu.compute(step.c % 3_000);
  if (cpu.expired(deadline)) cpu.mark();
  cpu.phase(step.a % 3);
}

/** Runs in the guest: accesses that may fault to EL2. */
function* guest(cpu: Cpu, { image }: Scene, step: Step): Program {
  const { guest: g } = image;
  while (!cpu.setRoot(Register.Vttbr, g.stage2Root.hi, g.stage2Root.lo, g.vmid)) yield;
  const { hi, lo } = g.stage1Root;
  while (!cpu.setRoot(Register.GuestTtbr0, hi, lo, 0)) yield;
  cpu.setRegime(Regime.Guest);
  for (let i = 0; i < 1 + (step.b % 4); i++) {
    const page = at(g.pages, step.a + i);
    if (((step.c >>> i) & 1) === 0) while (!cpu.load32(page.hi, page.lo, Order.Relaxed)) yield;
    else while (!cpu.add32(page.hi, page.lo + 8, 1, Order.Relaxed)) yield;
  }
  cpu.setRegime(Regime.Host);
}

export const ACTIONS = {
  locked,
  atomic,
  access,
  storm,
  wait,
  think,
  ipi,
  masked,
  idle,
  readWindow,
  remap: (cpu, { image }, step) => remapPage(cpu, at(image.pages, step.a), step.b),
  protect: (cpu, { image }, step) => protectPage(cpu, at(image.pages, step.a), step.b),
  wholeLines,
  fetch,
  patch,
  maintain,
  translate,
  barriers,
  guest,
  guestUnmap: (cpu, { image }, step) => invalidateGuestPage(cpu, image.guest, step.a),
} satisfies Record<string, Action>;
export type StepKind = keyof typeof ACTIONS;

export const STEP_KINDS = Object.keys(ACTIONS) as StepKind[];
