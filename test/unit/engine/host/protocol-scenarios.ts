/**
 * Programs of the host engine that need its mailboxes and tables; worker threads load the compiled
 * form of this file. Words: 0 = generation or flag, 1 = verdicts, 2.. = by use.
 */

import type { Cpu, Program } from '../../../../src/cpu/cpu.ts';
import {
  Condition,
  EventKind,
  Fence,
  Level,
  Order,
  Regime,
  Register,
  Scope,
  Tlbi,
} from '../../../../src/cpu/operations.ts';
import type { Address } from '../../../../src/memory/physical-address.ts';
import {
  GUEST_VA,
  type HostTables,
  STAGE1_LEAF_HI,
  STAGE1_LEAF_LO,
  STAGE2_LEAF_HI,
  STAGE2_LEAF_LO,
} from '../../../support/host-run.ts';

const VECTOR = 3;
const VMID = 1;

function* put(cpu: Cpu, { hi, lo }: Address, value: number): Program {
  while (!cpu.store32(hi, lo, value, Order.Release)) yield;
}

function* get(cpu: Cpu, { hi, lo }: Address): Program {
  while (!cpu.load32(hi, lo, Order.Acquire)) yield;
}

function* until(cpu: Cpu, { hi, lo }: Address, value: number): Program {
  while (!cpu.cond32(hi, lo, Condition.AtLeastWrapping, -1, value, Order.Acquire)) yield;
}

function* flush(cpu: Cpu, operation: Tlbi, lo: number, barrier: boolean): Program {
  while (!cpu.tlbi(operation, 0, lo, 0)) yield;
  while (barrier && !cpu.dsb(Scope.InnerShareable)) yield;
}

function* enterVm(cpu: Cpu, tables: HostTables): Program {
  const { vmRoot, guestRoot } = tables;
  while (!cpu.setRoot(Register.Vttbr, vmRoot.hi, vmRoot.lo, VMID)) yield;
  while (!cpu.setRoot(Register.GuestTtbr0, guestRoot.hi, guestRoot.lo, 0)) yield;
}

const REMAPS = 300;
/** Word of a guest's last generation, by CPU. */
const SEEN = 2;

/** What is left out of break-before-make. */
interface RemapSteps {
  readonly ipa: boolean;
  readonly combined: boolean;
  readonly barrier: boolean;
}

/** Moves the guest's page to and fro; the frame's content is the number of its mapping. */
function* mapper(cpu: Cpu, tables: HostTables, steps: RemapSteps): Program {
  const { leaf, frames, framesPhysical, ipa, words } = tables;
  yield* enterVm(cpu, tables);
  for (let number = 1; number <= REMAPS; number++) {
    const frame = number % 2;
    // Every guest has used the mapping that goes now.
    for (const id of [1, 2]) yield* until(cpu, words[SEEN + id]!, number - 1);
    yield* put(cpu, frames[frame]!, number);
    while (!cpu.swap64(leaf.hi, leaf.lo, 0, 0, Order.Relaxed)) yield;
    while (!cpu.fence(Fence.DsbIshSt)) yield;
    if (steps.ipa) yield* flush(cpu, Tlbi.IpaS2E1Is, ipa.lo, steps.barrier);
    if (steps.combined) yield* flush(cpu, Tlbi.VmallE1Is, 0, steps.barrier);
    const { hi, lo } = framesPhysical[frame]!;
    const leafHi = STAGE2_LEAF_HI | hi;
    while (!cpu.store64(leaf.hi, leaf.lo, leafHi, STAGE2_LEAF_LO | lo, Order.Release)) yield;
    yield* put(cpu, words[0]!, number);
    cpu.mark();
  }
}

/** Reads the page as a guest: never an older mapping's content than the number read before. */
function* guest(cpu: Cpu, tables: HostTables): Program {
  const [generation, verdict] = tables.words as [Address, Address];
  cpu.setVector(Level.El2, function* (): Program {});
  yield* enterVm(cpu, tables);
  for (;;) {
    yield* get(cpu, generation);
    const least = cpu.lo;
    cpu.setRegime(Regime.Guest);
    while (!cpu.load32(0, GUEST_VA, Order.Relaxed)) yield;
    const seen = cpu.lo;
    cpu.setRegime(Regime.Host);
    while (seen < least && !cpu.add32(verdict.hi, verdict.lo, 1, Order.Relaxed)) yield;
    yield* put(cpu, tables.words[SEEN + cpu.id]!, least);
    cpu.mark();
    if (least === REMAPS) return;
  }
}

function remap(steps: RemapSteps) {
  return {
    program: (cpu: Cpu, tables: HostTables): Program =>
      cpu.id === 0 ? mapper(cpu, tables, steps) : guest(cpu, tables),
  };
}

export const remapped = remap({ ipa: true, combined: true, barrier: true });
export const combinedForgotten = remap({ ipa: true, combined: false, barrier: true });
export const barrierForgotten = remap({ ipa: true, combined: true, barrier: false });

/**
 * CPU 1 waits for a word with interrupts masked: CPU 0's DSB is over before the word is written,
 * its IPI is taken only when interrupts are enabled again.
 */
