/** The closed lists that the CPU operations take as arguments. Plain numbers on hot paths. */

/**
 * Memory order of an access: what it means in the Arm memory model, and documentation of a lock.
 */
export const Order = {
  Relaxed: 0,
  Acquire: 1,
  Release: 2,
  AcquireRelease: 3,
  SequentiallyConsistent: 4,
} as const;
export type Order = (typeof Order)[keyof typeof Order];

/**
 * Condition on (value & mask) against an operand; closed, because the engine evaluates it.
 * AtLeastWrapping: ((value & mask) - operand) as a signed 32-bit difference is >= 0.
 * AnyBitClear/AnyBitSet: some bit of mask is clear/set (operand unused).
 */
export const Condition = {
  Equal: 0,
  NotEqual: 1,
  AtLeastWrapping: 2,
  AnyBitClear: 3,
  AnyBitSet: 4,
} as const;
export type Condition = (typeof Condition)[keyof typeof Condition];

/** Does the condition hold on the word? One definition for every engine. */
export function conditionHolds(
  value: number,
  kind: number,
  mask: number,
  operand: number,
): boolean {
  const masked = value & mask;
  switch (kind) {
    case Condition.Equal:
      return masked === (operand | 0);
    case Condition.NotEqual:
      return masked !== (operand | 0);
    case Condition.AtLeastWrapping:
      return ((masked - operand) | 0) >= 0;
    case Condition.AnyBitClear:
      return masked !== mask;
    default:
      return masked !== 0;
  }
}

export const Fence = { DmbIsh: 0, DmbIshSt: 1, DmbIshLd: 2, DsbIshSt: 3, Isb: 4 } as const;
export type Fence = (typeof Fence)[keyof typeof Fence];

/** Domain that a DSB waits for. */
export const Scope = { NonShareable: 0, InnerShareable: 1 } as const;
export type Scope = (typeof Scope)[keyof typeof Scope];

/**
 * Translation regimes (Arm ARM D8.1). Host is EL2&0 under VHE (or EL1&0 without a VMID on a machine
 * without VHE): stage 1 only. Guest is EL1&0 with stage 2: combined entries tagged with the VMID.
 */
export const Regime = { Host: 0, Guest: 1 } as const;
export type Regime = (typeof Regime)[keyof typeof Regime];

/**
 * Where a synchronous exception is taken: own stage-1 faults of the host; exits of a guest to EL2.
 */
export const Level = { Host: 0, El2: 1, Guest: 2 } as const;
export type Level = (typeof Level)[keyof typeof Level];

/**
 * TTBR0/TTBR1: host roots. Vttbr: stage-2 root (tag = VMID). Guest*: roots in the guest regime
 * (IPA).
 */
export const Register = { Ttbr0: 0, Ttbr1: 1, Vttbr: 2, GuestTtbr0: 3, GuestTtbr1: 4 } as const;
export type Register = (typeof Register)[keyof typeof Register];

/**
 * TLBI and IC forms, named as in the Arm ARM. *Is forms are broadcast over the inner-shareable
 * domain and need a DSB to complete; the others act on the issuing CPU.
 * Range forms take the number of granule pages in `argument`. VA and ASID forms act on the current
 * regime. VmallE1*, IPAS2* and VmallS12* act on the VMID in VTTBR (what KVM's enter_vmid_context
 * arranges); VmallHost* is VMALLE1 issued with HCR_EL2.TGE set, so on EL2&0.
 */
export const Tlbi = {
  /** Host stage 1 by VA and ASID, all levels / last level only. */
  VaE1: 0,
  VaE1Is: 1,
  VaLE1Is: 2,
  /** Host stage 1 by VA, every ASID (kernel addresses). */
  VaaE1Is: 3,
  RvaE1Is: 4,
  AsidE1Is: 5,
  /** All stage-1 (and combined) entries of the VMID in VTTBR. */
  VmallE1: 6,
  VmallE1Is: 7,
  /** Stage-2-only entries for an IPA; does not remove combined entries. */
  IpaS2E1: 8,
  IpaS2E1Is: 9,
  RipaS2E1Is: 10,
  /** Stage 1 and 2 of the current VMID. */
  VmallS12E1Is: 11,
  /** Every EL1&0 entry of every VMID (VMID rollover). */
  AllE1Is: 12,
  /** Instruction cache, whole, broadcast. */
  IcIalluIs: 13,
  /** Instruction cache by line, broadcast; the address is translated as a load's is. */
  IcIvau: 14,
  /** All stage-1 entries of the host regime (kernel ranges beyond the cut-off). */
  VmallHost: 15,
  VmallHostIs: 16,
} as const;
export type Tlbi = (typeof Tlbi)[keyof typeof Tlbi];

