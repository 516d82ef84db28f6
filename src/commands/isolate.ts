/** numalab run PROFILE --isolate: the profile, then again with each part off, as one table. */

import { ExitCode } from '../base/errors.ts';
import type { RunResult } from '../metrics/result.ts';
import type { RunRequest } from '../run/run-spec.ts';
import type { Arguments } from './options.ts';
import { lookOf, note, print, printJson, progressSink } from './terminal.ts';

export async function runIsolated(
  args: Arguments,
  request: RunRequest,
  signal: AbortSignal,
): Promise<readonly RunResult[]> {
  const look = lookOf(args.values.get('color'));
  const { resolveIsolated } = await import('../run/isolate.ts');
  const { estimateRun, refuseBeyondHost } = await import('../run/estimate.ts');
  const { runSpecification, workerLimit } = await import('../run/run.ts');
  const runs = await resolveIsolated(request, signal);
  for (const { spec } of runs) refuseBeyondHost(estimateRun(spec, workerLimit(spec)), spec);
  const out = args.values.get('out');
  const files = await import('../run/files.ts');
  if (out !== undefined) files.checkOutputFolder(out, args.values.has('force'));
  const quiet = args.values.has('quiet');
  const sides = [];
  for (const [index, { label, spec }] of runs.entries()) {
    if (!quiet) note(`${index + 1}/${runs.length} ${label}`);
    const progress = progressSink(quiet);
    const { result, seeds } = await runSpecification(spec, { signal, progress });
    sides.push({ label, result, seeds });
    if (out === undefined) continue;
    const { runFiles } = await import('../metrics/run-files.ts');
    await files.writeOutput(`${out}/${index + 1}`, await runFiles(result, seeds));
  }
  const { isolationTable } = await import('../report/isolation-table.ts');
  if (args.values.has('json')) {
    const labelled = sides.map(({ label, result }) => ({ label, ...result }));
    printJson({ schema: 'numalab-isolate-1', runs: labelled });
  } else {
    const { runHeader } = await import('../report/run-report.ts');
    print([...runHeader(sides[0]!.result, look), '', ...isolationTable(sides, look)].join('\n'));
  }
  return sides.map(({ result }) => result);
}

export function worstOf(codes: readonly ExitCode[]): ExitCode {
  return codes.find((code) => code !== ExitCode.Done) ?? ExitCode.Done;
}
