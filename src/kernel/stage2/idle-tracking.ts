/**
 * Idle page tracking (mm/page_idle.c: page_idle_bitmap_write, page_idle_clear_pte_refs), as
 * access_tracking_perf_test drives it: each page's accessed state is tested and cleared in the host
 * and, by clear_young, in stage 2, one hold of mmu_lock per page.
 *
 * Deviation: the idle flag of struct page is not kept; a page counts as still idle if nothing has made
 * it young since it was last marked.
 */

import type { Cpu, Program } from '../../cpu/cpu.ts';
import { Cost } from '../../machine/costs.ts';
import { rcuQuiescent } from '../base/rcu.ts';
import { HostEntry, newHostEntryRead, readEntry } from './host-table.ts';
import { clearYoungNotify } from './notifier.ts';
import type { SlotImage, Vm } from './vm.ts';

/** Marks pages idle; cpu.ret = how many of them were idle still. */
export function* markMemoryIdle(
  cpu: Cpu,
  vm: Vm,
  slot: SlotImage,
  firstPage: number,
  pages: number,
): Program {
  const entry = newHostEntryRead();
  let stillIdle = 0;
  for (let page = firstPage; page < firstPage + pages; page++) {
    const offset = page * vm.pageBytes;
    // pread of pagemap, then pread and pwrite of page_idle/bitmap.
    cpu.spendMany(Cost.Syscall, 3);
    yield* readEntry(cpu, vm, slot.host, offset, entry);
    if ((entry.lo & HostEntry.Present) === 0) continue;
    yield* clearYoungNotify(cpu, vm, slot, offset, vm.pageBytes);
    if (!cpu.ok) stillIdle++;
    yield* rcuQuiescent(cpu);
  }
  cpu.ret = stillIdle;
}
