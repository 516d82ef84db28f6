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
import type { KernelFamily } from '../kernel/family.ts';
import {
  checkLike,
  FAMILIES,
  LIKE_DEFAULT,
  likePreset,
  refuseUnknownLike,
  versionOf,
  whatIfLabel,
  whatIfOf,
} from '../kernel/like.ts';
import type { Machine } from '../machine/machine.ts';

export interface KernelChoice {
  readonly parameters: Parameters;
  readonly given: ReadonlySet<string>;
  readonly like: string;
  readonly whatIf: readonly string[];
  readonly whatIfLabel: string | null;
}

function familiesOf(workload: OptionReader): readonly KernelFamily[] {
  return workload.kernelOptions.map((name) => FAMILIES[name]);
}

/** Tables of kernel options that a workload reads. */
export function kernelTables(workload: OptionReader): readonly Parameter[] {
  return familiesOf(workload).flatMap((family) => family.parameters);
}

/** Every option of every family, for `list variants`. */
export function kernelOptionTables(): readonly Parameter[] {
  return Object.values(FAMILIES).flatMap((family) => family.parameters);
}

/** What of a workload its kernel options depend on. */
export type OptionReader = Pick<Workload, 'name' | 'kernelOptions' | 'kernelDefaults'>;

/** Values of options that nobody gives, as a user would write them; others have the table's. */
export function kernelDefaultsOf(
  workload: OptionReader,
  machine: Machine,
  like = LIKE_DEFAULT,
): Readonly<Record<string, string>> {
  return { ...likePreset(familiesOf(workload), like, machine), ...workload.kernelDefaults };
}

export function resolveKernelOptions(
  workload: OptionReader,
  machine: Machine,
  assignments: readonly Assignment[],
  like: string | undefined,
  ownTables: readonly Parameter[],
): KernelChoice {
  if (like !== undefined) refuseUnknownLike(like);
  refuseAmbiguousWords(assignments, like);
  const families = familiesOf(workload);
  const kernel = kernelTables(workload);
  const tables = [...ownTables, ...kernel];
  const { values, given } = resolveParameters(tables, assignments, workload.name);
  const parameters: Record<string, ParameterValue> = { ...values };
  const defaults = kernelDefaultsOf(workload, machine, like);
  for (const parameter of kernel) {
    const text = defaults[parameter.name];
    if (text === undefined || given.has(parameter.name)) continue;
    parameters[parameter.name] = parseParameterValue(parameter, parameter.name, text);
  }
  for (const family of families) {
    Object.assign(parameters, family.decide(parameters, machine));
    family.check(parameters, machine);
  }
  if (like !== undefined) checkLike(families, like, parameters, machine);
  const whatIf = like === undefined ? whatIfOf(families, parameters, machine) : null;
  return {
    parameters,
    given,
    like: like ?? versionOf(families, parameters, machine) ?? LIKE_DEFAULT,
    whatIf: whatIf?.options ?? [],
    whatIfLabel: whatIf === null ? null : whatIfLabel(whatIf),
  };
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
