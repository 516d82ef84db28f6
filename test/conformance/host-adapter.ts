/**
 * The host engine under the conformance suite: real threads on real atomics. Programs are loaded
 * from the compiled tests, so `npm run build` comes first (`npm test` does that).
 */

import { PER_CPU_BYTES } from '../../src/cpu/per-cpu.ts';
import { runOnHost } from '../../src/engine/host/run-host.ts';
import { HOST_DEFAULTS } from '../../src/engine/host/spec.ts';
import { BootMemory } from '../../src/memory/boot.ts';
import { toLinear } from '../../src/memory/physical-address.ts';
import { PhysicalMemory } from '../../src/memory/physical-memory.ts';
import { COUNTERS, METRICS } from '../../src/metrics/definition.ts';
import { makeTestMachine } from '../support/test-machine.ts';
import type { ConformanceEngine, ConformanceOutcome } from './engine.ts';
import { type NamedScenario, scenarioByName } from './scenario-table.ts';

const MODULE = new URL('../../dist/test/conformance/scenario-table.js', import.meta.url).href;
const BACKED_BYTES = 1 << 20;

export const hostConformance: ConformanceEngine = {
  name: 'host',
  async run(name, parameters, seed): Promise<ConformanceOutcome> {
    const { cpuCount } = parameters;
    const machine = makeTestMachine({ cpuCount, nodeCount: Math.min(2, cpuCount) });
    const buffers = PhysicalMemory.allocate(machine.memoryBytesOfNode, BACKED_BYTES);
    const memory = new PhysicalMemory(buffers);
    const boot = new BootMemory(machine, memory);
    const areas = Array.from({ length: cpuCount }, (_, cpu) =>
      toLinear(boot.allocate(machine.nodeOfCpu[cpu]!, PER_CPU_BYTES, 4096)),
    );
    const image = scenarioByName(name).boot(boot, parameters);
    const result = await runOnHost({
      ...HOST_DEFAULTS,
      machine,
      memory: buffers,
      seed,
      activeCpus: areas.map((_, cpu) => cpu),
      perCpuHi: areas.map((area) => area.hi),
      perCpuLo: areas.map((area) => area.lo),
      streams: ['think'],
      metricCount: METRICS.length,
      counterCount: COUNTERS.length,
      program: { module: MODULE, exportName: 'namedScenario' },
      image,
      symbols: boot.symbols,
      context: { scenario: name, parameters } satisfies NamedScenario,
    });
    if (result.lostWakes !== 0) throw new Error(`${result.lostWakes} wake-ups were lost`);
    return {
      image,
      word: (index) => memory.peek32(image.words[index]!.hi & 0xffff, image.words[index]!.lo),
      counter: (counter) => result.cpus.reduce((sum, cpu) => sum + cpu.counters[counter]!, 0),
    };
  },
};
