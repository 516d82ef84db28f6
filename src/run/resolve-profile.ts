/** A profile to one resolved workload: each part on its own, then joined. */

import type { Workload } from '../../workloads/workload.ts';
import { UserError } from '../base/errors.ts';
import type { Parameter, Parameters, ParameterValue } from '../base/parameters.ts';
import { parseAssignment } from '../base/parse-parameters.ts';
import { given } from '../base/parse-quantity.ts';
import { FAMILIES } from '../kernel/like.ts';
import { loadMachine } from '../machine/catalog.ts';
import type { Machine } from '../machine/machine.ts';
import { combineParts } from './combined-workload.ts';
import { type KernelChoice, kernelTables, resolveKernelOptions } from './kernel-options.ts';
import type { ProfileText } from './profile.ts';
import { resolveOn } from './resolve-workload.ts';
import type { ResolvedWorkload, RunRequest } from './run-spec.ts';
import type { WorkloadReference } from './task.ts';
import { loadReference, referenceOf } from './workload-source.ts';

/** A part before it has a name by which workers find it. */
type Part = Omit<ResolvedWorkload, 'reference'>;

export async function resolveProfile(
  profile: ProfileText,
  request: RunRequest,
): Promise<ResolvedWorkload> {
  if (request.cpus !== undefined) {
    throw new UserError(`--cpus: ${profile.path} says which CPUs its parts run on`);
  }
  const references = await Promise.all(
    profile.parts.map((part) => atPlace(part.where, () => referenceOf(part.workload))),
  );
  const workloads = await Promise.all(references.map(loadReference));
  const machine = loadMachine(request.machine ?? profile.machine ?? workloads[0]!.defaultMachine);
  const like = request.like ?? profile.like;
  const kernel = kernelOf(profile, machine, like, request.assignments);
  const own = assignToParts(profile, workloads, request.assignments);
  const resolved: Part[] = [];
  for (const [index, part] of profile.parts.entries()) {
    const { cpus: cpulist } = part;
    const workload = workloads[index]!;
    const common = withOverrides(kernelWords(profile, workload), part.assignments);
    const assignments = withOverrides(common, own[index]!);
    const options = { assignments, like: usesKernel(workload) ? like : undefined, cpulist };
    resolved.push(await atPlace(part.where, () => resolveOn(machine, workload, options)));
  }
  refuseSharedCpus(profile, resolved);
  return joinParts(profile, references, resolved, { text: kernel, off: request.off });
}

/** Options of the kernel text that a profile puts under all of its parts. */
const ENTRY_PARAMETERS: readonly Parameter[] = [
  {
    name: 'blocksPerEntry',
    kind: 'count',
    default: '40',
    minimum: 1,
    maximum: 100_000,
    description: 'basic blocks of kernel text that every entry to the kernel executes',
  },
];

function kernelOf(
  profile: ProfileText,
  machine: Machine,
  like: string | undefined,
  words: readonly string[],
): KernelChoice | null {
  if (profile.kernel === null) return null;
  const own = words.filter((word) => isAboutText(word));
  const assignments = withOverrides(profile.kernel, own).map(parseAssignment);
  const reader = { name: profile.name, kernelOptions: ['text'] as const };
  return resolveKernelOptions(reader, machine, assignments, like, ENTRY_PARAMETERS);
}

function isAboutText(word: string): boolean {
  const { key } = parseAssignment(word);
  return [...ENTRY_PARAMETERS, ...FAMILIES.text.parameters].some(({ name }) => name === key);
}

/** What the profile says of its kernel, for a part that reads options of the kernel text itself. */
function kernelWords({ kernel }: ProfileText, workload: Workload): readonly string[] {
  if (kernel === null || !workload.kernelOptions.includes('text')) return [];
  return kernel.filter((word) => knows(workload, parseAssignment(word).key));
}

/**
 * Words of the command line by part: `label.key=value` goes to that part, `key=value` to every part
 * that knows the key.
 */
function assignToParts(
  profile: ProfileText,
  workloads: readonly Workload[],
  words: readonly string[],
): readonly (readonly string[])[] {
  const own: string[][] = profile.parts.map(() => []);
  for (const word of words) {
    const { key, value } = parseAssignment(word);
    const dot = key.indexOf('.');
    const label = dot < 0 ? null : key.slice(0, dot);
    const name = key.slice(dot + 1);
    let takers = 0;
    profile.parts.forEach((part, index) => {
      if (label === null ? !knows(workloads[index]!, name) : label !== part.label) return;
      own[index]!.push(`${name}=${value}`);
      takers++;
    });
    if (takers > 0 || (profile.kernel !== null && isAboutText(word))) continue;
    const labels = profile.parts.map((part) => part.label).join(', ');
    throw new UserError(
      label === null
        ? `${given(word)}: no part of ${profile.name} knows ${key}; its parts are ${labels}`
        : `${given(word)}: ${profile.name} has no part '${label}'; its parts are ${labels}`,
    );
  }
  return own;
}

