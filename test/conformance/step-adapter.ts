/** The step engine under the conformance suite. */

import { StepEngine } from '../support/step-engine.ts';
import type { ConformanceEngine, ConformanceOutcome } from './engine.ts';
import { scenarioByName } from './scenario-table.ts';

export const stepConformance: ConformanceEngine = {
  name: 'step',
  run(name, parameters, seed): ConformanceOutcome {
    const scenario = scenarioByName(name);
    const { cpuCount } = parameters;
    const engine = new StepEngine({
      cpuCount,
      nodeCount: Math.min(2, cpuCount),
      seed,
      backedBytes: 256 * 1024,
      stepLimit: 2_000_000,
      leaps: true,
    });
    const image = scenario.boot(engine.boot, parameters);
    engine.run(
      Array.from({ length: cpuCount }, () => (cpu) => scenario.program(cpu, image, parameters)),
    );
    return {
      image,
      word: (index) => engine.peek32(image.words[index]!),
      counter: (counter) =>
        engine.cpus.reduce((sum, cpu) => sum + (cpu.counters.get(counter) ?? 0), 0),
    };
  },
};
