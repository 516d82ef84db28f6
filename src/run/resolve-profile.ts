/** A profile to one resolved workload: each part on its own, then joined. */

import type { Workload } from '../../workloads/workload.ts';
import { UserError } from '../base/errors.ts';
import { loadMachine } from '../machine/catalog.ts';
import { combineParts } from './combined-workload.ts';
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
  if (request.assignments.length > 0) {
    throw new UserError(
      `${request.assignments[0]}: parameters of a profile are in its file, ${profile.path}`,
    );
  }
  const references = await Promise.all(
    profile.parts.map((part) => atPlace(part.where, () => referenceOf(part.workload))),
  );
  const workloads = await Promise.all(references.map(loadReference));
  const machine = loadMachine(request.machine ?? profile.machine ?? workloads[0]!.defaultMachine);
  const like = request.like ?? profile.like;
  const resolved: Part[] = [];
  for (const [index, part] of profile.parts.entries()) {
    const { assignments, cpus: cpulist } = part;
    const workload = workloads[index]!;
    const options = { assignments, like: usesKernel(workload) ? like : undefined, cpulist };
    resolved.push(await atPlace(part.where, () => resolveOn(machine, workload, options)));
  }
  refuseSharedCpus(profile, resolved);
  return joinParts(profile, references, resolved);
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

function joinParts(
  profile: ProfileText,
  references: readonly WorkloadReference[],
  resolved: readonly Part[],
): ResolvedWorkload {
  const parts = resolved.map(({ machine, placement, parameters }, index) => ({
    label: profile.parts[index]!.label,
    workload: references[index]!,
    context: { machine, placement, parameters, seed: 0 },
  }));
  const labelled = <Value>(pick: (part: Part) => readonly Value[]) =>
    resolved.flatMap((part, index) =>
      pick(part).map((item) => `${profile.parts[index]!.label}.${item}`),
    );
  const own = resolved.flatMap(({ placement, helpers }) =>
    placement.cpus.slice(0, placement.cpus.length - helpers),
  );
  const helpers = resolved.flatMap((part) =>
    part.placement.cpus.slice(part.placement.cpus.length - part.helpers),
  );
  const kernel = resolved.find(({ workload }) => usesKernel(workload)) ?? resolved[0]!;
  const whatIf = labelled(({ whatIf: options }) => options);
  return {
    reference: { name: profile.name, url: '', parts },
    workload: combineParts(
      profile.name,
      parts,
      resolved.map(({ workload }) => workload),
    ),
    machine: resolved[0]!.machine,
    placement: { cpus: [...own, ...helpers], memoryPolicy: 'first-touch', bindNode: 0 },
    helpers: helpers.length,
    placementText: resolved
      .map(({ placementText }, index) => `${profile.parts[index]!.label}: ${placementText}`)
      .join(' | '),
    cpusAreListed: true,
    parameters: Object.fromEntries(
      parts.flatMap(({ label, context }) =>
        Object.entries(context.parameters).map(([key, value]) => [`${label}.${key}`, value]),
      ),
    ),
    given: labelled(({ given: names }) => names),
    like: kernel.like,
    whatIf,
    whatIfLabel: whatIf.length === 0 ? null : `what-if: ${whatIf.join(', ')}`,
  };
}
