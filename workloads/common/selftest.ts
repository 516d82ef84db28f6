/**
 * What the KVM selftests have in common (tools/testing/selftests/kvm: lib/memstress.c,
 * lib/test_util.c): option letters, sizes and the way times are printed.
 */

import { UserError } from '../../src/base/errors.ts';
import type { Parameter, Parameters } from '../../src/base/parameters.ts';
import { formatBytes, GIB, KIB } from '../../src/base/units.ts';
import { BACKING_NAMES } from '../../src/kernel/stage2/backing.ts';
import type { Machine } from '../../src/machine/machine.ts';
import { Metric } from '../../src/metrics/definition.ts';
import type { RunFacts, WorkloadContext } from '../workload.ts';
import { GUEST_MODE_VALUES, guestModeOf } from './guest-mode.ts';
import { numberOf, textOf } from './values.ts';

/** DEFAULT_PER_VCPU_MEM_SIZE, DEFAULT_TEST_MEM_SIZE. */
const SELFTEST_MEMORY_BYTES = GIB;
const NS_PER_S = 1_000_000_000;

/** "%ld.%.9lds", as timespecs are printed. */
export function seconds(ns: number): string {
  const whole = Math.floor(ns / NS_PER_S);
  return `${whole}.${String(Math.floor(ns % NS_PER_S)).padStart(9, '0')}s`;
}

export const VCPUS: Parameter = {
  name: 'vcpus',
  alias: 'v',
  kind: 'count',
  default: '',
  minimum: 1,
  maximum: 1024,
  description: 'number of vCPUs; unset: all CPUs of the run but the helpers',
};

export function perVcpuMemory(scaledDefault: string): Parameter {
  return {
    name: 'perVcpuMemory',
    alias: 'b',
    kind: 'size',
    default: scaledDefault,
    minimum: 4 * KIB,
    maximum: 128 * GIB,
    description: 'memory that each vCPU touches; the selftest has 1G',
  };
}

export const BACKING: Parameter = {
  name: 'backing',
  alias: 's',
  kind: 'choice',
  values: BACKING_NAMES,
  default: 'anonymous',
  description: 'what backs guest memory on the host',
};

export const MODE: Parameter = {
  name: 'mode',
  alias: 'm',
  kind: 'choice',
  values: GUEST_MODE_VALUES,
  default: 'P40V48_4K',
  description: 'guest mode; numbers as in the trees of 2022 (2 = P48V48_4K, newer trees: 3)',
};

export const OVERLAP: Parameter = {
  name: 'overlap',
  alias: 'o',
  kind: 'flag',
  default: 'off',
  description: 'all vCPUs touch all memory instead of a part of their own',
};

export function vcpusOf(context: WorkloadContext, helpers: number): number {
  const given = context.parameters['vcpus'];
  return typeof given === 'number' ? given : context.placement.cpus.length - helpers;
}

/** Memory that must divide into pages of the guest; the message is the selftest's. */
export function checkedMemory(context: WorkloadContext, name: string): number {
  const bytes = numberOf(context.parameters, name);
  const pageBytes = 2 ** guestModeOf(textOf(context.parameters, 'mode')).pageShift;
  if (bytes % pageBytes !== 0) {
    throw new UserError(
      `${name}: Guest memory size is not guest page size aligned (${bytes} bytes, ` +
        `pages of ${formatBytes(pageBytes)})`,
    );
  }
  return bytes;
}

/** CPUs of a run unless told: for the vCPUs that the user asked for, else for `vcpus`. */
export function vcpuCpus(
  machine: Machine,
  parameters: Parameters,
  vcpus: number,
  helpers: number,
): number {
  const given = parameters['vcpus'];
  return Math.min(machine.cpuCount, (typeof given === 'number' ? given : vcpus) + helpers);
}

/** From the first start to the last end of a phase: what the main thread's clock showed. */
export function phaseNs(facts: RunFacts, phase: number): number {
  const span = facts.phases[phase] ?? null;
  return span === null ? 0 : span.endNs - span.startNs;
}

/** Time divided by faults over all vCPUs: flat where something serialises them. */
export function perFaultLine(facts: RunFacts, vcpus: number, name: string, phase: number): string {
  const faults = facts.latency(Metric.FaultService, null, phase)?.count ?? 0;
  const each = faults === 0 ? '' : `, ${(phaseNs(facts, phase) / faults).toFixed(1)} ns per fault`;
  return `${name}: ${faults} faults of ${vcpus} vCPUs${each} system-wide`;
}

/** null if the memory is the selftest's own. */
export function scaledNote(name: string, bytes: number): string | null {
  if (bytes === SELFTEST_MEMORY_BYTES) return null;
  return `memory is scaled: ${name}=${formatBytes(bytes)}, the selftest's default is 1G`;
}
