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

export class PrivateWords {
  readonly #cpuCount: number;
  /** By grain of 4 bytes: its CPU, or SHARED. */
  readonly #owners = new Map<number, number>();
  /** Words that turned out to be shared after all. */
  surprises = 0;

  constructor(cpuCount: number) {
    this.#cpuCount = cpuCount;
  }

  /** The agent is about to take its pending step. */
  see(steps: StepColumns, agent: number): void {
    const kind = steps.kind[agent]! as StepKind;
    if (!touchesMemory(kind)) return;
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
    if (kind === StepKind.Buffer || kind === StepKind.Fence) return true;
    if (!touchesMemory(kind) || kind === StepKind.WalkRead) return false;
    const cpu = agent % this.#cpuCount;
    const last = grain(steps, agent, Math.max(steps.bytes[agent]! - 1, 0));
    for (let at = grain(steps, agent, 0); at <= last; at++) {
      if (this.#owners.get(at) !== cpu) return false;
    }
    return true;
  }
}

function grain(steps: StepColumns, agent: number, offset: number): number {
  const lo = (steps.lo[agent]! >>> 0) + offset;
  return (steps.hi[agent]! & 0xffff) * GRAINS_PER_HI + Math.floor(lo / 2 ** GRAIN_SHIFT);
}
