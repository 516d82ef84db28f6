/** `list params WORKLOAD` and `run WORKLOAD --help`: every key with default, range and meaning. */

import type { Parameter } from '../base/parameters.ts';
import { formatBytes, formatPs } from '../base/units.ts';
import { kernelTables } from '../run/kernel-options.ts';
import { placementParameters } from '../run/placement.ts';
import { loadReference, referenceOf } from '../run/workload-source.ts';

interface Group {
  readonly title: string;
  readonly parameters: readonly Parameter[];
}

export async function parameterGroups(word: string): Promise<Group[]> {
  const workload = await loadReference(await referenceOf(word));
  const groups: Group[] = [
    { title: `parameters of ${workload.name}`, parameters: workload.parameters },
    { title: 'placement', parameters: placementParameters(workload) },
  ];
  const kernel = kernelTables(workload);
  if (kernel.length > 0) groups.push({ title: 'kernel under test', parameters: kernel });
  return groups.filter(({ parameters }) => parameters.length > 0);
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
