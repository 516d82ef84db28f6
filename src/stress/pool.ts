/**
 * The worker threads of a campaign, and what the main thread watches meanwhile: Ctrl-C, the end of
 * the time, a thread that dies, and one that goes silent (a user's lock may loop where no engine
 * can look). Nobody waits for another worker, so threads can be ended at any moment.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { Piscina } from 'piscina';
import { BugError, fromErrorData, InterruptedError, UserError } from '../base/errors.ts';
import { hungOutside } from '../run/user-lock-file.ts';
import {
  type CampaignSetup,
  NO_FAILURE,
  type Reply,
  Shared,
  type StressTask,
} from './campaign-task.ts';

const GRACE_MS = 800;
const WATCH_MS = 200;
const SILENCE_S = 10;

export class StressPool {
  readonly jobs: number;
  readonly shared: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #pool: Piscina<StressTask, Reply<unknown>>;

  constructor(jobs: number) {
    this.jobs = jobs;
    this.shared = new SharedArrayBuffer(4 * (Shared.Hearts + jobs));
    this.#words = new Int32Array(this.shared);
    this.#pool = new Piscina({
      filename: workerUrl(),
      minThreads: jobs,
      maxThreads: jobs,
      idleTimeout: Number.POSITIVE_INFINITY,
      concurrentTasksPerWorker: 1,
      atomics: 'disabled',
    });
    // Every failure is reported by the task that met it.
    this.#pool.on('error', () => {});
  }

  /** Schedules done in this campaign. */
  get done(): number {
    return Atomics.load(this.#words, Shared.Done);
  }

  get hasFailed(): boolean {
    return Atomics.load(this.#words, Shared.LowestFailure) !== NO_FAILURE;
  }

  /** Before each campaign. */
  reset(): void {
    this.#words.fill(0);
    this.#words[Shared.LowestFailure] = NO_FAILURE;
  }

  /** Workers end after the schedule that they are at. */
  stop(): void {
    Atomics.store(this.#words, Shared.Stop, 1);
  }

  /** Runs the tasks at the same time; the first failure, or the signal, ends all. */
  async together<Value>(
    tasks: readonly StressTask[],
    setup: CampaignSetup,
    signal: AbortSignal,
  ): Promise<Value[]> {
    if (signal.aborted) throw new InterruptedError('interrupted');
    const watch = new Watch(this.#words, setup, signal);
    const all = Promise.all(tasks.map((task) => this.#one<Value>(task, setup)));
    // Whoever loses the race below is handled there.
    all.catch(() => {});
    try {
      return await Promise.race([all, watch.alarm]);
    } catch (error) {
      this.stop();
      await Promise.race([
        all.then(
          () => {},
          () => {},
        ),
        sleep(GRACE_MS, undefined, { ref: false }),
      ]);
      throw signal.aborted ? new InterruptedError('interrupted') : error;
    } finally {
      watch.end();
    }
  }

  async #one<Value>(task: StressTask, setup: CampaignSetup): Promise<Value> {
    let reply: Reply<unknown>;
    try {
      reply = await this.#pool.run(task);
    } catch (error) {
      throw died(setup, (error as Error).message);
    }
    if ('error' in reply) throw fromErrorData(reply.error);
    return reply.value as Value;
  }

  async destroy(): Promise<void> {
    await this.#pool.destroy();
  }
}

function died({ target }: CampaignSetup, why: string): Error {
  const text = `a worker thread died while it stressed ${target.name}: ${why}`;
  if (target.lock !== null) return new UserError(`${target.lock.file}: ${text}`);
  const error = new BugError(text);
  error.stack = '';
  return error;
}

/** Rejects when interrupted, or when a worker at work has not moved for too long. */
class Watch {
  readonly alarm: Promise<never>;
  readonly #timer: NodeJS.Timeout;
  readonly #signal: AbortSignal;
  #interrupt: () => void = () => {};

  constructor(words: Int32Array, setup: CampaignSetup, signal: AbortSignal) {
    this.#signal = signal;
    const seen = new Map<number, { beat: number; atMs: number }>();
    let reject: (error: Error) => void = () => {};
    this.alarm = new Promise<never>((_, refuse) => {
      reject = refuse;
    });
    // Nobody may be listening any more.
    this.alarm.catch(() => {});
    this.#timer = setInterval(() => {
      const nowMs = performance.now();
      for (let word = Shared.Hearts; word < words.length; word++) {
        const beat = Atomics.load(words, word);
        const last = seen.get(word);
        if (last === undefined || last.beat !== beat || beat === 0) {
          seen.set(word, { beat, atMs: nowMs });
        } else if (nowMs - last.atMs > SILENCE_S * 1000) {
          reject(silent(setup));
        }
      }
    }, WATCH_MS);
    this.#interrupt = () => reject(new InterruptedError('interrupted'));
    signal.addEventListener('abort', this.#interrupt, { once: true });
  }

  end(): void {
    clearInterval(this.#timer);
    this.#signal.removeEventListener('abort', this.#interrupt);
  }
}

function silent({ target }: CampaignSetup): Error {
  if (target.lock !== null) {
    return hungOutside(`${target.lock.file}: acquire or release`, SILENCE_S);
  }
  return new BugError(`no sign of life from a worker that stresses ${target.name}`);
}

/** The compiled worker: beside this file in dist, or in dist when this is the source itself. */
function workerUrl(): string {
  const inSource = import.meta.url.endsWith('.ts');
  const path = inSource ? '../../dist/workers/stress-worker.js' : '../../workers/stress-worker.js';
  return new URL(path, import.meta.url).href;
}
