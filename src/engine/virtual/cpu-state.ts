/** States of an emulated CPU in the virtual engine. */

/** What the CPU as a whole is doing; decides what happens at its next time. */
export const Status = {
  /** The program runs at `clock`. */
  Run: 0,
  /** A request is at a home; nothing happens until the grant. */
  WaitLine: 1,
  /** The grant is known: the line arrives at `nextPs`. */
  Granted: 2,
  /** A conditional load waits for its line to be lost (WFE). */
  Parked: 3,
  /** The line was lost: the engine asks for it again at `nextPs`. */
  Waking: 4,
  /** idle(): waits for a wake or an interrupt. */
  Idle: 5,
  /** A DSB waits for acknowledgements. */
  WaitDsb: 6,
  /** The program has ended; still takes interrupts and acknowledges. */
  Done: 7,
} as const;
export type Status = (typeof Status)[keyof typeof Status];

/** How far the attempt that was refused last has come; None: the next attempt starts afresh. */
export const Phase = {
  None: 0,
  /** In the middle of a page-table walk. */
  Walk: 1,
  /** Translated, the access itself not yet made. */
  Translated: 2,
  /** The line (or page, or flush) that the attempt asked for is granted: perform at once. */
  Granted: 3,
  /** The handler skipped the attempt. */
  Skip: 4,
  /** The condition of a conditional load was found true / its deadline expired. */
  CondHeld: 5,
  CondExpired: 6,
  /** A DSB is under way or complete. */
  Dsb: 7,
} as const;
export type Phase = (typeof Phase)[keyof typeof Phase];

/** What a granted line is for. */
export const WaitFor = { Data: 0, Walk: 1, Condition: 2, Whole: 3, Fetch: 4 } as const;
export type WaitFor = (typeof WaitFor)[keyof typeof WaitFor];

/** Frames of the program stack. */
export const FrameKind = { Program: 0, Exception: 1, Interrupt: 2 } as const;
export type FrameKind = (typeof FrameKind)[keyof typeof FrameKind];

export const NEVER = Number.POSITIVE_INFINITY;

/** The zone of memory without bytes. */
export const EMPTY_ZONE = new Int32Array(0);
/** No canonical address has this high half. */
export const NO_PAGE_HI = 0x7fffffff;
