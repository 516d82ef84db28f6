/** What is known of a trace once it has been scanned: plain data and shared buffers. */

import type { TouchedPages } from './first-touches.ts';

export interface TraceFile {
  /** As the user wrote it: what errors name. */
  readonly file: string;
  readonly path: string;
}

export interface ScannedFile extends TraceFile {
  /** Of the file as it lies on disk. */
  readonly sha256: string;
}

export interface ScannedTrace {
  /** One with all CPUs, or one per CPU. */
  readonly files: readonly ScannedFile[];
  /** CPUs don't share their addresses. */
  readonly ownSpaces: boolean;
  /** Records by CPU of the trace; its length is the highest CPU + 1. */
  readonly recordsOfCpu: readonly number[];
  /** Where the highest CPU comes up first: "FILE:LINE", or the file. */
  readonly highestCpuAt: string;
  readonly pages: TouchedPages;
}

export function recordsOf({ recordsOfCpu }: ScannedTrace): number {
  return recordsOfCpu.reduce((sum, records) => sum + records, 0);
}

/** Where a CPU's records are. */
export function fileOfCpu({ files }: ScannedTrace, cpu: number): ScannedFile {
  return files[Math.min(cpu, files.length - 1)]!;
}
