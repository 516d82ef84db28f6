/** The abort word of a run, as the main thread raises it: every wait of every worker looks at it. */

import { Abort, Control } from '../engine/virtual/control.ts';

export function raiseAbort(control: SharedArrayBuffer, reason: number = Abort.WorkerFailed): void {
  const words = new Int32Array(control);
  Atomics.compareExchange(words, Control.Abort, Abort.None, reason);
  Atomics.notify(words, Control.Generation);
}
