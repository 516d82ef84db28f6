/**
 * Fills the rings of a run, in the reader thread: every CPU has a reader of its own that makes its
 * own passes over the file, and all of them take turns in one thread.
 *
 * Why: CPUs run in emulated order, so one may need its thousandth record before another has taken
 * its first. One reader for an interleaved file would stand before a full ring while a CPU behind
 * it starves, and with both CPUs in one worker thread that is a deadlock. Its cost: an interleaved
 * file of n CPUs is read n times (lines of other CPUs are skipped, not decoded).
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { UserError } from '../base/errors.ts';
import { TraceDecoder } from './decoder.ts';
import { createRing, RingEnd, RingWriter, stopRing } from './ring.ts';
import { fileOfCpu, type ScannedFile, type ScannedTrace } from './scanned-trace.ts';
import { TraceSource } from './source.ts';

/** Host time between two looks at a full ring: far less than a CPU takes to empty it. */
const POLL_MS = 1;
const ENTRIES_MAX = 1 << 15;
const ENTRIES_MIN = 1 << 10;
const ENTRIES_OF_ALL = 1 << 20;

/** What a run's CPUs read from; plain data and shared buffers. */
export interface TraceFeed {
  /** By CPU of the trace; null: it has no records. */
  readonly rings: readonly (SharedArrayBuffer | null)[];
}

/** What the reader thread is told. */
export interface FeedTask {
  readonly trace: ScannedTrace;
  readonly feed: TraceFeed;
  /** Times that the whole trace is run. */
  readonly passes: number;
}

export function createFeed({ recordsOfCpu }: ScannedTrace): TraceFeed {
  const share = 2 ** Math.floor(Math.log2(ENTRIES_OF_ALL / recordsOfCpu.length));
  const capacity = Math.max(ENTRIES_MIN, Math.min(ENTRIES_MAX, share));
  return { rings: recordsOfCpu.map((records) => (records === 0 ? null : createRing(capacity))) };
}

export function stopFeed({ rings }: TraceFeed): void {
  for (const ring of rings) if (ring !== null) stopRing(ring);
}

/** Every CPU that still waits hears of it: the reader thread itself has failed. */
export function failFeed({ rings }: TraceFeed, message: string): void {
  for (const ring of rings) if (ring !== null) new RingWriter(ring).end(RingEnd.Bug, message);
}

export async function fillRings({ trace, feed, passes }: FeedTask): Promise<void> {
  await Promise.all(
    feed.rings.map(async (ring, cpu) => {
      if (ring === null) return;
      const writer = new RingWriter(ring);
      try {
        const file = fileOfCpu(trace, cpu);
        for (let pass = 0; pass < passes && !writer.stopped; pass++) {
          await onePass(file, cpu, writer);
        }
        writer.end(RingEnd.Done);
      } catch (error) {
        const isExpected = error instanceof UserError;
        writer.end(isExpected ? RingEnd.Failed : RingEnd.Bug, (error as Error).message);
      }
    }),
  );
}

/** The scan found nothing wrong: whatever is wrong now has changed since. */
async function onePass(file: ScannedFile, cpu: number, writer: RingWriter): Promise<void> {
  const decoder = new TraceDecoder(file.file, cpu, cpu);
  const source = await TraceSource.open(file);
  try {
    for await (const chunk of source.chunks()) {
      decoder.accept(chunk);
      if (!(await writeAll(decoder, writer))) return;
    }
    decoder.finish();
    if (!(await writeAll(decoder, writer))) return;
  } catch (error) {
    if (error instanceof UserError) throw changed(file);
    throw error;
  } finally {
    await source.close();
  }
  if (source.sha256() !== file.sha256) throw changed(file);
}

function changed({ file }: ScannedFile): UserError {
  return new UserError(`${file}: changed while it was run; expected the same contents to the end`);
}

/** false: the run is over. */
async function writeAll(decoder: TraceDecoder, writer: RingWriter): Promise<boolean> {
  for (let count = decoder.next(); count > 0; count = decoder.next()) {
    for (let sent = 0; sent < count; ) {
      const written = writer.write(decoder.entries, sent, count);
      sent += written;
      if (written > 0) continue;
      if (writer.stopped) return false;
      await sleep(POLL_MS);
    }
  }
  return true;
}