export const masked = {
  *program(cpu: Cpu, { words }: HostTables): Program {
    const [go, early, late, ready] = words as [Address, Address, Address, Address];
    if (cpu.id === 0) {
      yield* until(cpu, ready, 1);
      yield* flush(cpu, Tlbi.VmallHostIs, 0, true);
      while (!cpu.ipi(1, VECTOR)) yield;
      yield* put(cpu, go, 1);
      return;
    }
    if (cpu.id !== 1) return;
    let taken = 0;
    const count = function* (): Program {
      taken++;
      while (!cpu.fence(Fence.Isb)) yield;
    };
    cpu.setInterrupt(VECTOR, count);
    cpu.interrupts(false);
    yield* put(cpu, ready, 1);
    yield* until(cpu, go, 1);
    yield* put(cpu, early, taken + 1);
    cpu.interrupts(true);
    yield* put(cpu, late, taken + 1);
    yield* put(cpu, late, taken + 1);
  },
};

const MANY = 3_000;

/** More TLBIs than the log has room for, while the others have ended; then an IPI to one. */
export const finishedCpus = {
  *program(cpu: Cpu, { words }: HostTables): Program {
    const [answer, sum] = words as [Address, Address];
    cpu.setInterrupt(VECTOR, () => put(cpu, answer, 1));
    if (cpu.id !== 0) return;
    for (let i = 0; i < MANY; i++) yield* flush(cpu, Tlbi.VmallHostIs, 0, i % 2000 === 1999);
    while (!cpu.ipi(1, VECTOR)) yield;
    yield* until(cpu, answer, 1);
    yield* put(cpu, sum, MANY);
  },
};

/** A page that is not there: the handler maps it; and one whose access the handler skips. */
export const faulting = {
  *program(cpu: Cpu, tables: HostTables): Program {
    if (cpu.id !== 0) return;
    const { ownLeaf, framesPhysical, frames, words } = tables;
    cpu.setVector(Level.Host, function* (): Program {
      if (cpu.exception.farLo !== GUEST_VA + 8) {
        cpu.skipAttempt();
        return;
      }
      const { hi, lo } = framesPhysical[1]!;
      const leafHi = STAGE1_LEAF_HI | hi;
      const leafLo = STAGE1_LEAF_LO | lo;
      while (!cpu.store64(ownLeaf.hi, ownLeaf.lo, leafHi, leafLo, Order.Release)) yield;
      cpu.ret = 99;
    });
    cpu.ret = 7;
    while (!cpu.load32(0, GUEST_VA + 0x10_0000, Order.Relaxed)) yield;
    yield* put(cpu, words[0]!, cpu.ok ? 1 : 2);
    while (!cpu.store32(0, GUEST_VA + 8, 5, Order.Relaxed)) yield;
    yield* put(cpu, words[1]!, cpu.ret);
    const frame = frames[1]!;
    while (!cpu.load32(frame.hi, frame.lo + 8, Order.Relaxed)) yield;
    yield* put(cpu, words[2]!, cpu.lo);
    while (!cpu.translate(0, GUEST_VA + 0x20_0000, false)) yield;
    yield* put(cpu, words[3]!, cpu.ok ? 0 : cpu.ret);
  },
};

/** Says that it holds a lock, and holds none. */
export const unguarded = {
  *program(cpu: Cpu, { words }: HostTables): Program {
    const { hi, lo } = words[0]!;
    for (let i = 0; i < 100_000; i++) {
      cpu.event(EventKind.LockAcquired, hi, lo);
      yield* put(cpu, words[1]!, i);
      cpu.event(EventKind.LockReleased, hi, lo);
      cpu.mark();
    }
  },
};

/** Always busy, never done. */
export const fruitless = {
  *program(cpu: Cpu, { words }: HostTables): Program {
    for (;;) {
      yield* put(cpu, words[0]!, 1);
      while (!cpu.swap32(words[1]!.hi, words[1]!.lo, 1, Order.Acquire)) yield;
    }
  },
};

/** Repeats a refused attempt without giving the engine a chance. */
export const impatient = {
  *program(cpu: Cpu, { words }: HostTables): Program {
    cpu.setVector(Level.Host, function* (): Program {});
    while (!cpu.load32(0, GUEST_VA, Order.Relaxed));
    yield* put(cpu, words[0]!, 1);
  },
};

/** Each round adds what it finds to be 0 before: memory is as booted. */
export const rounds = {
  *program(cpu: Cpu, { words }: HostTables): Program {
    const { hi, lo } = words[0]!;
    while (!cpu.add32(hi, lo, 1, Order.Relaxed)) yield;
    cpu.event(EventKind.FrameAllocated, hi, cpu.id);
    cpu.mark();
  },
  finish(
    memory: { peek32(hi: number, lo: number): number },
    events: { replay(hear: (cpu: number, kind: number) => void): boolean },
    { words }: HostTables,
  ): void {
    const heard: number[] = [];
    const whole = events.replay((cpu) => heard.push(cpu));
    const count = memory.peek32(words[0]!.hi & 0xffff, words[0]!.lo);
    if (!whole || count !== 3 || heard.toSorted().join() !== '0,1,2') {
      throw new Error(`a round counted ${count}, events of ${heard.join()}`);
    }
  },
};
