/**
 * From the texts of the command line to a resolved specification: workload, machine, placement,
 * every option with its value, seeds. Nothing after this file reads user text; whatever is wrong
 * with the input is refused here, before anything is written or started.
 */

import { availableParallelism } from 'node:os';
import type { Placement, Workload, WorkloadContext } from '../../workloads/workload.ts';
import { UserError } from '../base/errors.ts';
import type { Parameter, Parameters } from '../base/parameters.ts';
import { parseAssignment } from '../base/parse-parameters.ts';
import { given, parseCount, parseSeed } from '../base/parse-quantity.ts';
import { loadMachine } from '../machine/catalog.ts';
import type { Machine } from '../machine/machine.ts';
import { type KernelChoice, resolveKernelOptions } from './kernel-options.ts';
import {
  chooseCpus,
  isCpulist,
  PLACEMENT_PARAMETERS,
  placementMap,
  resolvePlacement,
} from './placement.ts';
import { type Json, sha256Hex, sortedJson } from './run-id.ts';
import type { WorkloadReference } from './task.ts';
import { parseThreads, type ThreadsOption } from './threads.ts';
import { hashUserFiles, isPath, loadReference, referenceOf } from './workload-source.ts';

/** Texts as the user wrote them; undefined = not given. */
export interface RunRequest {
  readonly workload?: string | undefined;
  readonly assignments: readonly string[];
  readonly machine?: string | undefined;
  readonly cpus?: string | undefined;
  readonly seed?: string | undefined;
  readonly repeat?: string | undefined;
  readonly jobs?: string | undefined;
  readonly threads?: string | undefined;
  readonly engine?: string | undefined;
  readonly like?: string | undefined;
  readonly check: boolean;
}

export interface RunSpec {
  readonly reference: WorkloadReference;
  readonly workload: Workload;
  readonly machine: Machine;
  readonly placement: Placement;
  readonly helpers: number;
  /** "node 0: CPUs 0-15; helper on CPU 16". */
  readonly placementText: string;
  /** --cpus was a list, not a count. */
  readonly cpusAreListed: boolean;
  readonly parameters: Parameters;
  /** Names of the parameters that the user gave. */
  readonly given: readonly string[];
  readonly like: string;
  readonly whatIf: readonly string[];
  readonly whatIfLabel: string | null;
  readonly engine: 'virtual';
  readonly seeds: readonly number[];
  readonly threads: ThreadsOption;
  readonly jobs: number;
  readonly check: boolean;
  /** SHA-256 by path. */
  readonly userFiles: Readonly<Record<string, string>>;
  readonly runId: string;
  /** The workload and its key=value words as given, for a line that replays the run. */
  readonly request: RunRequest;
}

const SEED_MAX = 2 ** 53;
const REPEAT_MAX = 10_000;
const JOBS_MAX = 256;

export function contextOf(spec: RunSpec, seed: number): WorkloadContext {
  const { machine, placement, parameters } = spec;
  return { machine, placement, parameters, seed };
}

export async function resolveSpecification(
  request: RunRequest,
  defaultWorkload: string,
): Promise<RunSpec> {
  refuseOtherEngines(request.engine ?? 'virtual');
  const seeds = resolveSeeds(request.seed ?? '1', request.repeat ?? '1');
  const jobs = resolveJobs(request.jobs ?? 'auto', seeds.length);
  const threads = parseThreads(request.threads ?? 'auto');
  const word = request.workload ?? defaultWorkload;
  const reference = await referenceOf(word);
  const workload = await loadReference(reference);
  const machine = loadMachine(request.machine ?? workload.defaultMachine);
  refuseMissingMechanisms(machine, workload);
  const assignments = request.assignments.map(parseAssignment);
  const kernel = resolveKernelOptions(workload, machine, assignments, request.like, [
    ...workload.parameters,
    ...PLACEMENT_PARAMETERS,
  ]);
  const placed = placeWorkload(request, workload, machine, kernel);
  const userFiles = hashUserFiles(
    [word, request.machine ?? ''].filter((path) => path !== '' && isUserFile(path)),
  );
  const spec = {
    reference,
    workload,
    machine,
    ...placed,
    given: [...kernel.given],
    like: kernel.like,
    whatIf: kernel.whatIf,
    whatIfLabel: kernel.whatIfLabel,
    engine: 'virtual' as const,
    seeds,
    threads,
    jobs,
    check: request.check,
    userFiles,
    request,
  };
  return { ...spec, runId: runIdOf(spec) };
}

function isUserFile(path: string): boolean {
  return isPath(path) || path.endsWith('.json');
}

