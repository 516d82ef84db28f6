/**
 * Costs that no machine of the list has published: path lengths of kernel software and single
 * instructions. A profile that names a cost wins; the rest take these figures, and every one of
 * them is labelled an estimate wherever it is printed. They are in nanoseconds on a core of about
 * 2.8 GHz; the sensitivity of a result to them is what the label is for.
 */

export interface CostEstimate {
  readonly ns: number;
  readonly source: string;
}

function estimate(ns: number, source: string): CostEstimate {
  return { ns, source };
}

const EXCEPTION = 'vector, save of registers and ESR read: about 100 instructions and one flush';

export const COST_ESTIMATES: Readonly<Record<string, CostEstimate>> = {
  guestExit: estimate(146, 'half of the HVC round trip of 292 ns published for Neoverse N1'),
  guestEntry: estimate(146, 'half of the HVC round trip of 292 ns published for Neoverse N1'),
  exceptionEntry: estimate(60, EXCEPTION),
  exceptionReturn: estimate(40, 'restore of registers and ERET'),
  interruptEntry: estimate(120, 'as exceptionEntry, plus acknowledging the interrupt (ICC_IAR1)'),
  interruptReturn: estimate(80, 'as exceptionReturn, plus end of interrupt (ICC_EOIR1)'),
  faultDecode: estimate(
    40,
    'kvm_handle_guest_abort: ESR, FAR, HPFAR decode, about 100 instructions',
  ),
  memslotLookup: estimate(15, 'last-used slot or a short tree walk, accesses apart'),
  vmaLookup: estimate(40, 'maple tree walk of a few levels, accesses apart'),
  gupFast: estimate(100, 'get_user_pages_fast of one page: about 300 instructions'),
  stageTwoWalk: estimate(60, 'kvm_pgtable_walk to level 3, accesses apart'),
  faultFinish: estimate(30, 'kvm_set_pfn_dirty, release of the page, return path'),
  hostFault: estimate(150, 'handle_mm_fault of an anonymous page, accesses apart'),
  taskWake: estimate(1500, 'try_to_wake_up to the first instruction: IPI, idle exit, switch'),
  contextSwitch: estimate(700, '__schedule with a switch of address space'),
  syscall: estimate(100, 'SVC entry and return with the path to the handler'),
  resched: estimate(20, 'cond_resched that finds nothing to do'),
  uffdHandle: estimate(300, "handler's own work per userfaultfd message, system calls apart"),
  cleanInvalidateLine: estimate(
    1.2,
    'DC CIVAC throughput; from stage-2 create times of Kunpeng 920',
  ),
  zeroLine: estimate(1.5, 'DC ZVA at about 4 cycles, as published for Kunpeng 920'),
  copyLine: estimate(3, 'two load pairs and two store pairs per 32 bytes, both in L1'),
  dmb: estimate(2, 'nothing outstanding'),
  dsb: estimate(10, 'nothing outstanding'),
  isb: estimate(10, 'pipeline flush'),
  tlbiIssue: estimate(5, 'one issue slot; completion is charged by DVM'),
  atomic: estimate(6.6, 'LDADD of 8 ns on an owned line (estimate) less an L1 hit'),
  vmidContext: estimate(20, '__tlb_switch_to_guest: VTTBR write and ISB'),
  pageAlloc: estimate(40, 'rmqueue_pcplist fast path, accesses apart'),
  rcuCallback: estimate(15, 'one element of rcu_do_batch'),
};

/** For a cost that this table doesn't know yet; a test refuses to let that stand. */
export const UNKNOWN_COST: CostEstimate = { ns: 50, source: 'no figure yet' };
