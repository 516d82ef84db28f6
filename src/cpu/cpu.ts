/**
 * The CPU operations: everything that runs on an emulated CPU (lock, page-table update, fault
 * handler, workload) is a generator over this interface, and every engine implements it.
 *
 * One rule carries it: **an attempt returns true if it was performed, false if not; on false the
 * program yields and repeats the identical attempt.** Nothing else blocks. Results of a performed
 * attempt are in `lo`, `hi`, `ok` until the next attempt: read them at once.
 *
 *     while (!cpu.load64(hi, lo, Order.Acquire)) yield;
 *
 * A step that consists of one access is a function with the same contract, not a program: no
 * generator is made for it.
 *
 *     while (!rcuEnterIdle(cpu)) yield;
 *
 * Addresses are pairs of signed 32-bit halves (hi, lo) and virtual in the current regime. Programs
 * never see the clock: latencies are taken by begin/end, and `expired` is the only legal branch on
 * time. Whatever two CPUs can both see is in emulated memory; a JavaScript variable that two CPUs
 * see is a bug.
 */

import type { Cost } from '../machine/costs.ts';
import type {
  Condition,
  Exception,
  Fence,
  InterruptLevel,
  Level,
  Order,
  Regime,
  Register,
  Scope,
  Tlbi,
} from './operations.ts';

/**
 * What a program yields: nothing ("repeat my attempt later") or a program to run first (a call).
 */
export type Program = Generator<Program | undefined, void, undefined>;

/** Makes the program of an exception vector or an interrupt handler. */
export type Handler = (cpu: Cpu) => Program;

export interface Cpu {
  /** 0 .. cpuCount-1, the CPU's number on the machine. */
  readonly id: number;
  readonly node: number;
  /** Number of CPUs of the machine; ids of other CPUs are below it. */
  readonly cpuCount: number;
  /** Node of any CPU. */
  nodeOfCpu(id: number): number;
  /** Linear-map address of a CPU's own area (per-cpu.ts). */
  perCpuHi(id: number): number;
  perCpuLo(id: number): number;
  /** Result words of the last performed attempt, signed 32-bit. */
  lo: number;
  hi: number;
  /** Compare-and-swap succeeded; cond32Until: the condition holds; translate: no fault. */
  ok: boolean;
  /** Small-integer result of a called program (0 or a negative errno). */
  ret: number;
  /** Bytes at the start of each node's memory that have contents; beyond it lines have no bytes. */
  readonly backedBytes: number;

  // ---- memory: single-copy atomic, naturally aligned ------------------------------------------
  load32(aHi: number, aLo: number, order: Order): boolean;
  load64(aHi: number, aLo: number, order: Order): boolean;
  store32(aHi: number, aLo: number, value: number, order: Order): boolean;
  store64(aHi: number, aLo: number, vHi: number, vLo: number, order: Order): boolean;
  /** Result: the old value in lo (and hi), ok = it was the expected one and desired was stored. */
  cas32(aHi: number, aLo: number, expected: number, desired: number, order: Order): boolean;
  cas64(
    aHi: number,
    aLo: number,
    eHi: number,
    eLo: number,
    dHi: number,
    dLo: number,
    order: Order,
  ): boolean;
  swap32(aHi: number, aLo: number, value: number, order: Order): boolean;
  swap64(aHi: number, aLo: number, vHi: number, vLo: number, order: Order): boolean;
  /** Fetch-and-add; result: the old value. */
  add32(aHi: number, aLo: number, value: number, order: Order): boolean;
  add64(aHi: number, aLo: number, vHi: number, vLo: number, order: Order): boolean;
  /** LDSET and LDCLR: fetch-and-or, fetch-and-and-not; result: the old value. */
  set32(aHi: number, aLo: number, bits: number, order: Order): boolean;
  clear32(aHi: number, aLo: number, bits: number, order: Order): boolean;
  /** Aligned part of a 32-bit word (qspinlock's locked byte, tail half). */
  load8(aHi: number, aLo: number, order: Order): boolean;
  store8(aHi: number, aLo: number, value: number, order: Order): boolean;
  store16(aHi: number, aLo: number, value: number, order: Order): boolean;
  swap16(aHi: number, aLo: number, value: number, order: Order): boolean;
  /** smp_cond_load: performed when the condition holds on the word; lo = the value that held. */
  cond32(
    aHi: number,
    aLo: number,
    kind: Condition,
    mask: number,
    operand: number,
    order: Order,
  ): boolean;
  /** As cond32, but also performed, with ok = false, once the deadline has expired. */
  cond32Until(
    aHi: number,
    aLo: number,
    kind: Condition,
    mask: number,
    operand: number,
    deadline: number,
    order: Order,
  ): boolean;
  /** DC ZVA: zeroes one line. */
  zeroLine(aHi: number, aLo: number): boolean;
  /** DC CIVAC: the line ends uncached everywhere. */
  cleanInvalidateLine(aHi: number, aLo: number): boolean;
  /** DC CVAU: from the point of unification, what fetches see, the line is up to date. */
  cleanLineToPou(aHi: number, aLo: number): boolean;
  /**
   * Whole naturally aligned pages in one attempt; only for memory without bytes (see backedBytes).
   */
  zeroPage(aHi: number, aLo: number, bytes: number): boolean;
  copyPage(dHi: number, dLo: number, sHi: number, sLo: number, bytes: number): boolean;
  cleanInvalidatePage(aHi: number, aLo: number, bytes: number): boolean;
  /**
   * Instruction fetch (instruction TLB, L1I, L2, home); lo = the word as the instruction side sees
   * it. Unless the machine says otherwise (CTR_EL0.IDC, DIC) that may be an older one until the
   * data is cleaned (cleanLineToPou, DSB) and the instruction caches are invalidated (Tlbi.IcIvau,
   * DSB); in any case until this CPU synchronises its context: Fence.Isb, an exception or
   * interrupt taken or returned from, setRoot, setRegime.
   */
  fetch(aHi: number, aLo: number): boolean;
  fence(kind: Fence): boolean;

