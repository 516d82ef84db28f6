/**
 * Options of the kernel under test for one run: the tables that the workload reads, defaults from
 * the kernel version (`--like`, else the newest) and the machine, refusals of what cannot be, and
 * the what-if label for what no kernel runs.
 */

import type { Workload } from '../../workloads/workload.ts';
import { UserError } from '../base/errors.ts';
import type { Parameter, Parameters } from '../base/parameters.ts';
import {
  type Assignment,
  parseParameterValue,
  resolveParameters,
} from '../base/parse-parameters.ts';
import { didYouMean } from '../base/suggest.ts';
import {
  checkLike,
  checkStage2Options,
  LIKE_DEFAULT,
  LIKE_VERSIONS,
  likePreset,
  whatIfLabel,
  whatIfOf,
} from '../kernel/like.ts';
import { resolveStage2Options, STAGE2_PARAMETERS } from '../kernel/stage2/options.ts';
import type { Machine } from '../machine/machine.ts';

export interface KernelChoice {
  readonly parameters: Parameters;
  readonly given: ReadonlySet<string>;
  readonly like: string;
  readonly whatIf: readonly string[];
  readonly whatIfLabel: string | null;
}

/** By the family that a workload names in kernelOptions. */
const FAMILIES: Readonly<Record<'stage2' | 'mm', readonly Parameter[]>> = {
  stage2: STAGE2_PARAMETERS,
  mm: [],
};

/** Tables of kernel options that a workload reads. */
export function kernelTables(workload: Workload): readonly Parameter[] {
  return workload.kernelOptions.flatMap((family) => FAMILIES[family]);
}

/** Every option of every family, for `list variants`. */
export function kernelOptionTables(): readonly Parameter[] {
  return Object.values(FAMILIES).flat();
}

export function resolveKernelOptions(
  workload: Workload,
  machine: Machine,
  assignments: readonly Assignment[],
  like: string | undefined,
  ownTables: readonly Parameter[],
): KernelChoice {
  refuseUnknownLike(like);
  refuseAmbiguousWords(assignments, like);
  const kernel = kernelTables(workload);
  const tables = [...ownTables, ...kernel];
  const { values, given } = resolveParameters(tables, assignments, workload.name);
  const parameters: Record<string, string | number | boolean> = { ...values };
  const preset = likePreset(like ?? LIKE_DEFAULT, machine);
  for (const parameter of kernel) {
    const text = preset[parameter.name];
    if (text === undefined || given.has(parameter.name)) continue;
    parameters[parameter.name] = parseParameterValue(parameter, parameter.name, text);
  }
  for (const parameter of kernel) {
    const text = workload.kernelDefaults?.[parameter.name];
    if (text === undefined || given.has(parameter.name)) continue;
    parameters[parameter.name] = parseParameterValue(parameter, parameter.name, text);
  }
  if (!workload.kernelOptions.includes('stage2')) {
    return { parameters, given, like: like ?? LIKE_DEFAULT, whatIf: [], whatIfLabel: null };
  }
  const options = resolveStage2Options(parameters, machine);
  checkStage2Options(options, machine);
  if (like !== undefined) checkLike(like, options, machine);
  const whatIf = like === undefined ? whatIfOf(options, machine) : null;
  return {
    parameters,
    given,
    like: like ?? LIKE_DEFAULT,
    whatIf: whatIf?.options ?? [],
    whatIfLabel: whatIf === null ? null : whatIfLabel(whatIf),
  };
}

function refuseUnknownLike(like: string | undefined): void {
  if (like === undefined || LIKE_VERSIONS.includes(like)) return;
  const near = didYouMean(like, LIKE_VERSIONS);
  throw new UserError(
    `--like: '${like}' is no kernel that is known; known are ${LIKE_VERSIONS.join(', ')}${near}`,
  );
}

/** `rodata=on` meant full until 2025 and means something else since. */
function refuseAmbiguousWords(assignments: readonly Assignment[], like: string | undefined): void {
  const rodata = assignments.find(({ key }) => key === 'rodata');
  if (rodata?.value !== 'on' || like !== undefined) return;
  throw new UserError(
    'rodata=on means different things before and after 2025 (new on = old full); ' +
      'say rodata=full or rodata=noalias, or name the kernel with --like',
  );
}
