/**
 * `list params NAME` and `run NAME --help`: every key with default, range and meaning, of a
 * workload or of each part of a profile. Defaults of kernel options are those of the machine that
 * is taken when nobody names one.
 */

import type { Workload } from '../../workloads/workload.ts';
import type { Parameter } from '../base/parameters.ts';
import { parseAssignment } from '../base/parse-parameters.ts';
import { formatBytes, formatPs } from '../base/units.ts';
import { loadMachine } from '../machine/catalog.ts';
import { kernelDefaultsOf, kernelTables } from '../run/kernel-options.ts';
import { placementParameters } from '../run/placement.ts';
import type { ProfileText } from '../run/profile.ts';
import { profileOf } from '../run/specification.ts';
import { loadReference, referenceOf } from '../run/workload-source.ts';

interface Group {
  readonly title: string;
  readonly parameters: readonly Parameter[];
}

export async function parameterGroups(word: string): Promise<Group[]> {
  const profile = await profileOf(word);
  if (profile !== null) return profileGroups(profile);
  const workload = await loadReference(await referenceOf(word));
  const groups: Group[] = [
    { title: `parameters of ${workload.name}`, parameters: workload.parameters },
    { title: 'placement', parameters: placementParameters(workload) },
    kernelGroup(workload, workload.defaultMachine),
  ];
  return groups.filter(({ parameters }) => parameters.length > 0);
}

/** What each part reads; a key goes to all parts that have it, `label.key` to one. */
async function profileGroups(profile: ProfileText): Promise<Group[]> {
  const groups: Group[] = [];
  let machine = profile.machine;
  for (const { label, workload: name, assignments } of profile.parts) {
    const workload = await loadReference(await referenceOf(name));
    machine ??= workload.defaultMachine;
    const kernel = kernelGroup(workload, machine, profile.like);
    const own = { title: `${label}.KEY, of ${workload.name}`, parameters: workload.parameters };
    for (const { title, parameters } of [
      own,
      { ...kernel, title: `${label}.KEY, ${kernel.title}` },
    ]) {
      const words = [...(profile.kernel ?? []), ...assignments];
      groups.push({ title, parameters: withDefaults(parameters, valuesOf(words)) });
    }
  }
  return groups.filter(({ parameters }) => parameters.length > 0);
}

function kernelGroup(workload: Workload, machine: string, like?: string): Group {
  const defaults = kernelDefaultsOf(workload, loadMachine(machine), like);
  return {
    title: `kernel under test, as on ${machine}`,
    parameters: withDefaults(kernelTables(workload), defaults),
  };
}

function withDefaults(
  parameters: readonly Parameter[],
  values: Readonly<Record<string, string>>,
): readonly Parameter[] {
  return parameters.map((parameter) => ({
    ...parameter,
    default: values[parameter.name] ?? values[parameter.alias ?? ''] ?? parameter.default,
  }));
}

function valuesOf(words: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    words.map(parseAssignment).map(({ key, value }) => [key, value] as const),
  );
}

export async function parametersText(word: string): Promise<string> {
  const groups = await parameterGroups(word);
  const all = groups.flatMap(({ parameters }) => parameters);
  const width = Math.max(...all.map((parameter) => keyText(parameter).length));
  return groups
    .map(({ title, parameters }) =>
      [`${title}:`, ...parameters.flatMap((parameter) => parameterLines(parameter, width))].join(
        '\n',
      ),
    )
    .join('\n\n');
}

export async function parametersJson(word: string): Promise<unknown> {
  const groups = await parameterGroups(word);
  return groups.flatMap(({ title, parameters }) =>
    parameters.map((parameter) => ({ group: title, ...parameter })),
  );
}

function keyText(parameter: Parameter): string {
  return parameter.alias === undefined ? parameter.name : `${parameter.name}, ${parameter.alias}`;
}

function parameterLines(parameter: Parameter, width: number): string[] {
  const chosen = parameter.default === '' ? 'by machine and other options' : parameter.default;
  return [
    `  ${keyText(parameter).padEnd(width)}  ${parameter.description}`,
    `  ${''.padEnd(width)}  ${rangeText(parameter)}; default ${chosen}`,
  ];
}

function rangeText(parameter: Parameter): string {
  const { kind, minimum, maximum } = parameter;
  if (kind === 'choice') return (parameter.values ?? []).join('|');
  if (kind === 'flag') return 'on|off';
  if (kind === 'text') return 'text';
  const format = kind === 'size' ? formatBytes : kind === 'time' ? formatPs : String;
  const unit = parameter.unit === undefined ? '' : ` in ${parameter.unit}`;
  if (minimum !== undefined && maximum !== undefined) {
    return `${kind}${unit} ${format(minimum)} .. ${format(maximum)}`;
  }
  if (maximum !== undefined) return `${kind}${unit} up to ${format(maximum)}`;
  if (minimum !== undefined) return `${kind}${unit} from ${format(minimum)}`;
  return `${kind}${unit}`;
}
