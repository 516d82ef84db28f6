/**
 * Making new instructions visible (arch/arm64/mm/cache.S, include/asm/cacheflush.h, v6.13).
 *
 * caches_clean_inval_pou: DC CVAU by line and DSB ISH unless CTR_EL0.IDC, IC IVAU by line, DSB ISH
 * and ISB unless CTR_EL0.DIC. flush_icache_range does that and then kick_all_cpus_sync: an IPI to
 * every CPU, since each must synchronise its own context before it may be relied on to execute the
 * new instructions. x86 keeps its instruction caches coherent: only the round of IPIs is left, as
 * text_poke_sync.
 */

import { LINE_BYTES } from '../../base/units.ts';
import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Fence, Scope, Tlbi } from '../../cpu/operations.ts';
import type { Machine } from '../../machine/machine.ts';
import { Counter } from '../../metrics/definition.ts';
import type { CallFunction, SmpCalls } from '../smp/call-function.ts';

const TWO_32 = 0x1_0000_0000;

/** caches_clean_inval_pou of [address, address + bytes), by virtual address. */
export function* cleanInvalidateToPou(
  cpu: Cpu,
  machine: Machine,
  hi: number,
  lo: number,
  bytes: number,
): Program {
  const { idc, dic } = machine.features;
  if (machine.architecture === 'x86') return;
  const first = (lo & ~(LINE_BYTES - 1)) >>> 0;
  const end = (lo >>> 0) + bytes;
  if (!idc) {
    for (let at = first; at < end; at += LINE_BYTES) {
      while (!cpu.cleanLineToPou((hi + Math.floor(at / TWO_32)) | 0, at | 0)) yield;
    }
  }
  while (!cpu.dsb(Scope.InnerShareable)) yield;
  if (!dic) {
    for (let at = first; at < end; at += LINE_BYTES) {
      while (!cpu.tlbi(Tlbi.IcIvau, (hi + Math.floor(at / TWO_32)) | 0, at | 0, 0)) yield;
    }
    while (!cpu.dsb(Scope.InnerShareable)) yield;
  }
  while (!cpu.fence(Fence.Isb)) yield;
}

/** What receivers of kick_all_cpus_sync run: taking the interrupt synchronises their context. */
export const synchronise: CallFunction = function* (cpu) {
  while (!cpu.fence(Fence.Isb)) yield;
};

/** kick_all_cpus_sync, text_poke_sync: every CPU has synchronised its context on return. */
export function* kickAllCpusSync(cpu: Cpu, smp: SmpCalls, functionNumber: number): Program {
  cpu.count(Counter.CodeBroadcasts, 1);
  while (!cpu.fence(Fence.DmbIsh)) yield;
  yield* smp.callOthers(cpu, functionNumber, 0, 0);
  while (!cpu.fence(Fence.Isb)) yield;
}
