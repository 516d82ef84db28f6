/**
 * Named costs: everything a CPU does that isn't a memory access, in picoseconds per machine.
 * Programs charge them by Cpu.spend(Cost.X); the value, source and confidence come from the machine
 * profile, and a run prints how many of the costs it used are estimates.
 */

export const Cost = {
  /** Synchronous exception from the guest to EL2 and register save (half of an HVC round trip). */
  GuestExit: 0,
  /** Register restore and ERET to the guest (the other half). */
  GuestEntry: 1,
  /** Synchronous exception to the host kernel's own vector, and its return. */
  ExceptionEntry: 2,
  ExceptionReturn: 3,
  /** IRQ entry and return. */
  InterruptEntry: 4,
  InterruptReturn: 5,
  /** Software path lengths of the fault path, memory accesses apart. */
  FaultDecode: 6,
  MemslotLookup: 7,
  VmaLookup: 8,
  GupFast: 9,
  StageTwoWalk: 10,
  FaultFinish: 11,
  /** Anonymous fault of the host: handle_mm_fault without its memory accesses. */
  HostFault: 12,
  /** Wake-up of a sleeping task: try_to_wake_up to the first instruction of the task. */
  TaskWake: 13,
  ContextSwitch: 14,
  /** System call entry and return (ioctl, userfaultfd read). */
  Syscall: 15,
  /** One resched point in a chunked loop (cond_resched_rwlock_write). */
  Resched: 16,
  /** Userspace handling of one userfaultfd message in the handler thread. */
  UffdHandle: 17,
  /** DC CIVAC per line, data already at the point of coherency. */
  CleanInvalidateLine: 18,
  /** DC ZVA per line. */
  ZeroLine: 19,
  /** Copy of one line, both sides in private cache. */
  CopyLine: 20,
  /** Barriers with nothing outstanding. */
  Dmb: 21,
  Dsb: 22,
  Isb: 23,
  /** Issue of one TLBI on this CPU, completion apart. */
  TlbiIssue: 24,
  /** Additional time of an atomic read-modify-write on an owned line. */
  Atomic: 25,
  /** Switch of VTTBR and TLB context around a flush (enter_vmid_context). */
  VmidContext: 26,
  /** Page allocator fast path, memory accesses apart. */
  PageAlloc: 27,
  /** RCU bookkeeping per callback invoked. */
  RcuCallback: 28,
} as const;
export type Cost = (typeof Cost)[keyof typeof Cost];

export const COST_COUNT = 29;

/** Key of each cost in a machine profile (`costs.KEY`, nanoseconds), in order of Cost. */
export const COST_NAMES: readonly string[] = [
  'guestExit',
  'guestEntry',
  'exceptionEntry',
  'exceptionReturn',
  'interruptEntry',
  'interruptReturn',
  'faultDecode',
  'memslotLookup',
  'vmaLookup',
  'gupFast',
  'stageTwoWalk',
  'faultFinish',
  'hostFault',
  'taskWake',
  'contextSwitch',
  'syscall',
  'resched',
  'uffdHandle',
  'cleanInvalidateLine',
  'zeroLine',
  'copyLine',
  'dmb',
  'dsb',
  'isb',
  'tlbiIssue',
  'atomic',
  'vmidContext',
  'pageAlloc',
  'rcuCallback',
];
