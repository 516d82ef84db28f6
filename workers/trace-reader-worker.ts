/** The thread that reads traces: scans one, or fills the rings of a run. */

import { parentPort, workerData } from 'node:worker_threads';
import { toErrorData } from '../src/base/errors.ts';
import { fillRings } from '../src/trace/feed.ts';
import type { ReaderTask, ScanReply, ScanTask } from '../src/trace/reader-thread.ts';
import { scanTrace } from '../src/trace/scan.ts';

async function scan({ files, ownSpaces }: ScanTask): Promise<ScanReply> {
  try {
    return { trace: await scanTrace(files, ownSpaces) };
  } catch (error) {
    return { error: toErrorData(error) };
  }
}

const task = workerData as ReaderTask;
if (task.kind === 'feed') await fillRings(task);
else parentPort?.postMessage(await scan(task));
