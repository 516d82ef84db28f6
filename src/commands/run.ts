/** numalab run: one workload on one machine. */

import { ExitCode } from '../base/errors.ts';
import type { RunResult } from '../metrics/result.ts';
import type { Command } from './command.ts';
import { type Arguments, RUN_OPTIONS } from './options.ts';
import { requestOf, splitWords } from './request.ts';
import { lookOf, note, print, printJson, progressSink } from './terminal.ts';

export const runCommand: Command = {
  name: 'run',
  words: '[WORKLOAD|PROFILE.yaml] [key=value ...]',
  description: 'run a workload on an emulated machine and print its latencies',
  options: RUN_OPTIONS,
  examples: [
    ['numalab run', 'the default workload on its default machine'],
    ['numalab run memory_latency -m graviton4_2p maximum=16M', 'latency ladder of a machine'],
    ['numalab run dirty_log_perf_test -c 9 faults=exclusive -s 7', 'eight vCPUs, one lock'],
  ],
  run,
  help: parameterHelp,
};

async function run(args: Arguments, signal: AbortSignal): Promise<ExitCode> {
  const { values } = args;
  const look = lookOf(values.get('color'));
  const { resolveSpecification } = await import('../run/specification.ts');
  const { estimateRun, refuseBeyondHost } = await import('../run/estimate.ts');
  const { runSpecification, workerLimit } = await import('../run/run.ts');
  const { workload, assignments } = splitWords(args.words);
  const all = [...(args.repeated.get('set') ?? []), ...assignments];
  const request = requestOf(args, workload, all);
  if (values.has('isolate') && !values.has('dry-run')) {
    const { runIsolated, worstOf } = await import('./isolate.ts');
    return worstOf((await runIsolated(args, request, signal)).map(exitCodeOfResult));
  }
  const spec = await resolveSpecification(request, signal);
  const estimate = estimateRun(spec, workerLimit(spec));
  if (values.has('dry-run')) {
    const { dryRunJson, dryRunText } = await import('../run/dry-run.ts');
    if (values.has('json')) printJson(dryRunJson(spec, estimate));
    else print(dryRunText(spec, estimate));
    return ExitCode.Done;
  }
  refuseBeyondHost(estimate, spec);
  const out = values.get('out');
  const files = await import('../run/files.ts');
  if (out !== undefined) files.checkOutputFolder(out, values.has('force'));
  const progress = progressSink(values.has('quiet'));
  const { result, seeds } = await runSpecification(spec, { signal, progress });
  if (out !== undefined) {
    const { runFiles } = await import('../metrics/run-files.ts');
    await files.writeOutput(out, await runFiles(result, seeds));
  }
  if (values.has('json')) {
    printJson(result);
  } else {
    const { renderRun } = await import('../report/run-report.ts');
    const { mergeSeeds } = await import('../metrics/naming.ts');
    const { nextCommand } = await import('../run/next-command.ts');
    print(renderRun(result, mergeSeeds(seeds), look));
    if (out !== undefined) note(`written to ${out}`);
    print(`\nnext: ${nextCommand(spec)}`);
  }
  return exitCodeOfResult(result);
}

/** A violation explains a stall better than the stall explains the violation. */
function exitCodeOfResult(result: RunResult): ExitCode {
  if (result.checks.some(({ ok }) => !ok)) return ExitCode.CheckFailed;
  return result.stall === undefined ? ExitCode.Done : ExitCode.Stalled;
}

async function parameterHelp(args: Arguments): Promise<string> {
  const { workload } = splitWords(args.words);
  if (workload === undefined) return '';
  const { parametersText } = await import('./list-parameters.ts');
  return parametersText(workload);
}
