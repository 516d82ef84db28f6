/** numalab compare: variants of one workload under the same seeds, or results from files. */

import { ExitCode, UserError } from '../base/errors.ts';
import { given } from '../base/parse-quantity.ts';
import type { ComparedRun, Comparison } from '../compare/comparison.ts';
import type { RunSpec } from '../run/run-spec.ts';
import type { Command } from './command.ts';
import { type Arguments, type Option, RUN_OPTIONS } from './options.ts';
import { requestOf } from './request.ts';
import { lookOf, note, print, printJson, progressSink } from './terminal.ts';

const ALL_SWITCH: Option = {
  name: 'all',
  value: '',
  description: 'every histogram: single nodes and phases too',
};

export const compareCommand: Command = {
  name: 'compare',
  words: 'WORKLOAD VARIANT VARIANT... | DIR|FILE.hlog DIR|FILE.hlog...',
  description: 'run variants with the same seeds, or read results, and print them side by side',
  options: [...RUN_OPTIONS, ALL_SWITCH],
  examples: [
    [
      'numalab compare dirty_log_perf_test faults=exclusive faults=parallel',
      'two variants; the first is the baseline',
    ],
    ['numalab compare lock_contention lock=ticket lock=mcs -r 4', 'two locks over four seeds'],
    [
      'numalab compare dirty_log_perf_test faults=exclusive,mmuLock=spinlock faults=parallel',
      'commas join the keys of one variant',
    ],
  ],
  run,
};

async function run(args: Arguments, signal: AbortSignal): Promise<ExitCode> {
  const look = lookOf(args.values.get('color'));
  const { isRunPath } = await import('../compare/read-run.ts');
  const [first] = args.words;
  if (first === undefined) {
    throw new UserError('compare needs a workload and its variants, or two results or more');
  }
  const runs = isRunPath(first)
    ? await readRuns(args.words)
    : await runVariants(args, first, args.words.slice(1), signal);
  const { compareRuns } = await import('../compare/comparison.ts');
  const comparison = compareRuns(runs);
  if (args.values.has('json')) {
    const { comparisonJson } = await import('../compare/compare-json.ts');
    printJson(comparisonJson(comparison));
  } else {
    const { renderComparison } = await import('../compare/render-comparison.ts');
    print(renderComparison(comparison, { all: args.values.has('all') }, look));
  }
  return exitCodeOf(comparison);
}

function exitCodeOf(comparison: Comparison): ExitCode {
  const results = comparison.sides.flatMap(({ result }) => (result == null ? [] : [result]));
  if (results.some(({ checks }) => checks.some(({ ok }) => !ok))) return ExitCode.CheckFailed;
  const stalled = results.some(({ stall }) => stall !== undefined);
  return stalled ? ExitCode.Stalled : ExitCode.Done;
}

async function readRuns(paths: readonly string[]): Promise<ComparedRun[]> {
  if (paths.length < 2) throw oneVariant('result');
  const { readRun } = await import('../compare/read-run.ts');
  const runs: ComparedRun[] = [];
  for (const path of paths) runs.push(await readRun(path));
  return runs;
}

function oneVariant(what: string): UserError {
  return new UserError(`compare needs at least two ${what}s; one ${what} has nothing beside it`);
}

/** Everything is resolved before anything runs: a wrong last variant costs nothing. */
async function runVariants(
  args: Arguments,
  workload: string,
  variants: readonly string[],
  signal: AbortSignal,
): Promise<ComparedRun[]> {
  const { resolveSpecification } = await import('../run/specification.ts');
  const { estimateRun, refuseBeyondHost } = await import('../run/estimate.ts');
  const { runSpecification, workerLimit } = await import('../run/run.ts');
  const files = await import('../run/files.ts');
  const common = args.repeated.get('set') ?? [];
  const specs: RunSpec[] = [];
  for (const variant of variants) {
    const assignments = [...common, ...splitVariant(variant)];
    const spec = await resolveSpecification(requestOf(args, workload, assignments));
    refuseBeyondHost(estimateRun(spec, workerLimit(spec)), spec);
    specs.push(spec);
  }
  if (specs.length < 2) throw oneVariant('variant');
  const out = args.values.get('out');
  if (out !== undefined) files.checkOutputFolder(out, args.values.has('force'));
  if (args.values.has('dry-run')) throw new UserError('--dry-run: use it with numalab run');
  const quiet = args.values.has('quiet');
  const runs: ComparedRun[] = [];
  for (const [index, spec] of specs.entries()) {
    const label = variants[index]!;
    if (!quiet) note(`${index + 1}/${specs.length} ${label}`);
    const { result, seeds } = await runSpecification(spec, {
      signal,
      progress: progressSink(quiet),
    });
    runs.push({ label, result, seeds });
    if (out !== undefined) {
      const { runFiles } = await import('../metrics/run-files.ts');
      await files.writeOutput(`${out}/${index + 1}`, await runFiles(result, seeds));
    }
  }
  return runs;
}

/** key=value[,key=value...]; a comma that no key follows belongs to the value (a list). */
export function splitVariant(variant: string): string[] {
  if (!variant.includes('=')) {
    throw new UserError(`${given(variant)} is no variant; write key=value[,key=value...]`);
  }
  return variant.split(/,(?=[A-Za-z]\w*=)/);
}
