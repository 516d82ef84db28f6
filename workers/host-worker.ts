/** A worker thread of the host engine: one emulated CPU on real atomics. */

import { parentPort, workerData } from 'node:worker_threads';
import { runHostWorker } from '../src/engine/host/run-worker.ts';
import type { HostTask } from '../src/engine/host/spec.ts';

parentPort?.postMessage(await runHostWorker(workerData as HostTask));