function refuseOtherEngines(engine: string): void {
  if (engine === 'virtual') return;
  if (engine === 'host' || engine === 'explore') {
    throw new UserError(`--engine ${engine}: the ${engine} engine is not in this version`);
  }
  throw new UserError(`--engine: ${given(engine)} is none of virtual, host, explore`);
}

function refuseMissingMechanisms(machine: Machine, workload: Workload): void {
  if (machine.architecture !== 'x86' || workload.runsOnX86) return;
  throw new UserError(
    `${workload.name} needs stage-2 translation or broadcast TLBI, which ${machine.name} (x86) ` +
      'does not have in this version; x86 machines run memory_latency, memory_bandwidth, ' +
      'core_to_core and lock_contention',
  );
}

export function resolveSeeds(seedText: string, repeatText: string): readonly number[] {
  const first = parseSeed('--seed', seedText);
  const repeat = parseCount('--repeat', repeatText, { minimum: 1, maximum: REPEAT_MAX });
  if (first > SEED_MAX - (repeat - 1)) {
    throw new UserError(
      `--seed: the seeds ${first} .. ${seedText}+${repeat - 1} pass 2^53; give a smaller seed`,
    );
  }
  return Array.from({ length: repeat }, (_, index) => first + index);
}

/** auto: as many seeds side by side as the host has cores. */
function resolveJobs(text: string, seedCount: number): number {
  if (text === 'auto') return Math.min(seedCount, availableParallelism());
  if (!/^-?\d/.test(text)) {
    throw new UserError(`--jobs: ${given(text)} is neither auto nor a number of seeds`);
  }
  return Math.min(seedCount, parseCount('--jobs', text, { minimum: 1, maximum: JOBS_MAX }));
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
  request: RunRequest,
  workload: Workload,
  machine: Machine,
  kernel: KernelChoice,
): Placed {
  const { parameters } = kernel;
  const text = request.cpus ?? String(workload.defaultCpus(machine, parameters));
  if (isCpulist(text) && kernel.given.has('placement')) {
    throw new UserError(`placement=${parameters['placement']}: --cpus ${text} already says where`);
  }
  const layout = parameters['placement'] === 'spread' ? 'spread' : 'packed';
  let cpus = chooseCpus(machine, text, layout);
  const helpers = workload.helperCpus(parameters, cpus.length);
  const own = ownCpus(workload, parameters, cpus.length - helpers);
  if (own < 1 || own + helpers > cpus.length) {
    const wanted = own < 1 ? 'at least one of its own' : `${own} of its own`;
    throw new UserError(
      `${workload.name} needs ${wanted} and ${helpers} for helpers, and --cpus gives ${cpus.length}`,
    );
  }
  if (cpus.length < workload.minimumCpus) {
    throw new UserError(
      `${workload.name} needs at least ${workload.minimumCpus} CPUs, and --cpus gives ${cpus.length}`,
    );
  }
  cpus = cpus.slice(0, own + helpers);
  const placement = resolvePlacement(machine, cpus, parameters);
  const withVcpus = 'vcpus' in parameters ? { ...parameters, vcpus: own } : parameters;
  return {
    placement,
    helpers,
    placementText: placementMap(machine, placement, helpers),
    cpusAreListed: isCpulist(text),
    parameters: withVcpus,
  };
}

/** `vcpus` where the workload has it and the user gave it, else every CPU that is no helper's. */
function ownCpus(workload: Workload, parameters: Parameters, available: number): number {
  const hasVcpus = workload.parameters.some((parameter: Parameter) => parameter.name === 'vcpus');
  const vcpus = hasVcpus ? parameters['vcpus'] : undefined;
  return typeof vcpus === 'number' ? vcpus : available;
}

/** What decides the result, and nothing else. */
function runIdOf(spec: Omit<RunSpec, 'runId'>): string {
  const identity = {
    workload: spec.reference.name,
    machineHash: spec.machine.hash,
    engine: spec.engine,
    placement: {
      cpus: spec.placement.cpus,
      memoryPolicy: spec.placement.memoryPolicy,
      bindNode: spec.placement.bindNode,
    },
    parts: spec.reference.parts.map((part) => ({
      label: part.label,
      workload: part.workload.name,
      cpus: part.context.placement.cpus,
      parameters: part.context.parameters,
    })),
    parameters: spec.parameters,
    like: spec.like,
    whatIf: spec.whatIf,
    seeds: spec.seeds,
    files: Object.values(spec.userFiles).toSorted(),
  };
  return sha256Hex(sortedJson(identity as unknown as Json));
}
