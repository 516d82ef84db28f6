/**
 * What `--out DIR` writes, as text: result.json, one .hlog with every histogram of every seed (ns),
 * and for each metric the percentile distribution merged over seeds and nodes (.hgrm, us).
 */

import { loadHdrCodec } from './hdr-codec.ts';
import { writeHlog } from './hlog.ts';
import { mergeSeeds, parseHistogramName, type SeedHistograms } from './naming.ts';
import { ALL } from './recorder.ts';
import type { RunResult } from './result.ts';

export const RESULT_FILE = 'result.json';
export const HLOG_FILE = 'latency.hlog';

export interface RunFile {
  readonly name: string;
  readonly text: string;
}

export async function runFiles(
  result: RunResult,
  seeds: readonly SeedHistograms[],
): Promise<RunFile[]> {
  const codec = await loadHdrCodec();
  const files: RunFile[] = [
    { name: RESULT_FILE, text: `${JSON.stringify(result, null, 2)}\n` },
    { name: HLOG_FILE, text: writeHlog(seeds, codec) },
  ];
  for (const { name, data } of mergeSeeds(seeds)) {
    const { node, phase } = parseHistogramName(name);
    if (node !== ALL || phase !== '') continue;
    files.push({ name: `${name}.hgrm`, text: codec.percentileDistribution(data) });
  }
  return files;
}
