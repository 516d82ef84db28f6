/**
 * A small sequential engine for tests: one attempt at a time, chosen by a seeded scheduler among
 * the CPUs that can go on. It finds interleavings that a timed engine would never show, and says
 * who waits for what when nobody can go on.
 *
 * Usage:
 *
 *     const engine = new StepEngine({ cpuCount: 4, seed: 7 });
 *     const word = toLinear(engine.boot.allocate(0, 64));
 *     engine.run([(cpu) => program(cpu, word), (cpu) => other(cpu, word)]);
 *     expect(engine.peek32(word)).toBe(2);
 */

import { StallError } from '../../src/base/errors.ts';
import { RandomStream } from '../../src/base/random.ts';
import type { Cpu, Program } from '../../src/cpu/cpu.ts';
import type { Scope, Tlbi } from '../../src/cpu/operations.ts';
import { PER_CPU_BYTES } from '../../src/cpu/per-cpu.ts';
import type { Machine } from '../../src/machine/machine.ts';
import { BootMemory } from '../../src/memory/boot.ts';
import type { Address } from '../../src/memory/physical-address.ts';
import { PhysicalMemory } from '../../src/memory/physical-memory.ts';
import { StepCpu, type Translation } from './step-cpu.ts';
import { describe, hex } from './step-cpu-core.ts';
import { makeTestMachine } from './test-machine.ts';

export type TranslateHook = (
  cpu: StepCpu,
  vaHi: number,
  vaLo: number,
  write: boolean,
  instruction: boolean,
) => Translation;

export interface StepHooks {
  /** Guest regime; a fault usually goes to Level.El2 with the faulting IPA. */
  translateGuest?: TranslateHook;
  /** Host addresses outside the linear map. */
  translateHost?: TranslateHook;
  onEvent?: (cpu: StepCpu, kind: number, aHi: number, aLo: number) => void;
  onTlbi?: (cpu: StepCpu, op: Tlbi, aHi: number, aLo: number, argument: number) => void;
  onDsb?: (cpu: StepCpu, scope: Scope) => void;
}

export interface StepEngineOptions extends StepHooks {
  readonly machine?: Machine;
  readonly cpuCount?: number;
  readonly nodeCount?: number;
  readonly seed?: number;
  readonly backedBytes?: number;
  readonly stepLimit?: number;
  /** Deadlines pass at the scheduler's whim, not only when their time has come. */
  readonly leaps?: boolean;
}

/** What one step adds to the common clock. */
const STEP_PS = 1_000;
const LEAP_ONE_IN = 50;

export class StepEngine {
  readonly machine: Machine;
  readonly memory: PhysicalMemory;
  readonly boot: BootMemory;
  readonly seed: number;
  readonly hooks: StepHooks;
  /** Physical addresses of the CPUs' own areas. */
  readonly perCpu: readonly Address[];
  readonly cpus: readonly StepCpu[];
  nowPs = 0;
  steps = 0;
  readonly #stepLimit: number;
  readonly #leaps: boolean;
  readonly #scheduler: RandomStream;
  /** Of 16 picks, how many stay with the CPU that ran last. */
  readonly #stickiness: number;

  constructor(options: StepEngineOptions = {}) {
    this.machine =
      options.machine ??
      makeTestMachine({ cpuCount: options.cpuCount ?? 4, nodeCount: options.nodeCount ?? 2 });
    this.seed = options.seed ?? 1;
    this.hooks = options;
    this.#stepLimit = options.stepLimit ?? 5_000_000;
    this.#leaps = options.leaps ?? false;
    this.#scheduler = new RandomStream(this.seed, 'step engine', 0);
    this.#stickiness = [0, 8, 14][this.seed % 3]!;
    this.memory = new PhysicalMemory(
      PhysicalMemory.allocate(this.machine.memoryBytesOfNode, options.backedBytes ?? 1 << 20),
    );
    this.boot = new BootMemory(this.machine, this.memory);
    this.perCpu = Array.from({ length: this.machine.cpuCount }, (_, cpu) =>
      this.boot.allocateNamed(`cpu${cpu}`, this.machine.nodeOfCpu[cpu]!, PER_CPU_BYTES, 4096),
    );
    this.cpus = this.perCpu.map((_, cpu) => new StepCpu(this, cpu));
  }

  /** Word at a linear-map or physical address. */
  peek32(address: Address, offset = 0): number {
    return this.memory.peek32(address.hi & 0xffff, address.lo + offset);
  }

  /** Shall a deadline pass now? */
  leap(): boolean {
    return this.#leaps && this.#scheduler.below(LEAP_ONE_IN) === 0;
  }

  /** Runs program i on CPU i until all have ended; CPUs without a program still take interrupts. */
  run(programs: readonly (((cpu: Cpu) => Program | null) | null)[]): void {
    programs.forEach((make, cpu) => {
      this.cpus[cpu]!.start(make === null ? null : make(this.cpus[cpu]!));
    });
    let last: StepCpu | null = null;
    const candidates: StepCpu[] = [];
    for (;;) {
      candidates.length = 0;
      for (const cpu of this.cpus) if (cpu.runnable()) candidates.push(cpu);
      if (candidates.length === 0) {
        if (this.cpus.every((cpu) => cpu.finished)) return;
        this.#skipToDeadline();
        continue;
      }
      if (this.steps++ >= this.#stepLimit) throw new StallError(this.#report('step limit'));
      this.nowPs += STEP_PS;
      last = this.#pick(candidates, last);
      last.step();
    }
  }

  #pick(candidates: readonly StepCpu[], last: StepCpu | null): StepCpu {
    if (last !== null && candidates.includes(last)) {
      if (this.#scheduler.below(16) < this.#stickiness) return last;
    }
    return candidates[this.#scheduler.below(candidates.length)]!;
  }

  #skipToDeadline(): void {
    const next = Math.min(...this.cpus.map((cpu) => cpu.wakeTimePs()));
    if (next === Number.POSITIVE_INFINITY) throw new StallError(this.#report('deadlock'));
    this.nowPs = Math.max(this.nowPs, next);
  }

  #report(what: string): string {
    const lines = this.cpus.map((cpu) => {
      const attempt = cpu.attempt;
      if (cpu.finished) return `  cpu ${cpu.id}: finished, ${cpu.marks} marks`;
      if (attempt === null) return `  cpu ${cpu.id}: running, ${cpu.marks} marks`;
      const [aHi = 0, aLo = 0] = attempt.operands;
      const isWord = attempt.operation.startsWith('cond32');
      const value = isWord ? `, value ${hex(this.memory.peek32(aHi & 0xffff, aLo))}` : '';
      const where = isWord ? ` ${this.#nameOf(aHi & 0xffff, aLo)}` : '';
      return `  cpu ${cpu.id}: waits in ${describe(attempt)}${where}${value}, ${cpu.marks} marks`;
    });
    return `${what} after ${this.steps} steps, seed ${this.seed}:\n${lines.join('\n')}`;
  }

  #nameOf(paHi: number, paLo: number): string {
    for (const { name, address, bytes } of this.boot.symbols) {
      const offset = (paLo >>> 0) - (address.lo >>> 0);
      if (address.hi === paHi && offset >= 0 && offset < bytes) return `${name}+${offset}`;
    }
    return '';
  }
}
