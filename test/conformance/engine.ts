/**
 * What the conformance suite asks of an engine: boot a scenario, run one program per CPU, and show
 * the memory afterwards. A scenario is named by module and export, so that an engine may run its
 * programs in other threads.
 */

import type { Cpu, Program } from '../../src/cpu/cpu.ts';
import type { BootMemory } from '../../src/memory/boot.ts';
import type { Address } from '../../src/memory/physical-address.ts';
import type { Lock } from '../../src/sync/lock.ts';
import { makeLock } from '../../src/sync/registry.ts';

export interface ScenarioParameters {
  readonly lock: string;
  readonly cpuCount: number;
  readonly rounds: number;
  /** A lock that isn't registered (a mutant), for engines that run programs in this thread. */
  readonly make?: () => Lock;
  /** Told who has the lock (handOvers); for engines that run programs in this thread. */
  readonly entered?: (cpu: number) => unknown;
}

/** Linear-map addresses of what the programs share. Plain data. */
export interface ScenarioImage {
  readonly locks: readonly Address[];
  /** One line per word: use words[i], offset 0. */
  readonly words: readonly Address[];
}

export interface Scenario {
  boot(boot: BootMemory, parameters: ScenarioParameters): ScenarioImage;
  program(cpu: Cpu, image: ScenarioImage, parameters: ScenarioParameters): Program | null;
}

export interface ConformanceOutcome {
  readonly image: ScenarioImage;
  /** Last value of words[index]. */
  word(index: number): number;
  /** Sum of a counter over all CPUs. */
  counter(counter: number): number;
}

export interface ConformanceEngine {
  readonly name: string;
  run(
    scenario: string,
    parameters: ScenarioParameters,
    seed: number,
  ): Promise<ConformanceOutcome> | ConformanceOutcome;
}

export function lockOf(parameters: ScenarioParameters): Lock {
  return parameters.make?.() ?? makeLock(parameters.lock);
}
