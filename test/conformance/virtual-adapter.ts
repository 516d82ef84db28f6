/**
 * The virtual engine under the conformance suite: one worker in this thread, every checker of the
 * engine on, CPU and mailbox order shuffled by the seed.
 */

import { StallError } from '../../src/base/errors.ts';
import { createEngineBuffers } from '../../src/engine/virtual/engine-buffers.ts';
import { runWorker } from '../../src/engine/virtual/run-worker.ts';
import type { EngineSpec } from '../../src/engine/virtual/spec.ts';
import { PhysicalMemory } from '../../src/memory/physical-memory.ts';
import { COUNTERS, METRICS } from '../../src/metrics/definition.ts';
import { bootSeed } from '../../src/run/boot.ts';
import type { Workload, WorkloadContext } from '../../workloads/workload.ts';
import { refuseViolations } from '../support/no-violations.ts';
import { makeTestMachine } from '../support/test-machine.ts';
import type { ConformanceEngine, ConformanceOutcome, ScenarioImage } from './engine.ts';
import { scenarioByName } from './scenario-table.ts';

/** 10 ms: no scenario needs a hundredth of it. */
const PROGRESS_LIMIT_PS = 10_000_000_000;

export const virtualConformance: ConformanceEngine = {
  name: 'virtual',
  run(name, parameters, seed): ConformanceOutcome {
    const scenario = scenarioByName(name);
    const { cpuCount } = parameters;
    const machine = makeTestMachine({ cpuCount, nodeCount: Math.min(2, cpuCount) });
    const workload: Pick<Workload, 'name' | 'backedBytes' | 'boot'> = {
      name,
      backedBytes: () => 1 << 16,
      boot: (boot) => scenario.boot(boot, parameters),
    };
    const context: WorkloadContext = {
      machine,
      placement: {
        cpus: Array.from({ length: cpuCount }, (_, cpu) => cpu),
        memoryPolicy: 'first-touch',
        bindNode: 0,
      },
      parameters: {},
      seed,
    };
    const booted = bootSeed(workload as Workload, context);
    const spec: EngineSpec = {
      machine,
      memory: booted.memory,
      seed,
      activeCpus: context.placement.cpus,
      workerCount: 1,
      workerOfCpu: context.placement.cpus.map(() => 0),
      workerOfNode: Array.from({ length: machine.nodeCount }, () => 0),
      perCpuHi: booted.perCpuHi,
      perCpuLo: booted.perCpuLo,
      translation: booted.translation,
      symbols: booted.symbols,
      metricCount: METRICS.length,
      counterCount: COUNTERS.length,
      phaseCount: 1,
      streams: ['think'],
      progressLimitPs: PROGRESS_LIMIT_PS,
      debug: { witness: true, shuffle: seed + 1, translations: true, repeats: true },
      buffers: createEngineBuffers(machine, booted.memory, 1, true),
    };
    const image = booted.image as ScenarioImage;
    const result = runWorker(spec, 0, (cpu) => scenario.program(cpu, image, parameters));
    refuseViolations(spec, [result]);
    if (result.ending.kind !== 'finished') throw new StallError(result.ending.report.join('\n'));
    const memory = new PhysicalMemory(booted.memory);
    return {
      image,
      word: (index) => memory.peek32(image.words[index]!.hi & 0xffff, image.words[index]!.lo),
      counter: (counter) => result.cpus.reduce((sum, cpu) => sum + cpu.counters[counter]!, 0),
    };
  },
};
