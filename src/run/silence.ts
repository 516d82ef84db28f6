/**
 * Guard against an engine that hangs: workers report now and then, whatever the emulated program
 * does; none of them for SILENCE_MS of wall clock is a bug of numalab (ER-L3), never a result.
 */

import { BugError } from '../base/errors.ts';

export const SILENCE_S = 30;
const SILENCE_MS = SILENCE_S * 1000;
const LOOK_MS = 1000;

export class Silence {
  /** Resolves with the error when it has been silent for too long. */
  readonly alarm: Promise<Error>;
  #heardMs = performance.now();
  #timer: NodeJS.Timeout;

  constructor(workers: number, limitMs = SILENCE_MS) {
    const { promise, resolve } = promiseWithResolver<Error>();
    this.alarm = promise;
    this.#timer = setInterval(
      () => {
        if (performance.now() - this.#heardMs < limitMs) return;
        const who = workers === 1 ? 'the worker thread' : `${workers} worker threads`;
        const seconds = Math.round(limitMs / 1000);
        resolve(new BugError(`no sign of life from ${who} for ${seconds} s`));
      },
      Math.min(LOOK_MS, limitMs),
    );
    this.#timer.unref();
  }

  heard(): void {
    this.#heardMs = performance.now();
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

function promiseWithResolver<Value>(): {
  promise: Promise<Value>;
  resolve: (value: Value) => void;
} {
  let resolve: (value: Value) => void = () => {};
  const promise = new Promise<Value>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
