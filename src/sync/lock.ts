/**
 * What a lock is: one file, written once over the CPU operations, built by a factory from named
 * steps. The lock that is measured is the lock that is stress-tested.
 *
 * A lock lives at a linear-map address (hi, lo). Its memory is zeroed before `init`. Queue nodes
 * live in the CPUs' own areas (PerCpu.LockNodes), never inside the lock, as in the kernel.
 */

import type { Cpu, Program } from '../cpu/cpu.ts';
import type { BootMemory } from '../memory/boot.ts';
import type { Address } from '../memory/physical-address.ts';
import type { LockBranch } from './lock-events.ts';

export interface Lock {
  readonly name: string;
  /** Bytes of the lock's own memory. */
  readonly bytes: number;
  /** What `init` allocates beside it, for each CPU and each NUMA node of the machine. */
  readonly bytesPerCpu?: number;
  readonly bytesPerNode?: number;
  /** Works for so many CPUs only. */
  readonly cpusMax?: number;
  /** What it tells by notePassed; a stress run has to pass those that its size can. */
  readonly branches?: readonly LockBranch[];
  /**
   * First contents, if all zero is not the unlocked state. `physical` = the lock's physical
   * address.
   */
  init?(boot: BootMemory, physical: Address): void;
  acquire(cpu: Cpu, hi: number, lo: number): Program;
  release(cpu: Cpu, hi: number, lo: number): Program;
}

/** acquire and release are the write side. */
export interface ReadWriteLock extends Lock {
  acquireRead(cpu: Cpu, hi: number, lo: number): Program;
  releaseRead(cpu: Cpu, hi: number, lo: number): Program;
}

/** What `list locks` prints. */
export interface LockFacts {
  readonly description: string;
  readonly source: string;
  readonly fair: boolean;
  readonly queue: boolean;
  readonly numaAware: boolean;
  readonly readers: 'none' | 'shared line' | 'per CPU' | 'no writes';
  /** Line transfers per hand-over under contention, n waiters, an arrival included. */
  readonly transfers: string;
  /** Waiters may sleep: not for interrupt handlers. */
  readonly sleeps?: boolean;
}
