/**
 * The main-thread side of the host engine: one worker thread per CPU, all alive at once. Takes no
 * part in the emulation, so that it hears a thread that dies, a signal and the stall watch (ER-B4).
 *
 * A stall is a result about the emulated program: who waits for what.
 */

import { Worker } from 'node:worker_threads';
import { BugError, fromErrorData, InterruptedError, StallError } from '../../base/errors.ts';
import { Abort, controlBytes, Global } from './control.ts';
import { raiseAbort } from './run-worker.ts';
import type { HostCpuResult, HostReply, HostResult, HostSpec, HostTask } from './spec.ts';
import { StallWatch } from './stall-watch.ts';

export interface HostLimits {
  /** Ends the run when no CPU has made progress for this long. */
  readonly stallMs: number;
  /** Ends the run when it takes longer altogether. */
  readonly limitMs?: number;
  readonly signal?: AbortSignal;
}

const WATCH_MS = 100;
/** How long a thread may take to see the abort word before it is terminated. */
const GRACE_MS = 500;

export async function runOnHost(
  spec: HostSpec,
  limits: HostLimits = { stallMs: 10_000 },
): Promise<HostResult> {
  const run = new HostRun(spec);
  const interrupt = (): void => run.stop(Abort.Interrupted);
  limits.signal?.addEventListener('abort', interrupt, { once: true });
  if (limits.signal?.aborted === true) interrupt();
  const timer = setInterval(() => run.watch(limits), WATCH_MS);
  try {
    return await run.finish();
  } finally {
    clearInterval(timer);
    limits.signal?.removeEventListener('abort', interrupt);
    await run.destroy();
  }
}

class HostRun {
  readonly #spec: HostSpec;
  readonly #control: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #workers: Worker[];
  readonly #replies: Promise<HostReply>[];
  readonly #stallWatch: StallWatch;
  readonly #startMs = performance.now();
  #grace: NodeJS.Timeout | null = null;
  #stall = '';

  constructor(spec: HostSpec) {
    this.#spec = spec;
    this.#control = new SharedArrayBuffer(controlBytes(spec.machine.cpuCount));
    this.#words = new Int32Array(this.#control);
    this.#stallWatch = new StallWatch(spec, this.#control);
    this.#workers = spec.activeCpus.map((cpu) => {
      const workerData: HostTask = { spec, control: this.#control, cpu };
      return new Worker(workerUrl(), { workerData });
    });
    this.#replies = this.#workers.map((worker, index) =>
      this.#replyOf(worker, spec.activeCpus[index]!),
    );
  }

  /** Tells all threads to end; the ones that don't hear are terminated after a moment. */
  stop(reason: number): void {
    raiseAbort(this.#control, this.#spec.machine.cpuCount, reason);
    this.#grace ??= setTimeout(() => void this.#terminate(), GRACE_MS);
  }

  watch(limits: HostLimits): void {
    const nowMs = performance.now();
    const stillMs = this.#stallWatch.stillMs(nowMs);
    const tooLong = nowMs - this.#startMs > (limits.limitMs ?? Number.POSITIVE_INFINITY);
    if (this.#stall !== '' || (stillMs <= limits.stallMs && !tooLong)) return;
    const why = tooLong ? `not finished after ${limits.limitMs} ms` : 'no progress';
    this.#stall = `${why}: ${this.#stallWatch.describe()}`;
    this.stop(Abort.Stalled);
  }

  async finish(): Promise<HostResult> {
    const replies = await Promise.all(this.#replies);
    const results = replies.flatMap((reply) => (reply.kind === 'done' ? [reply.result] : []));
    if (results.length < replies.length) throw this.#cause(replies);
    return this.#result(results);
  }

  async destroy(): Promise<void> {
    if (this.#grace !== null) clearTimeout(this.#grace);
    await this.#terminate();
  }

  async #terminate(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }

  #result(cpus: readonly HostCpuResult[]): HostResult {
    return {
      cpus,
      wallNs: (performance.now() - this.#startMs) * 1e6,
      lostWakes: this.#words[Global.LostWakes]!,
      lateWakes: this.#words[Global.LateWakes]!,
    };
  }

  /** Always answers: with the thread's own reply, or with its death. */
  #replyOf(worker: Worker, cpu: number): Promise<HostReply> {
    return new Promise((resolve) => {
      let answered = false;
      const answer = (reply: HostReply): void => {
        if (answered) return;
        answered = true;
        if (reply.kind === 'failed') this.stop(Abort.WorkerFailed);
        resolve(reply);
      };
      const died = (why: string): void => {
        // Terminated after an abort: a consequence, not the cause.
        const aborted = this.#words[Global.Abort] !== Abort.None;
        const name = aborted ? 'InterruptedError' : 'BugError';
        const message = `the worker thread of cpu ${cpu} died: ${why}`;
        answer({ kind: 'failed', error: { name, message, stack: '' } });
      };
      worker.once('message', answer);
      worker.once('error', (error) => died(error.message));
      worker.once('exit', (code) => died(`exit code ${code}`));
    });
  }

  /** Threads that only saw the abort word come last. */
  #cause(replies: readonly HostReply[]): Error {
    const errors = replies.flatMap((reply) =>
      reply.kind === 'failed' ? [fromErrorData(reply.error)] : [],
    );
    const cause = errors.find((error) => !(error instanceof InterruptedError));
    if (cause !== undefined) return cause;
    if (this.#stall !== '') return new StallError(this.#stall);
    if (this.#words[Global.Abort] === Abort.Interrupted) return new InterruptedError('interrupted');
    return new BugError('the run was aborted without a cause');
  }
}

function workerUrl(): URL {
  const inSource = import.meta.url.endsWith('.ts');
  const path = inSource
    ? '../../../dist/workers/host-worker.js'
    : '../../../workers/host-worker.js';
  return new URL(path, import.meta.url);
}
