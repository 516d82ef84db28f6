/**
 * Runs small programs on the virtual engine with checks on and gives back what the oracles say.
 * One worker in this thread; the same program without checks must end at the same clocks.
 */

import { judge, type Verdict } from '../../../src/checkers/replay.ts';
import type { Cpu, Program } from '../../../src/cpu/cpu.ts';
import { createEngineBuffers } from '../../../src/engine/virtual/engine-buffers.ts';
import { runWorker } from '../../../src/engine/virtual/run-worker.ts';
import type { EngineSpec, WorkerResult } from '../../../src/engine/virtual/spec.ts';
import type { Machine } from '../../../src/machine/machine.ts';
import type { BootMemory } from '../../../src/memory/boot.ts';
import { COUNTERS, METRICS } from '../../../src/metrics/definition.ts';
import { bootSeed } from '../../../src/run/boot.ts';
import type { Workload, WorkloadContext } from '../../../workloads/workload.ts';

/** 1 ms of emulated time: no program of these tests needs a tenth of it. */
const PROGRESS_LIMIT_PS = 1_000_000_000;

export interface SmallProgram<Image> {
  boot(boot: BootMemory): Image;
  program(cpu: Cpu, image: Image): Program | null;
}

export interface CheckedRun {
  readonly verdicts: readonly Verdict[];
  /** Texts of the violations under a rule. */
  violations(rule: string): string[];
  readonly result: WorkerResult;
}

export function checkedRun<Image>(
  machine: Machine,
  small: SmallProgram<Image>,
  checks = true,
): CheckedRun {
  const workload = {
    kernelOptions: [],
    name: 'small',
    backedBytes: () => 1 << 20,
    boot: (boot: BootMemory) => small.boot(boot),
  };
  const cpus = Array.from({ length: machine.cpuCount }, (_, cpu) => cpu);
  const context: WorkloadContext = {
    machine,
    placement: { cpus, memoryPolicy: 'first-touch', bindNode: 0 },
    parameters: {},
    seed: 1,
  };
  const booted = bootSeed(workload as unknown as Workload, context);
  const spec: EngineSpec = {
    machine,
    memory: booted.memory,
    seed: 1,
    activeCpus: cpus,
    workerCount: 1,
    workerOfCpu: cpus.map(() => 0),
    workerOfNode: Array.from({ length: machine.nodeCount }, () => 0),
    perCpuHi: booted.perCpuHi,
    perCpuLo: booted.perCpuLo,
    translation: booted.translation,
    symbols: booted.symbols,
    metricCount: METRICS.length,
    counterCount: COUNTERS.length,
    phaseCount: 1,
    streams: [],
    progressLimitPs: PROGRESS_LIMIT_PS,
    debug: { witness: false, shuffle: 0, translations: checks, repeats: false },
    buffers: createEngineBuffers(machine, booted.memory, 1, false),
  };
  const result = runWorker(spec, 0, (cpu) => small.program(cpu, booted.image as Image));
  const verdicts = judge(result.logs, {
    symbols: booted.symbols,
    bbm: machine.features.bbm,
    finished: result.ending.kind === 'finished',
  });
  return {
    verdicts,
    result,
    violations: (rule) =>
      verdicts.filter(({ name, ok }) => name === rule && !ok).map(({ text }) => text),
  };
}

/** All violations, for tests that expect none. */
export function everything(run: CheckedRun): string[] {
  return run.verdicts.filter(({ ok }) => !ok).map(({ name, text }) => `${name}: ${text}`);
}
