/**
 * Out of host memory while a run is under way: a heap that is full, or a buffer that the host does
 * not give. Bad input, as it is when the estimate already says so (estimate.ts): one line with what
 * the run was thought to need and what to lower.
 */

import { UserError } from '../base/errors.ts';
import { estimateRun, formatRounded, whatToLower } from './estimate.ts';
import type { RunSpec } from './run-spec.ts';

/** The heap limit of a worker thread was reached; Node.js ended the thread. */
export class HeapFullError extends Error {
  override readonly name = 'HeapFullError';
  readonly limitBytes: number;

  constructor(limitBytes: number) {
    super(`a worker thread filled its heap of ${formatRounded(limitBytes)}`);
    this.limitBytes = limitBytes;
  }
}

/** V8's words for a buffer that cannot be had. */
const NO_BUFFER = /^(Array buffer allocation failed|could not allocate memory)/i;

/** null: the error is another one. */
export function outOfMemory(error: Error, spec: RunSpec, workers: number): UserError | null {
  const noBuffer = error.name === 'RangeError' && NO_BUFFER.test(error.message);
  if (!noBuffer && !(error instanceof HeapFullError)) return null;
  const estimate = formatRounded(estimateRun(spec, workers).hostBytes);
  const what = noBuffer ? 'the host gives no more memory' : error.message;
  return new UserError(
    `out of host memory: ${what} (estimated for the whole run: ${estimate}); ` +
      `lower ${whatToLower(spec)}`,
  );
}
