/**
 * A user's own lock from its file: read, imported, checked, and tried alone before anything else
 * runs it. The user's code may hang where no engine could look (a loop without a yield), so it is
 * tried in a thread of its own that can be ended.
 */

import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { type ErrorData, fromErrorData, InterruptedError, UserError } from '../base/errors.ts';
import type { Lock } from '../sync/lock.ts';
import { oneLine } from '../sync/user-cpu.ts';
import { userLockOf } from '../sync/user-lock.ts';
import { readUserFile } from './read-user-file.ts';
import { sha256Hex } from './run-id.ts';
import type { UserLockReference } from './task.ts';

export type TrialStage = 'import' | 'acquire' | 'release' | 'done';

export interface TrialMessage {
  readonly stage: TrialStage;
  readonly name?: string;
  readonly error?: ErrorData;
}

export interface TrialTask {
  readonly file: string;
  readonly url: string;
}

const TRIAL_MS = 5000;
const FILE_BYTES_MAX = 1 << 20;

/** Is the word a path to a lock file, and no name of the registry? */
export function isLockFile(word: string): boolean {
  return word.includes('/') || /\.m?js$/.test(word);
}

/** Reads and tries the file; whatever is wrong with it is one line. */
export async function openUserLock(file: string, signal?: AbortSignal): Promise<UserLockReference> {
  const path = resolve(file);
  const sha256 = sha256Hex(readUserFile(path, file, FILE_BYTES_MAX));
  const url = pathToFileURL(path).href;
  return { file, url, sha256, name: await tried({ file, url }, signal) };
}

export async function importUserLock({ file, url }: TrialTask): Promise<Lock> {
  let module: Readonly<Record<string, unknown>>;
  try {
    module = (await import(url)) as Readonly<Record<string, unknown>>;
  } catch (error) {
    throw new UserError(`${file}: throws on import: ${oneLine(error)}`);
  }
  return userLockOf(file, module);
}

/** The lock's name. */
async function tried(task: TrialTask, signal: AbortSignal | undefined): Promise<string> {
  if (signal?.aborted === true) throw new InterruptedError('interrupted');
  const worker = new Worker(workerUrl(), { workerData: task });
  try {
    return await outcomeOf(worker, task, signal);
  } finally {
    await worker.terminate();
  }
}

function outcomeOf(
  worker: Worker,
  { file }: TrialTask,
  signal: AbortSignal | undefined,
): Promise<string> {
  return new Promise((settle, reject) => {
    let stage: TrialStage = 'import';
    const timer = setTimeout(() => reject(hung(file, stage)), TRIAL_MS);
    const finish = (action: () => void): void => {
      clearTimeout(timer);
      action();
    };
    worker.on('message', (message: TrialMessage) => {
      stage = message.stage;
      if (message.error !== undefined) {
        const error = fromErrorData(message.error);
        finish(() => reject(error));
      } else if (stage === 'done') {
        finish(() => settle(message.name!));
      }
    });
    worker.on('error', (error) =>
      finish(() => reject(new UserError(`${file}: ${stage} threw ${oneLine(error)}`))),
    );
    worker.on('exit', (code) =>
      finish(() => reject(new UserError(`${file}: ${stage} ended the thread (exit code ${code})`))),
    );
    signal?.addEventListener(
      'abort',
      () => finish(() => reject(new InterruptedError('interrupted'))),
      { once: true },
    );
  });
}

function hung(file: string, stage: TrialStage): UserError {
  const seconds = TRIAL_MS / 1000;
  if (stage === 'import') return new UserError(`${file}: import did not end within ${seconds} s`);
  return hungOutside(`${file}: ${stage}`, seconds);
}

/** Also said of a run or a campaign that goes silent inside the user's code. */
export function hungOutside(what: string, seconds: number): UserError {
  return new UserError(
    `${what} never yields: it blocked outside an operation for ${seconds} s; ` +
      'every loop has to make an attempt and yield when it is refused',
  );
}

function workerUrl(): URL {
  const inSource = import.meta.url.endsWith('.ts');
  const path = inSource
    ? '../../dist/workers/user-lock-worker.js'
    : '../../workers/user-lock-worker.js';
  return new URL(path, import.meta.url);
}
