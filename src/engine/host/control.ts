/**
 * Shared control words of a host run; every offset is here and nowhere else. Int32 words, one block
 * per CPU in which what others write, what only the CPU writes and its interrupt counts have host
 * cache lines of their own; then the waiter bitmap, the log of TLBIs and the owners of locks.
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
  /** TLBIs posted so far, modulo 2^32 (tlbi-log.ts). */
  TlbiNext: 64,
  /** Rounds of a soak: the number of the one that runs, CPUs that have ended it, go on or not. */
  Round: 80,
  RoundArrived: 81,
  RoundGo: 82,
  /** Threads that are ready to begin. */
  Ready: 83,
  /** Events logged in this round, also those beyond the log's room (event-log.ts). */
  EventNext: 96,
  Words: 112,
} as const;

export const Abort = { None: 0, WorkerFailed: 1, Stalled: 2, Interrupted: 3 } as const;

export const VECTORS = 32;
/** Operations that a CPU's trace remembers, and words of each. */
export const TRACE_ENTRIES = 16;
export const TRACE_WORDS = 4;

/** Words of one CPU's block. */
export const Block = {
  /** Counts every reason to wake up. */
  Bell: 0,
  /** A wake() that idle() has not taken yet. */
  Wake: 16,
  /** Interrupts pending, all vectors. */
  Pending: 17,
  /** TLBIs of the log that the CPU has served, its own among them. */
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
  /** Acquisitions of locks for writing and for reading. */
  Writes: 41,
  Reads: 42,
  /** Operations traced so far, modulo 2^32. */
  TraceNext: 43,
  /** Pending interrupts by vector. */
  Vectors: 48,
  Trace: 80,
  Words: 144,
} as const;

export const State = {
  /** The thread is not there yet. */
  Starting: 0,
  Running: 1,
  Condition: 2,
  Idle: 3,
  Barrier: 4,
  Finished: 5,
  /** Between two rounds. */
  Resting: 6,
} as const;

/** Buckets of the waiter bitmap. */
const BUCKETS = 256;

/** TLBIs between the slowest CPU and the newest one; a power of two. */
export const TLBI_ENTRIES = 1024;
export const TLBI_WORDS = 8;

/** Locks whose owners are known at one time; a power of two. */
export const GHOST_ENTRIES = 4096;
export const GHOST_WORDS = 4;

/** Where things are in the control buffer of a machine with this many CPUs. */
export interface ControlLayout {
  readonly cpuCount: number;
  /** First word of CPU 0's block. */
  readonly blocks: number;
  readonly buckets: number;
  /** Words per bucket, whole host cache lines. */
  readonly bucketWords: number;
  readonly tlbis: number;
  readonly ghosts: number;
  readonly words: number;
}

export function controlLayout(cpuCount: number): ControlLayout {
  const bucketWords = Math.ceil(cpuCount / 512) * 16;
  const buckets = Global.Words + cpuCount * Block.Words;
  const tlbis = buckets + BUCKETS * bucketWords;
  const ghosts = tlbis + TLBI_ENTRIES * TLBI_WORDS;
  return {
    cpuCount,
    blocks: Global.Words,
    buckets,
    bucketWords,
    tlbis,
    ghosts,
    words: ghosts + GHOST_ENTRIES * GHOST_WORDS,
  };
}

export function controlBytes(cpuCount: number): number {
  return controlLayout(cpuCount).words * 4;
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

/**
 * Everything that belongs to one round goes back to its first state, while no CPU runs a program.
 * What is counted over the whole run stays.
 */
export function clearRound(words: Int32Array, layout: ControlLayout): void {
  words[Global.Finished] = 0;
  words[Global.InFlight] = 0;
  words[Global.TlbiNext] = 0;
  words[Global.EventNext] = 0;
  words.fill(0, layout.buckets, layout.words);
  for (let cpu = 0; cpu < layout.cpuCount; cpu++) {
    const block = blockOf(layout, cpu);
    words[block + Block.Wake] = 0;
    words[block + Block.Pending] = 0;
    words[block + Block.TlbiServed] = 0;
    words.fill(0, block + Block.Vectors, block + Block.Trace);
  }
}
