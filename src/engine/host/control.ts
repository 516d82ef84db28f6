/**
 * Shared control words of a host run; every offset is here and nowhere else. Int32 words, one block
 * per CPU in which what others write, what only the CPU writes and its interrupt counts have host
 * cache lines of their own.
 */

/** Words of the whole run. */
export const Global = {
  /** Abort: why everybody must stop. */
  Abort: 0,
  /** CPUs whose program has ended. */
  Finished: 16,
  /** Interrupts that were sent and not yet handled to the end. */
  InFlight: 32,
  /** Waits that ended by time-out although the condition held and no bell ever came: a bug. */
  LostWakes: 48,
  /** The same, but the bell came late (the storing thread was not running). */
  LateWakes: 49,
  Words: 64,
} as const;

export const Abort = { None: 0, WorkerFailed: 1, Stalled: 2, Interrupted: 3 } as const;

export const VECTORS = 16;

/** Words of one CPU's block. */
export const Block = {
  /** Counts every reason to wake up. */
  Bell: 0,
  /** A wake() that idle() has not taken yet. */
  Wake: 16,
  /** Interrupts pending, all vectors. */
  Pending: 17,
  TlbiPosted: 18,
  TlbiServed: 32,
  State: 33,
  /** While waiting: address, condition, mask, operand. */
  WaitHi: 34,
  WaitLo: 35,
  WaitKind: 36,
  WaitMask: 37,
  WaitOperand: 38,
  /** Attempts performed, modulo 2^32, published now and then: for the stall watch. */
  Performed: 39,
  Marks: 40,
  /** Pending interrupts by vector. */
  Vectors: 48,
  Words: 64,
} as const;

export const State = { Running: 0, Condition: 1, Idle: 2, Barrier: 3, Finished: 4 } as const;

/** Buckets of the waiter bitmap. */
const BUCKETS = 256;

/** Where things are in the control buffer of a machine with this many CPUs. */
export interface ControlLayout {
  readonly cpuCount: number;
  /** First word of CPU 0's block. */
  readonly blocks: number;
  readonly buckets: number;
  /** Words per bucket, whole host cache lines. */
  readonly bucketWords: number;
}

export function controlLayout(cpuCount: number): ControlLayout {
  const buckets = Global.Words + cpuCount * Block.Words;
  return {
    cpuCount,
    blocks: Global.Words,
    buckets,
    bucketWords: Math.ceil(cpuCount / 512) * 16,
  };
}

export function controlBytes(cpuCount: number): number {
  const layout = controlLayout(cpuCount);
  return (layout.buckets + BUCKETS * layout.bucketWords) * 4;
}

export function blockOf(layout: ControlLayout, cpu: number): number {
  return layout.blocks + cpu * Block.Words;
}

/** First bitmap word of the bucket that an address's line falls into. */
export function bucketOf(layout: ControlLayout, paHi: number, paLo: number): number {
  const line = (paLo >>> 6) ^ Math.imul(paHi, 0x9e3779b1);
  const hash = Math.imul(line, 0x9e3779b1) >>> 24;
  return layout.buckets + hash * layout.bucketWords;
}
