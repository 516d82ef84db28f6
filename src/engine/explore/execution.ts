/**
 * One execution under control: what a scheduler sees of it and may do with it. Who runs next is
 * decided outside (strategy.ts, exhaustive search, replay, minimiser); what a step does is decided
 * inside. Generators can't be cloned, so going back means running again from the start.
 *
 * Agents are numbered: 0 ... n-1 the programs (one per CPU), then in blocks of n, by CPU: store-
 * buffer drains (tso), DVM deliveries, interrupts, hardware walkers. An agent has at most one
 * pending step, known before it is taken: kind, physical address, bytes. That is what dependence,
 * races, POS and sleep sets are made of.
 */

/** What a step is. One step makes at most one shared access. */
export const StepKind = {
  None: 0,
  Read: 1,
  Write: 2,
  /** Atomic read-modify-write. */
  Update: 3,
  Fence: 4,
  /** Conditional load: enabled when the condition holds on the word as it is. */
  Await: 5,
  Tlbi: 6,
  Dsb: 7,
  /** Sends an interrupt. */
  Ipi: 8,
  Wake: 9,
  /** Enabled after a wake or an interrupt. */
  Idle: 10,
  /** A deadline passes, or doesn't: the scheduler's choice. */
  Expire: 11,
  /** A store leaves a store buffer (tso). */
  Drain: 12,
  /** A DVM operation reaches a CPU. */
  Deliver: 13,
  /** A hardware walker reads a descriptor. */
  WalkRead: 14,
  /** A CPU takes an interrupt. */
  Interrupt: 15,
  /** Translation, cache maintenance, whole pages. */
  Other: 16,
} as const;
export type StepKind = (typeof StepKind)[keyof typeof StepKind];

export type MemoryModel = 'sc' | 'tso';

/** What strategies and searches see; arrays are by agent and change with each step. */
export interface Execution {
  readonly agentCount: number;
  readonly cpuCount: number;
  /** Pending step of each agent; StepKind.None = none. */
  readonly kind: Uint8Array;
  readonly hi: Int32Array;
  readonly lo: Int32Array;
  readonly bytes: Uint8Array;
  /** The first enabledCount: agents whose step can be taken now, ascending. */
  readonly enabled: Int32Array;
  enabledCount: number;
  /** Steps taken so far. */
  stepCount: number;
  /** Takes the pending step of an enabled agent; throws a Violation's error when a rule breaks. */
  take(agent: number): void;
}

/** Do the two pending steps not commute? Same line of bytes, at least one writes; or both order. */
export function dependent(execution: Execution, a: number, b: number): boolean {
  const x = execution.kind[a]! as StepKind;
  const y = execution.kind[b]! as StepKind;
  if (!touchesMemory(x) || !touchesMemory(y)) return ordersAll(x) || ordersAll(y);
  if (!writes(x) && !writes(y)) return false;
  if (execution.hi[a] !== execution.hi[b]) return false;
  const from = execution.lo[a]! >>> 0;
  const other = execution.lo[b]! >>> 0;
  return from < other + execution.bytes[b]! && other < from + execution.bytes[a]!;
}

export function writes(kind: StepKind): boolean {
  return kind === StepKind.Write || kind === StepKind.Update || kind === StepKind.Drain;
}

export function touchesMemory(kind: StepKind): boolean {
  return (
    writes(kind) || kind === StepKind.Read || kind === StepKind.Await || kind === StepKind.WalkRead
  );
}

/** Steps that are taken to meet everything: TLB maintenance, interrupts, wakes. */
function ordersAll(kind: StepKind): boolean {
  return kind !== StepKind.None && kind !== StepKind.Fence && !touchesMemory(kind);
}
