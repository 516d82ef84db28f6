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
  const { areRunPaths } = await import('../compare/read-run.ts');
  const [first] = args.words;
  if (first === undefined) {
    throw new UserError('compare needs a workload and its variants, or two results or more');
  }
  const runs = (await areRunPaths(args.words))
    ? await readRuns(args)
    : await runVariants(args, first, args.words.slice(1), signal);
  if (runs === null) return ExitCode.Done;
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

async function readRuns({ words: paths, values }: Arguments): Promise<ComparedRun[]> {
  if (values.has('dry-run')) {
    throw new UserError('--dry-run: results are read and nothing would run; leave it out');
  }
  if (paths.length < 2) throw oneVariant('result');
  const { readRun } = await import('../compare/read-run.ts');
  const runs: ComparedRun[] = [];
  for (const path of paths) runs.push(await readRun(path));
  if (runs.some(({ result }) => result?.engine === 'host')) throw notCompared();
  return runs;
}

function notCompared(): UserError {
  return new UserError(
    '--engine host: its wall-clock latencies depend on this host and are not compared; use run',
  );
}

function oneVariant(what: string): UserError {
  return new UserError(`compare needs at least two ${what}s; one ${what} has nothing beside it`);
}

interface Variant {
  readonly label: string;
  readonly spec: RunSpec;
}

/** null: --dry-run, printed and not run. */
async function runVariants(
  args: Arguments,
  workload: string,
  labels: readonly string[],
  signal: AbortSignal,
): Promise<ComparedRun[] | null> {
  const variants = await resolveVariants(args, workload, labels, signal);
  if (args.values.has('dry-run')) {
    await printDryRun(variants, args.values.has('json'));
    return null;
  }
  const { estimateRun, refuseBeyondHost } = await import('../run/estimate.ts');
  const { runSpecification, workerLimit } = await import('../run/run.ts');
  for (const { spec } of variants) refuseBeyondHost(estimateRun(spec, workerLimit(spec)), spec);
  const files = await import('../run/files.ts');
  const out = args.values.get('out');
  if (out !== undefined) files.checkOutputFolder(out, args.values.has('force'));
  const quiet = args.values.has('quiet');
  const runs: ComparedRun[] = [];
  for (const [index, { label, spec }] of variants.entries()) {
    if (!quiet) note(`${index + 1}/${variants.length} ${label}`);
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

/** Everything is resolved before anything runs: a wrong last variant costs nothing. */
async function resolveVariants(
  args: Arguments,
  workload: string,
  labels: readonly string[],
  signal: AbortSignal,
): Promise<Variant[]> {
  const { resolveSpecification } = await import('../run/specification.ts');
  const common = args.repeated.get('set') ?? [];
  const variants: Variant[] = [];
  for (const label of labels) {
    const assignments = [...common, ...splitVariant(label)];
    const spec = await resolveSpecification(requestOf(args, workload, assignments), signal);
    if (spec.engine === 'host') throw notCompared();
    variants.push({ label, spec });
  }
  if (variants.length < 2) throw oneVariant('variant');
  return variants;
}

async function printDryRun(variants: readonly Variant[], asJson: boolean): Promise<void> {
  const { comparisonDryRunJson, comparisonDryRunText } = await import('../run/dry-run.ts');
  const { estimateRun } = await import('../run/estimate.ts');
  const { workerLimit } = await import('../run/run.ts');
  const plans = variants.map(({ label, spec }) => ({
    label,
    spec,
    estimate: estimateRun(spec, workerLimit(spec)),
  }));
  if (asJson) printJson(comparisonDryRunJson(plans));
  else print(comparisonDryRunText(plans));
}

/** key=value[,key=value...]; a comma that no key follows belongs to the value (a list). */
export function splitVariant(variant: string): string[] {
  if (!variant.includes('=')) {
    throw new UserError(`${given(variant)} is no variant; write key=value[,key=value...]`);
  }
  return variant.split(/,(?=[A-Za-z]\w*=)/);
}
