/**
 * Shared control words of a run: barrier, abort, and what workers publish at a meeting. Every
 * offset is here and nowhere else.
 */

import { InterruptedError } from '../../base/errors.ts';

/** Int32 indices into EngineBuffers.control; a cache line apart. */
export const Control = { Abort: 0, Arrived: 16, Generation: 32, Words: 48 } as const;

/** Every sleep ends after so long and looks at the abort word. */
export const SLEEP_MS = 50;

/** Why the abort word is set. */
export const Abort = { None: 0, WorkerFailed: 1, Interrupted: 2 } as const;

/** Another worker failed; its own error is the one to report. */
export class AbortedError extends Error {
  override readonly name = 'AbortedError';
}

/** Throws if the run is to end. */
export function checkAbort(control: Int32Array<SharedArrayBuffer>): void {
  const reason = Atomics.load(control, Control.Abort);
  if (reason === Abort.None) return;
  if (reason === Abort.Interrupted) throw new InterruptedError('interrupted');
  throw new AbortedError('another worker failed');
}

/** Doubles per worker in EngineBuffers.minima. */
export const Published = {
  /** Earliest pending time, last progress, first failure: by meeting parity. */
  Parity: 8,
  Earliest: 0,
  Progress: 1,
  Failure: 2,
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
