/**
 * What `numalab stress` runs: a small program per CPU over a lock or a protocol, which can go
 * wrong visibly, and what has to be reached for a clean pass to mean anything. The same target runs
 * on every engine.
 */

import type { Cpu, Program } from '../cpu/cpu.ts';
import type { Machine } from '../machine/machine.ts';
import type { BootMemory } from '../memory/boot.ts';
import type { Address } from '../memory/physical-address.ts';
import type { HandOffWords } from './oracles/hand-off.ts';

/** Sizes that the user chooses; a target gives the least and the default of each. */
export interface StressSize {
  readonly cpus: number;
  /** Rounds of its loop that each CPU makes. */
  readonly operations: number;
}

/** The kernel's map at boot; physical addresses. */
export interface KernelMapping {
  readonly kernelRoots: readonly Address[];
  readonly userRoots?: readonly Address[];
  /** The linear map is translated from this offset of each node on. */
  readonly linearTablesFrom?: number;
}

/** Plain data that boot leaves behind for programs: addresses of what is shared. */
export interface StressImage {
  readonly addresses: Readonly<Record<string, Address>>;
  readonly numbers: Readonly<Record<string, number>>;
  /** TTBR1 and TTBR0 by CPU and what else the engine has to know of tables; absent: no such map. */
  readonly kernel?: KernelMapping;
  /** Images of kernel objects (a PageAllocatorImage, a KvmImage, ...), plain data too. */
  readonly parts?: Readonly<Record<string, unknown>>;
}

/** A branch that a schedule has to pass, or the pass says nothing about it. */
export interface Goal {
  readonly name: string;
  /** Below these it is out of reach, which is said and is no failure. */
  readonly leastCpus: number;
  readonly leastOperations: number;
  /** From any of these sizes on it is in reach too. */
  readonly or?: readonly StressSize[];
  /** Strategies that are not expected to get there alone, and why. */
  readonly notBy?: Readonly<Record<string, string>>;
  /** No size is enough, and why. */
  readonly unreachable?: string;
}

/** What an oracle says. */
export interface Finding {
  /** Name of the oracle: exclusion, lost-update, deadlock, ... (src/stress/oracles). */
  readonly oracle: string;
  /** The CPU that broke the rule first, then those concerned. */
  readonly cpus: readonly number[];
  /** What happened, without CPUs and addresses. */
  readonly text: string;
  readonly hi: number;
  readonly lo: number;
}

/** How a target looks at memory after a run (physical, no cost, no scheduling). */
export interface Memory {
  word(address: Address): number;
}

/** What programs and checks of a target may tell besides what they do (host side, no cost). */
export interface Reporter extends Memory {
  /** The branch of a goal was passed. */
  reach(goal: string): void;
  /** A rule is broken: the run ends here. */
  fail(finding: Finding): void;
}

export interface StressTarget {
  readonly name: string;
  readonly group: 'locks' | 'protocols' | 'text';
  readonly description: string;
  readonly smallest: StressSize;
  readonly usual: StressSize;
  readonly goals: readonly Goal[];
  /** Has as many CPUs as `usual`. */
  readonly machine: Machine;
  readonly backedBytes: number;
  /** Why the host engine can't run it; absent: it can. */
  readonly exploreOnly?: string;
  /** The same with another number of CPUs; absent: `machine` has as many as can be. */
  resized?(cpus: number): Pick<StressTarget, 'machine' | 'backedBytes'>;
  /** How often a waiter may be overtaken by later ones; absent: the lock promises nothing. */
  readonly bypasses?: number;
  /** Where the lock promises its first waiter to be handed over. */
  readonly handOff?: HandOffWords;
  /** Whoever takes a table out of the tree owns its entries; absent: a mapping may be lost. */
  readonly ownsDescendants?: boolean;
  /** Names of goals by the numbers that locks tell (notePassed of src/sync/lock-events.ts). */
  readonly branches?: ReadonlyMap<number, string>;
  /**
   * CPUs that run the same program: each group's may change places, and every execution stays one,
   * with the CPUs' own areas renamed too. For exhaustive search; absent: none.
   */
  interchangeable?(size: StressSize): readonly (readonly number[])[];
  boot(memory: BootMemory, size: StressSize): StressImage;
  /** null: the CPU takes no part. */
  program(cpu: Cpu, image: StressImage, size: StressSize, report: Reporter): Program | null;
  /** After all programs have ended. */
  finish(memory: Memory, image: StressImage, size: StressSize, report: Reporter): void;
}
