/**
 * Sizes that a search of schedules scales down, because zeroing two megabytes says nothing about
 * who may do it when: what PMD_SIZE is, and how densely fresh text is filled. A run has the
 * kernel's.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { fillWithTraps } from './executable-memory.ts';
import { type FreeAreaSteps, freeAreaSteps } from './free-areas.ts';

/** PMD_SIZE with 4K pages. */
export const PMD_BYTES = 2 ** 21;

/** What allocators do to memory and areas; steps that mutants and small targets replace. */
export interface ExecmemSteps {
  /** memset of fresh memory that nobody can execute yet. */
  fill(cpu: Cpu, hi: number, lo: number, bytes: number, word: number): Program;
  readonly areas: FreeAreaSteps;
}

export const execmemSteps: ExecmemSteps = { fill: fillWithTraps, areas: freeAreaSteps };
