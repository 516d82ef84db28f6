/**
 * Words that only one CPU was seen to touch. A step on such a word commutes with whatever the
 * others may do, so it can be taken at once instead of in every order (a persistent set of one:
 * Godefroid, "Partial-Order Methods for the Verification of Concurrent Systems", 1996, chapter 4).
 *
 * Deviation: what was seen is not what can be. Good enough for an estimate, and for nothing else.
 */

import { type StepColumns, StepKind, touchesMemory } from '../execution.ts';

const GRAIN_SHIFT = 2;
const GRAINS_PER_HI = 2 ** (32 - GRAIN_SHIFT);
const SHARED = -1;

/** Of a program, with stores of its own in the buffer. */
const PASSES_DRAINS: ReadonlySet<StepKind> = new Set([
  StepKind.Read,
  StepKind.Await,
  StepKind.Expire,
  StepKind.Buffer,
  StepKind.Idle,
]);
const PASSES_MEMORY: ReadonlySet<StepKind> = new Set([
  StepKind.Fence,
  StepKind.Buffer,
  StepKind.Wake,
  StepKind.Idle,
]);

export class PrivateWords {
  readonly #cpuCount: number;
  /** By grain of 4 bytes: its CPU, or SHARED. */
  readonly #owners = new Map<number, number>();
  /** Words that turned out to be shared after all. */
  surprises = 0;
  /** Some step was to meet everything, private words too (TLB maintenance, interrupts). */
  #ordersAll = false;
  /** CPUs whose program took a step that its own drains depend on, while there was one. */
  readonly #ordersDrains = new Set<number>();

  constructor(cpuCount: number) {
    this.#cpuCount = cpuCount;
  }

  /** The agent is about to take its pending step. */
  see(steps: StepColumns, agent: number): void {
    const kind = steps.kind[agent]! as StepKind;
    if (agent < this.#cpuCount && !PASSES_DRAINS.has(kind) && this.#drains(steps, agent)) {
      this.#ordersDrains.add(agent);
    }
    if (!touchesMemory(kind)) {
      if (!PASSES_MEMORY.has(kind)) this.#ordersAll = true;
      return;
    }
    // A walker is no part of its CPU's order.
    const cpu = kind === StepKind.WalkRead ? SHARED : agent % this.#cpuCount;
    const last = grain(steps, agent, Math.max(steps.bytes[agent]! - 1, 0));
    for (let at = grain(steps, agent, 0); at <= last; at++) {
      const owner = this.#owners.get(at);
      if (owner === undefined) this.#owners.set(at, cpu);
      else if (owner !== cpu && owner !== SHARED) {
        this.#owners.set(at, SHARED);
        this.surprises++;
      }
    }
  }

  /** Does the pending step, which can be taken, commute with all that others were seen to do? */
  commutes(steps: StepColumns, agent: number): boolean {
    const kind = steps.kind[agent]! as StepKind;
    const cpu = agent % this.#cpuCount;
    if (kind === StepKind.Buffer) return true;
    if (kind === StepKind.Fence) return !this.#drains(steps, cpu);
    if (!touchesMemory(kind) || kind === StepKind.WalkRead || this.#ordersAll) return false;
    if (kind === StepKind.Drain && this.#ordersDrains.has(cpu)) return false;
    const last = grain(steps, agent, Math.max(steps.bytes[agent]! - 1, 0));
    for (let at = grain(steps, agent, 0); at <= last; at++) {
      if (this.#owners.get(at) !== cpu) return false;
    }
    return true;
  }

  /** Has the CPU's store buffer something left? */
  #drains(steps: StepColumns, cpu: number): boolean {
    return steps.kind[this.#cpuCount + cpu] !== StepKind.None;
  }
}

function grain(steps: StepColumns, agent: number, offset: number): number {
  const lo = (steps.lo[agent]! >>> 0) + offset;
  return (steps.hi[agent]! & 0xffff) * GRAINS_PER_HI + Math.floor(lo / 2 ** GRAIN_SHIFT);
}
