/**
 * The main-thread side of the host engine: one worker thread per CPU, all alive at once. Takes no
 * part in the emulation, so that it hears a thread that dies, a signal and the stall watch (ER-B4).
 *
 * A stall is a result about the emulated program: who waits for what.
 */

import { Worker } from 'node:worker_threads';
import {
  BugError,
  CheckError,
  fromErrorData,
  InterruptedError,
  StallError,
} from '../../base/errors.ts';
import { accessLogBytes } from './access-log.ts';
import { Abort, Block, blockOf, controlBytes, controlLayout, Global } from './control.ts';
import { eventLogBytes } from './event-log.ts';
import type { HostFinding } from './finding.ts';
import { hostClockMs } from './host-cpu-measures.ts';
import { raiseAbort } from './run-worker.ts';
import type { HostEnding, HostReply, HostResult, HostSpec, HostTally, HostTask } from './spec.ts';
import { StallWatch } from './stall-watch.ts';
import { placeText } from './trace.ts';

export interface HostLimits {
  /** Ends the run when no CPU has made progress for this long. */
  readonly stallMs: number;
  /** Ends the run when no operation has been completed for this long. */
  readonly livelockMs?: number;
  /** Ends the run when it takes longer altogether. */
  readonly limitMs?: number;
  readonly signal?: AbortSignal;
  /** Operations completed so far, now and then. */
  readonly progress?: (operations: number, wallNs: number) => void;
}

const WATCH_MS = 100;
/** How long a thread may take to see the abort word before it is terminated. */
const GRACE_MS = 500;

/** As runHostToEnd, for whoever only wants a run that finishes. */
export async function runOnHost(
  spec: HostSpec,
  limits: HostLimits = { stallMs: 10_000 },
): Promise<HostResult> {
  const ending = await runHostToEnd(spec, limits);
  switch (ending.kind) {
    case 'finished':
      return ending.result;
    case 'found':
      throw new CheckError(findingText(ending.finding, spec));
    case 'stalled':
      throw new StallError(`${ending.lines[0]}: ${ending.lines.slice(1).join('; ')}`);
    default:
      throw ending.error;
  }
}

/** "exclusion: cpu 1 acquires a lock that another holds: cpu 0, at qspinlock". */
export function findingText(finding: HostFinding, spec: HostSpec): string {
  const { oracle, cpus, text, hi, lo } = finding;
  const others = cpus.slice(1).map((cpu) => `cpu ${cpu}`);
  const concerned = others.length === 0 ? '' : `: ${others.join(', ')}`;
  const place = (hi | lo) === 0 ? '' : `, at ${placeText(spec.symbols, hi, lo)}`;
  return `${oracle}: cpu ${cpus[0]} ${text}${concerned}${place}`;
}

/** Runs to any end; no thread is left behind. */
export async function runHostToEnd(spec: HostSpec, limits: HostLimits): Promise<HostEnding> {
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
  #stall: readonly string[] = [];
  #livelock = false;

  constructor(spec: HostSpec) {
    this.#spec = spec;
    this.#control = new SharedArrayBuffer(controlBytes(spec.machine.cpuCount));
    this.#words = new Int32Array(this.#control);
    this.#stallWatch = new StallWatch(spec, this.#control);
    const events = new SharedArrayBuffer(eventLogBytes(spec.eventRoom));
    const accessBytes = accessLogBytes(spec.machine.cpuCount, spec.accessRoom);
    const accesses = new SharedArrayBuffer(accessBytes);
    const control = this.#control;
    const startMs = hostClockMs();
    this.#workers = spec.activeCpus.map((cpu) => {
      const workerData: HostTask = { spec, control, events, accesses, cpu, startMs };
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
    const watch = this.#stallWatch;
    watch.look(nowMs);
    const { marks, wallNs } = this.tally();
    limits.progress?.(
      marks.reduce((sum, each) => sum + each, 0),
      wallNs,
    );
    if (this.#stall.length > 0 || this.#words[Global.Abort] !== Abort.None) return;
    const why = reasonToStop(watch, limits, nowMs, nowMs - this.#startMs);
    if (why === null) return;
    this.#livelock = !watch.isDeadlock();
    this.#stall = [why, ...watch.describe()];
    this.stop(Abort.Stalled);
  }

  async finish(): Promise<HostEnding> {
    const replies = await Promise.all(this.#replies);
    const tally = this.tally();
    const found = replies.find((reply) => reply.kind === 'found');
    if (found !== undefined) return { kind: 'found', finding: found.finding, tally };
    const cpus = replies.flatMap((reply) => (reply.kind === 'done' ? [reply.result] : []));
    if (cpus.length === replies.length) return { kind: 'finished', result: { ...tally, cpus } };
    const error = this.#cause(replies);
    if (error === null) {
      return { kind: 'stalled', livelock: this.#livelock, lines: this.#stall, tally };
    }
    return { kind: 'failed', error, tally };
  }

  async destroy(): Promise<void> {
    if (this.#grace !== null) clearTimeout(this.#grace);
    await this.#terminate();
  }

  async #terminate(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }

  tally(): HostTally {
    const words = this.#words;
    const layout = controlLayout(this.#spec.machine.cpuCount);
    const each = (word: number): number[] =>
      this.#spec.activeCpus.map((cpu) => words[blockOf(layout, cpu) + word]! >>> 0);
    return {
      writes: each(Block.Writes),
      reads: each(Block.Reads),
      marks: each(Block.Marks),
      rounds: words[Global.Round]!,
      lostWakes: words[Global.LostWakes]!,
      lateWakes: words[Global.LateWakes]!,
      wallNs: (performance.now() - this.#startMs) * 1e6,
    };
  }

  /** Always answers: with the thread's own reply, or with its death. */
  #replyOf(worker: Worker, cpu: number): Promise<HostReply> {
    return new Promise((resolve) => {
      let answered = false;
      const answer = (reply: HostReply): void => {
        if (answered) return;
        answered = true;
        if (reply.kind !== 'done') this.stop(Abort.WorkerFailed);
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

  /** Threads that only saw the abort word come last; null: the run stalled. */
  #cause(replies: readonly HostReply[]): Error | null {
    const errors = replies.flatMap((reply) =>
      reply.kind === 'failed' ? [fromErrorData(reply.error)] : [],
    );
    const cause = errors.find((error) => !(error instanceof InterruptedError));
    if (cause !== undefined) return cause;
    if (this.#stall.length > 0) return null;
    if (this.#words[Global.Abort] === Abort.Interrupted) return new InterruptedError('interrupted');
    return new BugError('the run was aborted without a cause');
  }
}

function reasonToStop(
  watch: StallWatch,
  limits: HostLimits,
  nowMs: number,
  elapsedMs: number,
): string | null {
  if (elapsedMs > (limits.limitMs ?? Number.POSITIVE_INFINITY)) {
    return `not finished after ${limits.limitMs} ms`;
  }
  if (watch.stillMs(nowMs) > limits.stallMs) return 'no progress';
  if (watch.fruitlessMs(nowMs) > (limits.livelockMs ?? Number.POSITIVE_INFINITY)) {
    return `no operation completed in ${limits.livelockMs} ms`;
  }
  return null;
}

function workerUrl(): URL {
  const inSource = import.meta.url.endsWith('.ts');
  const path = inSource
    ? '../../../dist/workers/host-worker.js'
    : '../../../workers/host-worker.js';
  return new URL(path, import.meta.url);
}