/** Is the form broadcast over DVM? */
export function isBroadcast(operation: Tlbi): boolean {
  return !(
    operation === Tlbi.VaE1 ||
    operation === Tlbi.VmallE1 ||
    operation === Tlbi.IpaS2E1 ||
    operation === Tlbi.VmallHost
  );
}

/**
 * Fault status codes without the level (Arm ARM, ISS encoding for data aborts): FSC = kind |
 * level.
 */
export const FaultKind = {
  AddressSize: 0b000000,
  Translation: 0b000100,
  AccessFlag: 0b001000,
  Permission: 0b001100,
  TlbConflict: 0b110000,
} as const;
export type FaultKind = (typeof FaultKind)[keyof typeof FaultKind];

/** Syndrome of the last synchronous exception of a CPU. */
export interface Exception {
  /** FSC: FaultKind | level of the descriptor that faulted. */
  fsc: number;
  /** The access wrote (WnR). */
  write: boolean;
  /** The access was an instruction fetch. */
  instruction: boolean;
  /** The fault is on a stage-2 translation of a stage-1 walk (S1PTW). */
  stage1Walk: boolean;
  /** FAR: the virtual address. */
  farHi: number;
  farLo: number;
  /** HPFAR: the IPA with its low 12 bits zero (stage-2 faults only). */
  ipaHi: number;
  ipaLo: number;
}

/** Kinds of checker events (Cpu.event). */
/**
 * Levels of interrupt vectors: a handler is interrupted by higher levels only. Masking holds back
 * Soft and Hard; the others come through. Handlers of Soft run with interrupts as they were
 * (softirqs), those above with interrupts masked.
 */
export const InterruptLevel = {
  /** No handler runs. */
  Task: 0,
  Soft: 1,
  Hard: 2,
  Nmi: 3,
  /** System error, machine check: inside an NMI, too. */
  Error: 4,
} as const;
export type InterruptLevel = (typeof InterruptLevel)[keyof typeof InterruptLevel];

export function comesThrough(
  level: InterruptLevel,
  running: InterruptLevel,
  interruptsEnabled: boolean,
): boolean {
  return level > running && (interruptsEnabled || level >= InterruptLevel.Nmi);
}

export const EventKind = {
  LockAcquired: 0,
  LockReleased: 1,
  ReadLockAcquired: 2,
  ReadLockReleased: 3,
  RcuReadLock: 4,
  RcuReadUnlock: 5,
  TablePageFreed: 6,
  TablePageAllocated: 7,
  FrameAllocated: 8,
  FrameFreed: 9,
  /** A table page is out of the tree and will be freed by RCU. */
  TablePageUnlinked: 10,
  /** A leaf lost its write permission for dirty logging; physical address | log2 of its bytes. */
  PageWriteProtected: 11,
  /** All leaves that this CPU write-protected so far are flushed from every TLB. */
  WriteProtectFlushed: 12,
  /** The next acquisition of this CPU was a try that would not have waited. */
  LockTried: 13,
  /** Asks for a lock and will wait for it; told by programs that watch fairness. */
  LockAsked: 14,
  /** An object without a page of its own: from here on nobody may touch it, or may again. */
  ObjectFreed: 15,
  ObjectAllocated: 16,
  /** A handler of an interrupt begins, ends. */
  InterruptEntered: 17,
  InterruptLeft: 18,
  /** Nobody can find the object any more; who has found it may still use it. */
  ObjectUnlinked: 19,
  // What histories are made of; how addresses carry it: src/stress/oracles/history-events.ts.
  /** A change of mappings is asked for, what it leads to, and it is over. */
  ChangeInvoked: 20,
  ChangeOutput: 21,
  ChangeReturned: 22,
  /** The accesses that follow are to this page of a guest; one was refused. */
  GuestAccess: 23,
  GuestRefused: 24,
  /** Where the tables of a guest begin. */
  TableRoot: 25,
  /** Where a dirty bitmap is, and the pages that it is about. */
  DirtyBitmap: 26,
  DirtyBitmapPages: 27,
  /** A branch of a lock's code (src/sync/lock-events.ts): its number instead of an address. */
  BranchPassed: 28,
  /** The instruction at the address is changed for all: nobody may execute an older one. */
  TextPatched: 29,
  // Of text that comes and goes, by line; linear-map addresses. See src/stress/oracles.
  /** It may be executed from here on, and nobody may write to it; it may not be any more. */
  TextPublished: 30,
  TextRetracted: 31,
  /** The descriptor of the window that text is poked through. */
  PokeWindow: 32,
  /**
   * Memory that was made executable for good, or is no longer; its linear alias is writable, or no
   * longer. Physical address | order.
   */
  TextExecutable: 33,
  TextNotExecutable: 34,
  AliasWritable: 35,
  AliasProtected: 36,
} as const;
export type EventKind = (typeof EventKind)[keyof typeof EventKind];