  // ---- translation and system -----------------------------------------------------------------
  /** AT: lo/hi = physical address, ok = no fault, ret = fault status code. */
  translate(aHi: number, aLo: number, write: boolean): boolean;
  /**
   * TLBI or IC broadcast, issued and not complete. The operand is by operation: a virtual address
   * (VA forms), an IPA (IPAS2 forms) or nothing; `argument` = pages of a range form. Non-IS forms
   * act on this CPU alone. VMID and ASID are those of the current registers.
   */
  tlbi(operation: Tlbi, aHi: number, aLo: number, argument: number): boolean;
  /** Performed when every TLBI that this CPU issued before is acknowledged by all its receivers. */
  dsb(scope: Scope): boolean;
  ipi(target: number, vector: number): boolean;
  /**
   * SEV-like message to a CPU in idle(). Never lost: a wake before idle() makes it return at once.
   */
  wake(target: number): boolean;
  /** Performed after a wake or an interrupt. */
  idle(): boolean;
  /** Writes a root or tag register. `tag`: ASID for TTBR0, VMID for VTTBR, else 0. */
  setRoot(register: Register, paHi: number, paLo: number, tag: number): boolean;

  // ---- never refuse, never touch shared state -------------------------------------------------
  /** Switches the translation regime (kernel code enters and leaves the guest with it). */
  setRegime(regime: Regime): void;
  readonly regime: Regime;
  /**
   * Installs the program for synchronous exceptions to a level (Level.El2: stage-2; Level.Host:
   * own stage-1).
   */
  setVector(level: Level, handler: Handler): void;
  /**
   * Installs the program for an interrupt vector; without a level it is InterruptLevel.Hard. The
   * timed engine knows that level alone: a handler is interrupted if it enables interrupts.
   */
  setInterrupt(vector: number, handler: Handler, level?: InterruptLevel): void;
  /** Valid in an exception handler. Exception.far* = faulting VA, hpfar* = faulting IPA (page). */
  readonly exception: Exception;
  /**
   * In a handler: the refused attempt counts as performed with ok = false when it is next
   * repeated.
   */
  skipAttempt(): void;
  /** Time for a cost named in the machine profile. */
  spend(cost: Cost): void;
  /** `count` times a named cost. */
  spendMany(cost: Cost, count: number): void;
  /** Time in picoseconds (think and hold times of a workload). */
  compute(costPs: number): void;
  /** Starts and ends one measured operation; nested per metric, matched by assertion. */
  begin(metric: number): void;
  end(metric: number): void;
  /** Drops an open measurement. */
  cancel(metric: number): void;
  count(counter: number, amount: number): void;
  /** One completed operation of the workload: progress. */
  mark(): void;
  /** For checkers: lock acquired, released, object freed, ... (EventKind). */
  event(kind: number, aHi: number, aLo: number): void;
  /** Names the phase of the run that this CPU is in (an index into the workload's phase names). */
  phase(index: number): void;
  /** uint32 from a named stream of this CPU (an index into the workload's stream names). */
  random(stream: number): number;
  /** A handle for expired(). */
  deadline(afterPs: number): number;
  expired(deadline: number): boolean;
  /** Enables or masks interrupts; returns the previous state. */
  interrupts(enabled: boolean): boolean;
}
