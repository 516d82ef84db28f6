/**
 * Options of the kernel under test for one run: the tables that the workload reads, defaults from
 * the kernel version (`--like`, else the newest) and the machine, refusals of what cannot be, and
 * the what-if label for what no kernel runs.
 */

import type { Workload } from '../../workloads/workload.ts';
import { UserError } from '../base/errors.ts';
import type { Parameter, Parameters, ParameterValue } from '../base/parameters.ts';
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
import { MM_PARAMETERS, mmPreset } from '../kernel/mm/options.ts';
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
  mm: MM_PARAMETERS,
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
  const parameters: Record<string, ParameterValue> = { ...values };
  const preset = presetOf(workload, machine, like ?? LIKE_DEFAULT);
  const defaults: Preset = { ...preset, ...workload.kernelDefaults };
  for (const parameter of kernel) {
    const text = defaults[parameter.name];
    if (text === undefined || given.has(parameter.name)) continue;
    parameters[parameter.name] = parseParameterValue(parameter, parameter.name, text);
  }
  const choice = { parameters, given, like: like ?? LIKE_DEFAULT };
  if (!workload.kernelOptions.includes('stage2')) {
    if (like !== undefined) checkPreset(parameters, preset, like);
    return { ...choice, whatIf: [], whatIfLabel: null };
  }
  const options = resolveStage2Options(parameters, machine);
  checkStage2Options(options, machine);
  if (like !== undefined) checkLike(like, options, machine);
  for (const { name } of kernel) {
    const decided = (options as unknown as Parameters)[name];
    if (parameters[name] === '' && decided !== undefined) parameters[name] = decided;
  }
  const whatIf = like === undefined ? whatIfOf(options, machine) : null;
  return {
    ...choice,
    whatIf: whatIf?.options ?? [],
    whatIfLabel: whatIf === null ? null : whatIfLabel(whatIf),
  };
}

type Preset = Readonly<Record<string, string>>;

/** Options that a kernel version decides, for the families that the workload reads. */
function presetOf(workload: Workload, machine: Machine, like: string): Preset {
  const stage2 = workload.kernelOptions.includes('stage2') ? likePreset(like, machine) : {};
  const mm = workload.kernelOptions.includes('mm') ? mmPreset(like) : {};
  return { ...mm, ...stage2 };
}

/** With --like the options must be those of that kernel. */
function checkPreset(parameters: Parameters, preset: Preset, like: string): void {
  for (const [name, right] of Object.entries(preset)) {
    const value = parameters[name];
    if (value === undefined || String(value) === right) continue;
    throw new UserError(
      `--like ${like} does not have ${name}=${value}; leave out --like, or use ${name}=${right}`,
    );
  }
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
