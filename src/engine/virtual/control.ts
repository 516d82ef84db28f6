/**
 * Shared control words of a run: barrier, abort, and what workers publish at a meeting. Every
 * offset is here and nowhere else.
 */

/** Int32 indices into EngineBuffers.control; a cache line apart. */
export const Control = { Abort: 0, Arrived: 16, Generation: 32, Words: 48 } as const;

/** Why the abort word is set. */
export const Abort = { None: 0, WorkerFailed: 1, Interrupted: 2 } as const;

/** Doubles per worker in EngineBuffers.minima. */
export const Published = {
  /** Earliest pending time, last progress, unfinished CPUs, first failure: by meeting parity. */
  Parity: 4,
  Earliest: 0,
  Progress: 1,
  Unfinished: 2,
  Failure: 3,
  /** For the progress display: operations marked, emulated time. */
  Marks: 8,
  Time: 9,
  Doubles: 16,
} as const;

/**
 * Ends a run from outside (the main thread) or from a worker that failed; the first reason stays.
 */
export function raiseAbort(control: SharedArrayBuffer, reason: number = Abort.WorkerFailed): void {
  const words = new Int32Array(control);
  Atomics.compareExchange(words, Control.Abort, Abort.None, reason);
  Atomics.notify(words, Control.Generation);
}
