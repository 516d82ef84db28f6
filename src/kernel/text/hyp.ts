/**
 * EL2 under a host that gave up VHE for text=stage2-replicated (M. Zyngier's objections in RFC
 * 00/17, 2023-05-30): EL2 has no stage 2, so its own text is on the first node for every CPU; each
 * entry and exit of a guest switches the host's EL1 state too; stores to kernel text trap and are
 * replayed to every copy.
 *
 * Guest entries without VHE: the guest traps to EL2, which restores the host's EL1 state and
 * returns to the host at EL1; the way back is an HVC. The time of the state (`nvheSwitch`, both
 * ways) is an estimate; exits and entries of the exception levels are the machine's guestExit and
 * guestEntry.
 *
 * Deviation: a stretch of the image stands for EL2's text, which is not shadowed by stage 2.
 */

import { assert } from '../../base/assert.ts';
import { LINE_BYTES } from '../../base/units.ts';
import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Order, Regime } from '../../cpu/operations.ts';
import { Cost } from '../../machine/costs.ts';
import type { Machine } from '../../machine/machine.ts';
import { addBytes, toLinear } from '../../memory/physical-address.ts';
import { Counter, Metric } from '../../metrics/definition.ts';
import { cleanInvalidateToPou } from '../patching/icache.ts';
import type { PokeSource } from '../patching/text-poke.ts';
import { fetchHitPs } from './fetch.ts';
import { offsetInText } from './host-stage2.ts';
import { hasHostStage2, type KernelTextImage } from './image.ts';

/**
 * EL2 text per entry, an estimate: __guest_enter, the vectors and __sysreg_{save,restore}_state.
 */
const HYP_BYTES = 2048;

/** The steps that mutants replace. */
export interface HypSteps {
  /** Replays a store to the copies from this one on. */
  readonly firstCopy: number;
}

export const hypSteps: HypSteps = { firstCopy: 0 };

/** EL2 of one CPU. */
export class Hyp {
  readonly #machine: Machine;
  readonly #image: KernelTextImage;
  readonly #counter: number;
  readonly #steps: HypSteps;
  /** The register that a trapped store stores: this CPU's own. */
  #stored = 0;

  constructor(cpu: Cpu, machine: Machine, image: KernelTextImage, steps: HypSteps = hypSteps) {
    this.#machine = machine;
    this.#image = image;
    this.#steps = steps;
    const isLocal = image.copies[0]!.node === cpu.node;
    this.#counter = isLocal ? Counter.HypFetchesLocal : Counter.HypFetchesRemote;
  }

  /** A poke source whose words a trap can find. */
  remember(source: PokeSource): PokeSource {
    return (cpu, offset) => {
      const done = source(cpu, offset);
      if (done) this.#stored = cpu.lo;
      return done;
    };
  }

  /** The vector: a store of the host to its text. */
  *trap(cpu: Cpu): Program {
    const { ipaHi, ipaLo, farLo, write, fsc } = cpu.exception;
    const page = offsetInText(this.#image, ipaHi, ipaLo);
    assert(write && page >= 0, `stage-2 fault 0x${fsc.toString(16)} of the host outside its text`);
    const word = this.#stored;
    yield* this.#execute(cpu);
    const { copies } = this.#image;
    for (let index = this.#steps.firstCopy; index < copies.length; index++) {
      const { hi, lo } = toLinear(addBytes(copies[index]!.physical, page + (farLo & 0xfff)));
      while (!cpu.store32(hi, lo, word, Order.Relaxed)) yield;
      yield* cleanInvalidateToPou(cpu, this.#machine, hi, lo, 4);
      if (index > 0) cpu.count(Counter.TextCopiesPatched, 1);
    }
    cpu.count(Counter.TextReplays, 1);
    cpu.skipAttempt();
  }

  /** A hypercall of the host; without a stage 2 of its own, the program alone. */
  *call(cpu: Cpu, program: Program): Program {
    if (!hasHostStage2(this.#image)) {
      yield program;
      return;
    }
    cpu.setRegime(Regime.Host);
    yield* this.#execute(cpu);
    yield program;
    cpu.setRegime(Regime.Guest);
  }

  /** A guest's exit, what the host's kernel does about it, and the entry. */
  *guestExit(cpu: Cpu, handle: Program): Program {
    cpu.begin(Metric.GuestSwitch);
    if (hasHostStage2(this.#image)) {
      yield* this.#switchWorld(cpu);
      yield handle;
      yield* this.#switchWorld(cpu);
    } else {
      cpu.spend(Cost.GuestExit);
      yield handle;
      cpu.spend(Cost.GuestEntry);
    }
    cpu.end(Metric.GuestSwitch);
  }

  *#switchWorld(cpu: Cpu): Program {
    cpu.setRegime(Regime.Host);
    yield* this.#execute(cpu);
    const { nvheSwitchPs } = this.#image.options;
    if (this.#machine.features.vhe) cpu.compute(Math.round(nvheSwitchPs / 2));
    cpu.setRegime(Regime.Guest);
  }

  /** The same lines each time: the end of the image, which nobody else calls often. */
  *#execute(cpu: Cpu): Program {
    const { code, textBytes } = this.#image;
    const limitPs = fetchHitPs(this.#machine) + 1;
    for (let at = textBytes - HYP_BYTES; at < textBytes; at += LINE_BYTES) {
      const hitEnd = cpu.deadline(limitPs);
      while (!cpu.fetch(code.hi, (code.lo + at) | 0)) yield;
      if (cpu.expired(hitEnd)) cpu.count(this.#counter, 1);
    }
  }
}
