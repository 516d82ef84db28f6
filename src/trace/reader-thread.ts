/**
 * The reader thread as the main thread sees it: one that scans a trace and ends, or one that fills
 * the rings of a run until it is closed. Errors of the first come back as data; those of the second
 * reach the CPUs through their rings, in the place where records are missing.
 */

import { Worker } from 'node:worker_threads';
import { BugError, type ErrorData, fromErrorData, InterruptedError } from '../base/errors.ts';
import { createFeed, type FeedTask, failFeed, stopFeed, type TraceFeed } from './feed.ts';
import type { ScannedTrace, TraceFile } from './scanned-trace.ts';

export interface ScanTask {
  readonly kind: 'scan';
  readonly files: readonly TraceFile[];
  readonly ownSpaces: boolean;
}

export type ReaderTask = ScanTask | ({ readonly kind: 'feed' } & FeedTask);

export type ScanReply = { readonly trace: ScannedTrace } | { readonly error: ErrorData };

export async function scanInThread(
  files: readonly TraceFile[],
  ownSpaces: boolean,
  signal: AbortSignal | undefined,
): Promise<ScannedTrace> {
  if (signal?.aborted === true) throw new InterruptedError('interrupted');
  const worker = startReader({ kind: 'scan', files, ownSpaces });
  try {
    return await scanned(worker, signal);
  } finally {
    await worker.terminate();
  }
}

function scanned(worker: Worker, signal: AbortSignal | undefined): Promise<ScannedTrace> {
  return new Promise((resolve, reject) => {
    worker.on('message', (reply: ScanReply) => {
      if ('error' in reply) reject(fromErrorData(reply.error));
      else resolve(reply.trace);
    });
    worker.on('error', (error) => reject(new BugError(`the reader thread died: ${error.message}`)));
    worker.on('exit', (code) => reject(new BugError(`the reader thread ended: exit code ${code}`)));
    const interrupt = (): void => reject(new InterruptedError('interrupted'));
    signal?.addEventListener('abort', interrupt, { once: true });
  });
}

/** Fills the rings of one run. */
export class TraceReader {
  readonly feed: TraceFeed;
  readonly #worker: Worker;

  constructor(trace: ScannedTrace, passes: number) {
    this.feed = createFeed(trace);
    this.#worker = startReader({ kind: 'feed', trace, feed: this.feed, passes });
    this.#worker.on('error', (error) => {
      failFeed(this.feed, `the reader thread died: ${error.message}`);
    });
  }

  /** Ends the waits of CPUs; with the run's own abort. */
  stop(): void {
    stopFeed(this.feed);
  }

  /** Leaves no thread. */
  async close(): Promise<void> {
    this.stop();
    await this.#worker.terminate();
  }
}

function startReader(task: ReaderTask): Worker {
  return new Worker(workerUrl(), { workerData: task });
}

function workerUrl(): URL {
  const inSource = import.meta.url.endsWith('.ts');
  const path = inSource
    ? '../../dist/workers/trace-reader-worker.js'
    : '../../workers/trace-reader-worker.js';
  return new URL(path, import.meta.url);
}
