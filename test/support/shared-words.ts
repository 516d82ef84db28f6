/** Shared words for scenarios on the step engine, and the search for a seed that breaks a rule. */

import { BugError, StallError } from '../../src/base/errors.ts';
import type { Cpu, Program } from '../../src/cpu/cpu.ts';
import { Order } from '../../src/cpu/operations.ts';
import { type Address, toLinear } from '../../src/memory/physical-address.ts';
import type { StepEngine } from './step-engine.ts';

/** A broken rule, told by a program of a scenario. */
export class Broken extends Error {}

export function lines(engine: StepEngine, count: number, bytes = 128): Address[] {
  return Array.from({ length: count }, (_, i) => toLinear(engine.boot.allocate(i % 2, bytes)));
}

export function* load(cpu: Cpu, { hi, lo }: Address): Program {
  while (!cpu.load32(hi, lo, Order.Relaxed)) yield;
}

export function* store(cpu: Cpu, { hi, lo }: Address, value: number): Program {
  while (!cpu.store32(hi, lo, value, Order.Relaxed)) yield;
}

export function* raise(cpu: Cpu, word: Address): Program {
  yield* load(cpu, word);
  yield* store(cpu, word, cpu.lo + 1);
}

export function require(holds: boolean, rule: string): void {
  if (!holds) throw new Broken(rule);
}

/** What the first failing seed below `seeds` showed; null: none failed. */
export function firstFailure(seeds: number, run: (seed: number) => void): string | null {
  for (let seed = 0; seed < seeds; seed++) {
    try {
      run(seed);
    } catch (error) {
      if (error instanceof Broken || error instanceof StallError || error instanceof BugError) {
        return `${error.message} (seed ${seed})`;
      }
      throw error;
    }
  }
  return null;
}
