/**
 * TLB invalidation of a process (arch/arm64/include/asm/tlbflush.h, v6.13: __flush_tlb_range,
 * __flush_tlb_range_op, flush_tlb_page, flush_tlb_mm). The ASID is that of the TTBR0 in use.
 *
 * A machine without broadcasts has a shootdown by IPI instead (shootdown.ts).
 *
 * Deviation: the range form is RVAE1IS also where only last-level entries changed (RVALE1IS).
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Fence, Scope, Tlbi } from '../../cpu/operations.ts';
import { PAGE_BYTES } from '../base/struct-page.ts';
import type { Shootdown } from './shootdown.ts';
import { vaHi, vaLo } from './virtual-address.ts';

/** MAX_DVM_OPS: PTRS_PER_PTE with 4K pages. */
const MAX_DVM_OPS = 512;
/** MAX_TLBI_RANGE_PAGES: (31 + 1) << (5 * 3 + 1). */
const MAX_TLBI_RANGE_PAGES = 2_097_152;

/** How the process's kernel reaches other CPUs' TLBs. */
export interface FlushMeans {
  /** FEAT_TLBIRANGE. */
  readonly tlbirange: boolean;
  /** null: by broadcast. */
  readonly shootdown: Shootdown | null;
}

export interface FlushRange {
  readonly start: number;
  readonly end: number;
  /** Bytes that one entry covers. */
  readonly strideBytes: number;
  /** No table was freed: only last-level entries need to go. */
  readonly lastLevel: boolean;
}

/** Returns when no CPU translates through the old entries any more. */
export function* flushTlbRange(cpu: Cpu, means: FlushMeans, range: FlushRange): Program {
  const { start, end, strideBytes } = range;
  const { tlbirange, shootdown } = means;
  if (shootdown !== null) {
    yield* shootdown(cpu, start, end, strideBytes);
    return;
  }
  const pages = (end - start) / PAGE_BYTES;
  while (!cpu.fence(Fence.DsbIshSt)) yield;
  const tooMany = !tlbirange && end - start >= MAX_DVM_OPS * strideBytes;
  if (tooMany || pages > MAX_TLBI_RANGE_PAGES) {
    while (!cpu.tlbi(Tlbi.AsidE1Is, 0, 0, 0)) yield;
  } else if (tlbirange) {
    yield* issueRange(cpu, range);
  } else {
    for (let address = start; address < end; address += strideBytes) {
      yield* issuePage(cpu, address, range.lastLevel);
    }
  }
  while (!cpu.dsb(Scope.InnerShareable)) yield;
}

/** flush_tlb_page: one last-level entry on every CPU. */
export function* flushTlbPage(cpu: Cpu, means: FlushMeans, address: number): Program {
  if (means.shootdown !== null) {
    yield* means.shootdown(cpu, address, address + PAGE_BYTES, PAGE_BYTES);
    return;
  }
  while (!cpu.fence(Fence.DsbIshSt)) yield;
  yield* issuePage(cpu, address, true);
  while (!cpu.dsb(Scope.InnerShareable)) yield;
}

function* issuePage(cpu: Cpu, address: number, lastLevel: boolean): Program {
  const operation = lastLevel ? Tlbi.VaLE1Is : Tlbi.VaE1Is;
  while (!cpu.tlbi(operation, vaHi(address), vaLo(address), 0)) yield;
}

/** One instruction covers (NUM + 1) << (5 * SCALE + 1) pages; an odd page takes the plain form. */
function* issueRange(cpu: Cpu, range: FlushRange): Program {
  const { strideBytes, lastLevel } = range;
  let { start } = range;
  let pages = (range.end - start) / PAGE_BYTES;
  for (let scale = 3; pages > 0; ) {
    if (pages === 1) {
      yield* issuePage(cpu, start, lastLevel);
      start += strideBytes;
      pages -= strideBytes / PAGE_BYTES;
      continue;
    }
    const unit = 2 ** (5 * scale + 1);
    const units = Math.min(32, Math.floor(pages / unit));
    if (units > 0) {
      const covered = units * unit;
      while (!cpu.tlbi(Tlbi.RvaE1Is, vaHi(start), vaLo(start), covered)) yield;
      start += covered * PAGE_BYTES;
      pages -= covered;
    }
    scale--;
  }
}