function knows(workload: Workload, key: string): boolean {
  const tables = [...workload.parameters, ...kernelTables(workload)];
  return tables.some(({ name, alias }) => name === key || alias === key);
}

/** What the command line says replaces what the file says. */
function withOverrides(file: readonly string[], words: readonly string[]): readonly string[] {
  const keys = new Set(words.map((word) => parseAssignment(word).key));
  return [...file.filter((word) => !keys.has(parseAssignment(word).key)), ...words];
}

function usesKernel(workload: Workload): boolean {
  return workload.kernelOptions.length > 0;
}

/** Complaints about a part of a profile name its place in the file. */
async function atPlace<Result>(
  where: string,
  action: () => Result | Promise<Result>,
): Promise<Result> {
  try {
    return await action();
  } catch (error) {
    if (error instanceof UserError) throw new UserError(`${where}: ${error.message}`);
    throw error;
  }
}

function refuseSharedCpus(
  profile: ProfileText,
  resolved: readonly Pick<ResolvedWorkload, 'placement'>[],
): void {
  const owner = new Map<number, string>();
  resolved.forEach(({ placement }, index) => {
    const part = profile.parts[index]!;
    for (const cpu of placement.cpus) {
      const other = owner.get(cpu);
      if (other !== undefined) {
        throw new UserError(`${part.where}: CPU ${cpu} of '${part.label}' belongs to '${other}'`);
      }
      owner.set(cpu, part.label);
    }
  });
}

/** A machine runs one kernel text: parts that read its options must agree. */
function textOfAll(profile: ProfileText, resolved: readonly Part[]): Parameters {
  const values: Record<string, ParameterValue> = {};
  resolved.forEach(({ workload, parameters }, index) => {
    if (!workload.kernelOptions.includes('text')) return;
    for (const { name } of FAMILIES.text.parameters) {
      const value = parameters[name]!;
      if (values[name] !== undefined && values[name] !== value) {
        const { where, label } = profile.parts[index]!;
        throw new UserError(
          `${where}: ${name}=${value} of '${label}' is ${values[name]} in an earlier part; ` +
            'a machine has one kernel text',
        );
      }
      values[name] = value;
    }
  });
  return values;
}

function joinParts(
  profile: ProfileText,
  references: readonly WorkloadReference[],
  resolved: readonly Part[],
  { text, off }: { text: KernelChoice | null; off: string | undefined },
): ResolvedWorkload {
  const parts = resolved.map(({ machine, placement, parameters }, index) => ({
    label: profile.parts[index]!.label,
    workload: references[index]!,
    context: { machine, placement, parameters, seed: 0 },
    off: profile.parts[index]!.label === off,
  }));
  const running = resolved.filter((_, index) => !parts[index]!.off);
  const labelled = <Value>(pick: (part: Part) => readonly Value[]) =>
    resolved.flatMap((part, index) =>
      pick(part).map((item) => `${profile.parts[index]!.label}.${item}`),
    );
  const own = running.flatMap(({ placement, helpers }) =>
    placement.cpus.slice(0, placement.cpus.length - helpers),
  );
  const helpers = running.flatMap((part) =>
    part.placement.cpus.slice(part.placement.cpus.length - part.helpers),
  );
  const kernel = resolved.find(({ workload }) => usesKernel(workload)) ?? resolved[0]!;
  const whatIf = [...(text?.whatIf ?? []), ...labelled(({ whatIf: options }) => options)];
  const blocksPerEntry = Number(text?.parameters['blocksPerEntry'] ?? 0);
  return {
    reference: { name: profile.name, url: '', parts, blocksPerEntry },
    workload: combineParts(
      profile.name,
      parts,
      resolved.map(({ workload }) => workload),
      blocksPerEntry,
    ),
    machine: resolved[0]!.machine,
    placement: { cpus: [...own, ...helpers], memoryPolicy: 'first-touch', bindNode: 0 },
    helpers: helpers.length,
    placementText: resolved
      .map(({ placementText }, index) => {
        const { label, off: isOff } = parts[index]!;
        return `${label}: ${isOff ? 'off' : placementText}`;
      })
      .join(' | '),
    cpusAreListed: true,
    parameters: {
      ...textOfAll(profile, resolved),
      ...text?.parameters,
      ...Object.fromEntries(
        parts.flatMap(({ label, context }) =>
          Object.entries(context.parameters).map(([key, value]) => [`${label}.${key}`, value]),
        ),
      ),
    },
    given: [...(text?.given ?? []), ...labelled(({ given: names }) => names)],
    like: text?.like ?? kernel.like,
    whatIf,
    whatIfLabel: whatIf.length === 0 ? null : `what-if: ${whatIf.join(', ')}`,
  };
}
