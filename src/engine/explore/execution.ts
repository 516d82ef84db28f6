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
  /** A store enters its CPU's store buffer (tso): nobody else sees it before its Drain. */
  Buffer: 17,
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

/** Block of agents that walk; they update descriptors, too, so their kind doesn't tell. */
const WALKERS = 4;

/** Columns of steps: the pending ones by agent, or those of a trace by position. */
export type StepColumns = Pick<Execution, 'kind' | 'hi' | 'lo' | 'bytes'>;

/** Do the two pending steps not commute? Same line of bytes, at least one writes; or both order. */
export function dependent(execution: Execution, a: number, b: number): boolean {
  return stepsDepend(execution, a, a, execution, b, b, execution.cpuCount);
}

/**
 * The same of any two steps, each a row of its columns and its agent. That a buffered store comes
 * before its own drain is no dependence, but FIFO order: k-th before k-th (exhaustive/trace.ts).
 */
export function stepsDepend(
  from: StepColumns,
  a: number,
  agentA: number,
  to: StepColumns,
  b: number,
  agentB: number,
  cpuCount: number,
): boolean {
  const x = from.kind[a]! as StepKind;
  const y = to.kind[b]! as StepKind;
  if (agentA % cpuCount === agentB % cpuCount) {
    if (x === StepKind.Drain && y !== StepKind.Drain) return meetsOwnDrain(y, from, a, to, b);
    if (y === StepKind.Drain && x !== StepKind.Drain) return meetsOwnDrain(x, from, a, to, b);
    // A program waits for the walker of its CPU: where the one is, the other can't be.
    const [walkA, walkB] = [agentA >= WALKERS * cpuCount, agentB >= WALKERS * cpuCount];
    if (walkA !== walkB) return true;
  }
  if (!touchesMemory(x)) return touchesMemory(y) ? meetsMemory(x) : ordersAll(x) || ordersAll(y);
  if (!touchesMemory(y)) return meetsMemory(y);
  return (writes(x) || writes(y)) && overlap(from, a, to, b);
}

/**
 * A load takes its own CPU's newest buffered bytes, so it reads the same before and after they
 * drain; fences and updates wait for drains, whatever their address.
 */
function meetsOwnDrain(
  kind: StepKind,
  from: StepColumns,
  a: number,
  to: StepColumns,
  b: number,
): boolean {
  if (kind === StepKind.Read || kind === StepKind.Await || kind === StepKind.Expire) return false;
  if (kind === StepKind.Buffer || kind === StepKind.Idle) return false;
  return kind !== StepKind.WalkRead || overlap(from, a, to, b);
}

function overlap(from: StepColumns, a: number, to: StepColumns, b: number): boolean {
  if (from.hi[a] !== to.hi[b]) return false;
  const start = from.lo[a]! >>> 0;
  const other = to.lo[b]! >>> 0;
  return start < other + to.bytes[b]! && other < start + from.bytes[a]!;
}

export function writes(kind: StepKind): boolean {
  return kind === StepKind.Write || kind === StepKind.Update || kind === StepKind.Drain;
}

/** A deadline is a CPU's own: a wait that it ends has read the word, and that is all. */
export function touchesMemory(kind: StepKind): boolean {
  return (
    writes(kind) ||
    kind === StepKind.Read ||
    kind === StepKind.Await ||
    kind === StepKind.Expire ||
    kind === StepKind.WalkRead
  );
}

/** Who wakes whom is between the two, whatever is done to memory meanwhile. */
function meetsMemory(kind: StepKind): boolean {
  return ordersAll(kind) && kind !== StepKind.Wake && kind !== StepKind.Idle;
}

/** Steps that are taken to meet everything: TLB maintenance, interrupts, wakes. */
function ordersAll(kind: StepKind): boolean {
  if (kind === StepKind.None || kind === StepKind.Fence || kind === StepKind.Buffer) return false;
  return !touchesMemory(kind);
}
