/** One workload on one machine: what is impossible, options of the kernel, CPUs and their roles. */

import type { Placement, Workload } from '../../workloads/workload.ts';
import { UserError } from '../base/errors.ts';
import type { Parameter, Parameters } from '../base/parameters.ts';
import { parseAssignment } from '../base/parse-parameters.ts';
import type { Machine } from '../machine/machine.ts';
import { type KernelChoice, resolveKernelOptions } from './kernel-options.ts';
import {
  chooseCpus,
  isCpulist,
  listedCpus,
  placementMap,
  placementParameters,
  resolvePlacement,
} from './placement.ts';
import type { ResolvedWorkload, RunRequest } from './run-spec.ts';

export function resolveOn(
  machine: Machine,
  workload: Workload,
  request: Pick<RunRequest, 'assignments' | 'like' | 'cpus'> & { readonly cpulist?: string },
): Omit<ResolvedWorkload, 'reference'> {
  refuseMissingMechanisms(machine, workload);
  const assignments = request.assignments.map(parseAssignment);
  const kernel = resolveKernelOptions(workload, machine, assignments, request.like, [
    ...workload.parameters,
    ...placementParameters(workload),
  ]);
  return {
    workload,
    machine,
    ...placeWorkload(request, workload, machine, kernel),
    given: [...kernel.given],
    like: kernel.like,
    whatIf: kernel.whatIf,
    whatIfLabel: kernel.whatIfLabel,
  };
}

function refuseMissingMechanisms(machine: Machine, workload: Workload): void {
  if (machine.architecture !== 'x86' || workload.runsOnX86) return;
  throw new UserError(
    `${workload.name} needs stage-2 translation, which ${machine.name} (x86) does not have here; ` +
      "'numalab list workloads --json' says what runs on x86 (runsOnX86)",
  );
}

interface Placed {
  readonly placement: Placement;
  readonly helpers: number;
  readonly placementText: string;
  readonly cpusAreListed: boolean;
  readonly parameters: Parameters;
}

/** CPUs, roles and the number of vCPUs, which depend on each other. */
function placeWorkload(
  request: { readonly cpus?: string | undefined; readonly cpulist?: string },
  workload: Workload,
  machine: Machine,
  kernel: KernelChoice,
): Placed {
  const { parameters } = kernel;
  const { cpulist } = request;
  const text = request.cpus ?? String(workload.defaultCpus(machine, parameters));
  const isListed = cpulist !== undefined || isCpulist(text);
  if (isListed && kernel.given.has('placement')) {
    throw new UserError(`placement=${parameters['placement']}: a list of CPUs already says where`);
  }
  const layout = parameters['placement'] === 'spread' ? 'spread' : 'packed';
  let cpus =
    cpulist === undefined
      ? chooseCpus(machine, text, layout)
      : listedCpus(machine, 'cpus', cpulist);
  const helpers = workload.helperCpus(parameters, cpus.length);
  const own = ownCpus(workload, parameters, cpus.length - helpers);
  if (own < 1 || own + helpers > cpus.length) {
    const needed = Math.max(1, own) + helpers;
    const roles = `${Math.max(1, own)} and ${helpers} for helpers`;
    throw new UserError(
      `${workload.name} needs ${needed} CPUs (${roles}); ${cpus.length} of the ` +
        `${machine.cpuCount} of ${machine.name} take part`,
    );
  }
  if (cpus.length < workload.minimumCpus) {
    const { name, minimumCpus } = workload;
    throw new UserError(`${name} needs ${minimumCpus} CPUs or more; ${cpus.length} take part`);
  }
  cpus = cpus.slice(0, own + helpers);
  const placement = resolvePlacement(machine, cpus, parameters);
  const withVcpus = 'vcpus' in parameters ? { ...parameters, vcpus: own } : parameters;
  return {
    placement,
    helpers,
    placementText: placementMap(machine, placement, helpers),
    cpusAreListed: isListed,
    parameters: withVcpus,
  };
}

/** `vcpus` where the workload has it and the user gave it, else every CPU that is no helper's. */
function ownCpus(workload: Workload, parameters: Parameters, available: number): number {
  const hasVcpus = workload.parameters.some((parameter: Parameter) => parameter.name === 'vcpus');
  const vcpus = hasVcpus ? parameters['vcpus'] : undefined;
  return typeof vcpus === 'number' ? vcpus : available;
}
