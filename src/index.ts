/**
 * numalab as a library: resolve a request, run it, compare results. The command line is built from
 * the same calls (commands/run.ts, commands/compare.ts).
 */

export {
  BugError,
  CheckError,
  ExitCode,
  exitCodeOf,
  InterruptedError,
  StallError,
  UserError,
} from './base/errors.ts';
export { type ComparedRun, type Comparison, compareRuns } from './compare/comparison.ts';
export { loadMachine, machineNames } from './machine/catalog.ts';
export type { Machine } from './machine/machine.ts';
export type { RunResult } from './metrics/result.ts';
export type { FinishedRun } from './run/result.ts';
export { type RunSurroundings, runSpecification } from './run/run.ts';
export type { RunRequest, RunSpec } from './run/run-spec.ts';
export { resolveSpecification } from './run/specification.ts';
