/**
 * The first pass over a trace, before anything runs: every line is checked, contents are hashed for
 * the run's identity, records are counted per CPU, and pages noted in order of first touch. What it
 * keeps grows with the pages that the trace touches, not with its length.
 */

import { UserError } from '../base/errors.ts';
import { TraceDecoder } from './decoder.ts';
import { FirstTouches } from './first-touches.ts';
import { CPU_SHIFT, ENTRY_WORDS, KIND_MASK, Kind, LAST, TRACE_CPUS_MAX } from './record.ts';
import type { ScannedFile, ScannedTrace, TraceFile } from './scanned-trace.ts';
import { TraceSource } from './source.ts';

export async function scanTrace(
  files: readonly TraceFile[],
  ownSpaces: boolean,
): Promise<ScannedTrace> {
  const touches = new FirstTouches(ownSpaces);
  const counts = new Float64Array(TRACE_CPUS_MAX);
  const scanned: ScannedFile[] = [];
  let highest = 0;
  let highestCpuAt = '';
  for (const [cpu, file] of files.entries()) {
    const decoder = new TraceDecoder(file.file, cpu);
    const sha256 = await scanFile(file, decoder, touches, counts);
    scanned.push({ ...file, sha256 });
    const hasCpus = decoder.form!.hasCpus;
    if (hasCpus && files.length > 1) {
      throw new UserError(
        `${file.file}: has a CPU column, and ${files.length} files are given; ` +
          'expected one file with CPU numbers, or files of one CPU each without',
      );
    }
    highest = hasCpus ? decoder.highestCpu : cpu;
    highestCpuAt = hasCpus ? `${file.file}:${decoder.highestCpuLine}` : file.file;
  }
  const recordsOfCpu = Array.from(counts.subarray(0, highest + 1));
  return { files: scanned, ownSpaces, recordsOfCpu, highestCpuAt, pages: touches.finish() };
}

/** The file's hash. */
async function scanFile(
  file: TraceFile,
  decoder: TraceDecoder,
  touches: FirstTouches,
  counts: Float64Array,
): Promise<string> {
  const source = await TraceSource.open(file);
  let first = 0;
  const decode = (): void => {
    for (let count = decoder.next(); count > 0; count = decoder.next()) {
      touches.touch(decoder.entries, count, first);
      countRecords(decoder.entries, count, counts);
      first += count;
    }
  };
  touches.beginFile();
  try {
    for await (const chunk of source.chunks()) {
      decoder.accept(chunk);
      decode();
    }
    decoder.finish();
    decode();
  } finally {
    await source.close();
  }
  if (decoder.records === 0) {
    throw new UserError(`${file.file}: has no record; expected a trace (lackey or din)`);
  }
  return source.sha256();
}

function countRecords(entries: Int32Array, count: number, counts: Float64Array): void {
  for (let i = 0; i < count; i++) {
    const lo = entries[ENTRY_WORDS * i]!;
    if ((lo & LAST) === 0 || (lo & KIND_MASK) === Kind.ModifyLoad) continue;
    const cpu = entries[ENTRY_WORDS * i + 1]! >>> CPU_SHIFT;
    counts[cpu] = counts[cpu]! + 1;
  }
}
