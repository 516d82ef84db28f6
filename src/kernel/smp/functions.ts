/**
 * The functions that CPUs ask each other to run, by number, and what a CPU needs to ask: one set
 * for the whole kernel, so that systems that run side by side answer each other's calls.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { PerCpu } from '../../cpu/per-cpu.ts';
import type { Machine } from '../../machine/machine.ts';
import { answerFlush, type FlushKernelRange, makeKernelFlush } from '../kernel-table/flush.ts';
import { answerShootdown } from '../mm/shootdown.ts';
import { cleanInvalidateToPou, kickAllCpusSync, synchronise } from '../patching/icache.ts';
import { type CallFunction, SmpCalls, type SmpImage } from './call-function.ts';

export const CallNumber = { Synchronise: 0, Flush: 1, Shootdown: 2 } as const;
const FUNCTIONS: readonly CallFunction[] = [synchronise, answerFlush, answerShootdown];

/** One CPU's view: make one per CPU, enter before the first call of anybody. */
export interface KernelSmp {
  readonly calls: SmpCalls;
  readonly flushKernelRange: FlushKernelRange;
  /** flush_icache_range: new instructions in [address, address + bytes) are what all CPUs run. */
  flushIcacheRange(cpu: Cpu, hi: number, lo: number, bytes: number): Program;
  kickAllCpusSync(cpu: Cpu): Program;
}

export function openKernelSmp(cpu: Cpu, machine: Machine, image: SmpImage): KernelSmp {
  const calls = new SmpCalls(image, FUNCTIONS);
  calls.enter(cpu);
  const flushKernelRange = makeKernelFlush(machine, {
    smp: calls,
    functionNumber: CallNumber.Flush,
    infoHi: cpu.perCpuHi(cpu.id),
    infoLo: (cpu.perCpuLo(cpu.id) + PerCpu.Smp) | 0,
  });
  const kick = (at: Cpu): Program => kickAllCpusSync(at, calls, CallNumber.Synchronise);
  return {
    calls,
    flushKernelRange,
    *flushIcacheRange(at, hi, lo, bytes) {
      yield* cleanInvalidateToPou(at, machine, hi, lo, bytes);
      yield* kick(at);
    },
    kickAllCpusSync: kick,
  };
}
