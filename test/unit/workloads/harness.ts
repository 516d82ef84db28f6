/**
 * Runs a workload on the step engine: parameters from its own table, memory built by its boot
 * function, translations by a software walk over the tables that it built. Times mean nothing
 * here; what is tested is that the program does what it says, under any interleaving.
 */

import { assert } from '../../../src/base/assert.ts';
import type { Parameters } from '../../../src/base/parameters.ts';
import { resolveParameters } from '../../../src/base/parse-parameters.ts';
import { Level, Register } from '../../../src/cpu/operations.ts';
import type { Machine } from '../../../src/machine/machine.ts';
import { COUNTERS } from '../../../src/metrics/definition.ts';
import { GRANULE_4K } from '../../../src/translation/granule.ts';
import { softwareWalk } from '../../../src/translation/software-walk.ts';
import type {
  Image,
  LatencyFacts,
  RunFacts,
  Workload,
  WorkloadContext,
} from '../../../workloads/workload.ts';
import { phasesOf } from '../../../workloads/workload.ts';
import { bootKernel } from '../../support/boot-kernel.ts';
import type { StepCpu, Translation } from '../../support/step-cpu.ts';
import { StepEngine, type StepHooks } from '../../support/step-engine.ts';
import { makeTestMachine } from '../../support/test-machine.ts';

export interface HarnessOptions {
  readonly assignments?: Readonly<Record<string, string>>;
  readonly cpus?: readonly number[];
  readonly machine?: Machine;
  readonly seed?: number;
  readonly hooks?: StepHooks;
  readonly extraParameters?: Parameters;
}

export interface Finished {
  readonly engine: StepEngine;
  readonly context: WorkloadContext;
  readonly image: Image;
  readonly facts: RunFacts;
  readonly report: string;
}

export function contextOf(workload: Workload, options: HarnessOptions = {}): WorkloadContext {
  const machine = options.machine ?? makeTestMachine({ cpuCount: 4, nodeCount: 2 });
  const assignments = Object.entries(options.assignments ?? {}).map(([key, value]) => ({
    key,
    value,
  }));
  const { values } = resolveParameters(workload.parameters, assignments, workload.name);
  const cpus = options.cpus ?? Array.from({ length: machine.cpuCount }, (_, cpu) => cpu);
  return {
    machine,
    placement: { cpus, memoryPolicy: 'first-touch', bindNode: 0 },
    parameters: { ...values, ...options.extraParameters },
    seed: options.seed ?? 1,
  };
}

export function runOnStepEngine(workload: Workload, options: HarnessOptions = {}): Finished {
  const context = contextOf(workload, options);
  const perNode = Math.ceil((context.machine.cpuCount * 16384) / 4096) * 4096;
  const engine = new StepEngine({
    machine: context.machine,
    seed: context.seed,
    backedBytes: Math.ceil((workload.backedBytes(context) + perNode) / 4096) * 4096,
    stepLimit: 20_000_000,
    translateHost,
    ...options.hooks,
  });
  const image = structuredClone(workload.boot(engine.boot, context, bootKernel(engine.boot)));
  engine.run(
    engine.cpus.map((cpu) => {
      if (!context.placement.cpus.includes(cpu.id)) return null;
      return () => workload.program(cpu, image, context);
    }),
  );
  const facts = factsOf(engine, workload, context);
  const lines = workload.report?.(facts, image, context) ?? [];
  return { engine, context, image, facts, report: lines.map((line) => line.text).join('\n') };
}

/** Host addresses below the kernel's: the CPU's TTBR0, granule 4K. */
export function translateHost(cpu: StepCpu, vaHi: number, vaLo: number): Translation {
  const root = cpu.roots.get(Register.Ttbr0);
  assert(root !== undefined, `cpu ${cpu.id} reads a user address without a TTBR0`);
  const table = {
    root: { hi: root.paHi, lo: root.paLo },
    granule: GRANULE_4K,
    startLevel: 0,
    inputBits: 48,
  };
  const walk = softwareWalk(cpu.engine.memory, table, vaHi, vaLo);
  if (walk.fault !== 'none') {
    return { ok: false, level: Level.Host, fsc: 4 | walk.level, ipaHi: 0, ipaLo: 0 };
  }
  return { ok: true, paHi: walk.output.hi, paLo: walk.output.lo };
}

function factsOf(engine: StepEngine, workload: Workload, context: WorkloadContext): RunFacts {
  const ofCpu: Record<string, number[]> = {};
  COUNTERS.forEach((counter, index) => {
    ofCpu[counter.name] = engine.cpus.map((cpu) => cpu.counters.get(index) ?? 0);
  });
  ofCpu['operations'] = engine.cpus.map((cpu) => cpu.marks);
  const sums = Object.entries(ofCpu).map(([name, values]) => [name, sum(values)] as const);
  return {
    emulatedNs: engine.nowPs / 1000,
    phases: phasesOf(workload, context).map((_, index) => ({
      startNs: 1000 * index,
      endNs: 1000 * (index + 1),
      operations: sum(engine.cpus.map((cpu) => cpu.marks)),
    })),
    counters: Object.fromEntries(sums),
    countersOfCpu: ofCpu,
    latency: (metric) => latencyOf(engine, metric),
    peek32: (paHi, paLo) => engine.memory.peek32(paHi, paLo),
  };
}

function latencyOf(engine: StepEngine, metric: number): LatencyFacts | null {
  const parts = engine.cpus.flatMap((cpu) => cpu.metrics.get(metric) ?? []);
  const count = sum(parts.map((part) => part.count));
  if (count === 0) return null;
  const meanNs = sum(parts.map((part) => part.sumPs)) / count / 1000;
  const maxNs = Math.max(...parts.map((part) => part.maximumPs)) / 1000;
  return { count, minNs: 0, meanNs, p50Ns: meanNs, p99Ns: maxNs, maxNs };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
