/**
 * Kernel text executed and measured: every line that took longer than a hit in the private caches
 * is recorded as text.fetch: it missed them, or its translation was walked for. Time decides, never
 * whether an attempt was refused: that depends on how the engine cuts its work.
 *
 * A program of its own beside executeCode (kernel/code), which measures nothing and pays nothing.
 * The path may be continued by another CPU: what a thread takes along when it migrates.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import type { Machine } from '../../machine/machine.ts';
import { Metric } from '../../metrics/definition.ts';
import { type CodePath, LINE_MASK } from '../code/execute.ts';

/** What the slowest private hit of a fetch takes: L2, after a hit in the TLB's second level. */
export function fetchHitPs(machine: Machine): number {
  return machine.l2.latencyPs + machine.tlb2.penaltyPs;
}

export interface MeasuredRun {
  /** Virtual address of the text. */
  readonly hi: number;
  readonly lo: number;
  /** Stream of the CPU that branches are drawn from. */
  readonly stream: number;
  readonly blocks: number;
  /** fetchHitPs. */
  readonly hitPs: number;
}

/** Runs basic blocks along a path, from where it is. */
export function* executeMeasured(cpu: Cpu, path: CodePath, run: MeasuredRun): Program {
  const { hi, lo, stream } = run;
  const limitPs = run.hitPs + 1;
  for (let left = run.blocks; left > 0; left--) {
    const end = path.endOfBlock(cpu, stream);
    for (let { at } = path; ; at = (at | LINE_MASK) + 1) {
      const isLast = (at | LINE_MASK) >= end;
      const address = (lo + (isLast ? end : at)) | 0;
      const hitEnd = cpu.deadline(limitPs);
      cpu.begin(Metric.TextFetch);
      while (!cpu.fetch(hi, address)) yield;
      const word = cpu.lo;
      if (cpu.expired(hitEnd)) cpu.end(Metric.TextFetch);
      else cpu.cancel(Metric.TextFetch);
      if (!isLast) continue;
      path.follow(cpu, stream, end, word);
      break;
    }
  }
}
